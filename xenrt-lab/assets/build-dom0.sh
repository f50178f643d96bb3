#!/bin/sh
# mmdebstrap hook: a Debian root with Xen becomes the lab's dom0, and everything else that is made
# from its packages: hypervisor, kernel, both initramfs and the tiny guest.
set -eu
. "$ASSETS/common.sh"
root=$1
KERNEL=$(ls "$root/lib/modules" | sort -V | tail -n 1)
work=$root/tmp/xenrt
mkdir -p "$work"
chroot "$root" depmod "$KERNEL"

# --- what QEMU boots from
echo "xenrt: kernel $KERNEL" >&2
gzip -dc "$root"/boot/xen-*-amd64.gz > "$OUT/xen"
cp "$ASSETS/extract-kernel.sh" "$work/"
chroot "$root" sh /tmp/xenrt/extract-kernel.sh "/boot/vmlinuz-$KERNEL" /tmp/xenrt/vmlinux
cp "$work/vmlinux" "$OUT/vmlinux"
cp "$root/boot/vmlinuz-$KERNEL" "$OUT/vmlinuz"

# dom0: its disk and its network cards are there before systemd starts, so that nothing waits for
# udev; the back ends are there before the first guest.
ramfs_base "$root" "$work/dom0"
ramfs_modules "$root" "$work/dom0" virtio_pci virtio_blk crc32c_generic ext4 virtio_net bridge \
    xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-netback xen-blkback loop
install_asset 755 initrd-init.sh "$work/dom0/init"
ramfs_pack "$root" "$work/dom0" "$OUT/dom0.initrd"

# The Debian guest has no modules of its own: the front ends come with its initramfs and stay loaded.
ramfs_base "$root" "$work/guest"
ramfs_modules "$root" "$work/guest" xen-blkfront xen-netfront crc32c_generic ext4
install_asset 755 initrd-init.sh "$work/guest/init"
ramfs_pack "$root" "$work/guest" "$OUT/guest.initrd"

# --- the tiny guest: busybox, dropbear and iperf in an initramfs, no disk
tiny=$work/tiny
ramfs_base "$root" "$tiny"
ramfs_modules "$root" "$tiny" xen-netfront xen-blkfront crc32c_generic ext4
for program in /usr/sbin/dropbear /usr/bin/iperf; do
    cp "$root$program" "$tiny$program"
    for library in $(chroot "$root" ldd "$program" | grep -oE '/[^ ]+\.so[^ ]*'); do
        [ -e "$tiny$library" ] && continue
        mkdir -p "$tiny$(dirname "$library")"
        cp -L "$root$library" "$tiny$library"
    done
done
mkdir -p "$tiny/etc/dropbear" "$tiny/root/.ssh"
# dropbear has its own key format; the key is the one that the Debian guest has too.
cp "$ASSETS/keys/guest_ed25519" "$work/guest_key"
chroot "$root" dropbearconvert openssh dropbear /tmp/xenrt/guest_key /tmp/xenrt/dropbear_key >/dev/null 2>&1
mv "$work/dropbear_key" "$tiny/etc/dropbear/dropbear_ed25519_host_key"
cp "$ASSETS/keys/id_ed25519.pub" "$tiny/root/.ssh/authorized_keys"
chmod 700 "$tiny/root" "$tiny/root/.ssh"
chmod 600 "$tiny/root/.ssh/authorized_keys" "$tiny/etc/dropbear/dropbear_ed25519_host_key"
echo 'root:x:0:0:root:/root:/bin/sh' > "$tiny/etc/passwd"
echo 'root:*:19000:0:99999:7:::' > "$tiny/etc/shadow"
echo 'root:x:0:' > "$tiny/etc/group"
echo /bin/sh > "$tiny/etc/shells"
# dropbear asks the C library who root is, and that loads this module at run time.
cp -L "$root/lib/x86_64-linux-gnu/libnss_files.so.2" "$tiny/lib/x86_64-linux-gnu/" 2>/dev/null || :
echo 'passwd: files' > "$tiny/etc/nsswitch.conf"
install_asset 644 guest/tiny-inittab "$tiny/etc/inittab"
install_asset 755 guest/tiny-rc.sh "$tiny/etc/rc"
install_asset 755 guest/tiny-hotplug.sh "$tiny/etc/hotplug"
install_asset 755 guest/network.sh "$tiny/bin/xenrt-network"
install_asset 755 guest/udhcpc.sh "$tiny/bin/xenrt-udhcpc"
install_asset 755 guest/announce.sh "$tiny/etc/announce"
printf '#!/bin/sh\n/bin/busybox --install -s /bin\nexec /bin/init\n' > "$tiny/init"
chmod 755 "$tiny/init"
# `xl shutdown` makes the kernel run /sbin/poweroff, `xl reboot` /sbin/reboot. -f: there is nothing
# to stop in order, and init's own way takes seconds.
for verb in poweroff reboot; do
    printf '#!/bin/sh\nsync\nexec /bin/busybox %s -f\n' $verb > "$tiny/sbin/$verb"
    chmod 755 "$tiny/sbin/$verb"
done
# Kinds of networks that are loaded when one is asked for: nothing of them costs a boot its time.
ramfs_on_demand "$root" "$tiny" 8021q bonding
ramfs_pack "$root" "$tiny" "$OUT/tiny.initrd"

# The same for QEMU: its devices, a power button, memory that can be taken back, a bell for a panic,
# and a serial line for a console.
rm -rf "$tiny/mod" && mkdir "$tiny/mod"
ramfs_modules "$root" "$tiny" virtio_pci virtio_blk virtio_net crc32c_generic ext4 virtio_balloon \
    button evdev pvpanic pvpanic-mmio
sed -i 's/^hvc0:/ttyS0:/' "$tiny/etc/inittab"
echo '::respawn:/bin/power-button' >> "$tiny/etc/inittab"
install_asset 755 guest/power-button.sh "$tiny/bin/power-button"
ramfs_pack "$root" "$tiny" "$OUT/tiny-qemu.initrd"

# --- dom0 itself
common_setup "$root" dom0_ed25519
echo xenhost1 > "$root/etc/hostname"
echo 1 > "$root/etc/xenrt-host"
{
    echo '127.0.0.1 localhost'
    for number in 1 2 3 4 5 6 7 8; do echo "192.168.99.$number xenhost$number"; done
} > "$root/etc/hosts"
cp "$ASSETS/keys/id_ed25519" "$root/root/.ssh/id_ed25519"
chmod 600 "$root/root/.ssh/id_ed25519"
install_asset 644 dom0/ssh_config "$root/root/.ssh/config"
{
    echo "192.168.99.*,xenhost* $(cut -d' ' -f1,2 "$ASSETS/keys/dom0_ed25519.pub")"
    echo "10.0.2.* $(cut -d' ' -f1,2 "$ASSETS/keys/guest_ed25519.pub")"
} > "$root/root/.ssh/known_hosts"

units=$root/etc/systemd/system
mkdir -p "$units/sysinit.target.wants"
install_asset 755 dom0/network.sh "$root/usr/local/sbin/xenrt-network"
install_asset 755 dom0/identity.sh "$root/usr/local/sbin/xenrt-identity"
install_asset 755 dom0/xen-daemons.sh "$root/usr/local/sbin/xenrt-xen-daemons"
install_asset 644 dom0/xenrt-network.service "$units/xenrt-network.service"
# A unit of this name hides the one that systemd makes from /etc/init.d/xen.
install_asset 644 dom0/xen.service "$units/xen.service"
for unit in xenrt-network xen; do
    ln -sf "../$unit.service" "$units/sysinit.target.wants/"
done
# Guests are made and ended by tests, never by a boot or a shutdown; LVM by hand.
for unit in xendomains.service libvirt-guests.service lvm2-monitor.service blk-availability.service \
    virtlogd-admin.socket virtlockd-admin.socket libvirtd-admin.socket systemd-machined.service \
    dm-event.socket lvm2-lvmpolld.socket systemd-modules-load.service; do
    ln -sf /dev/null "$units/$unit"
done
# What serves disks to other hosts, and what attaches them, is started by who needs it.
for unit in nfs-server.service nfs-client.target nfs-blkmap.service rpcbind.service rpcbind.socket \
    rpc-statd-notify.service tgt.service iscsid.service iscsid.socket open-iscsi.service; do
    rm -f "$units"/*.wants/$unit
done
# libvirtd starts at the first connection to its socket, not in the way of the boot.
rm -f "$units/multi-user.target.wants/libvirtd.service"

printf 'vif.default.script="vif-bridge"\nvif.default.bridge="xenbr0"\nautoballoon="off"\n' \
    > "$root/etc/xen/xl.conf"
# Leaner ways to plug VIFs and disks in; those of Xen stand beside them, for what is not usual.
for script in vif-bridge block; do
    mv "$root/etc/xen/scripts/$script" "$root/etc/xen/scripts/$script.xen"
    install_asset 755 "dom0/$script.sh" "$root/etc/xen/scripts/$script"
done
install_asset 644 dom0/vif.rules "$root/etc/udev/rules.d/99-xenrt-vif.rules"
# Each guest's console goes to /var/log/xen/console/guest-NAME.log.
printf 'XENSTORED_ARGS=\nXENCONSOLED_ARGS="--log=guest --log-dir=/var/log/xen/console"\n' \
    > "$root/etc/default/xen"
mkdir -p "$root/var/log/xen/console" "$root/var/lib/xen/save" "$root/var/lib/xen/dump" \
    "$root/var/lib/xen/images"

cp "$ASSETS/dom0/cpu-model.xml" "$root/usr/share/libvirt/cpu_map/x86_xenrt-emulated.xml"
sed -i "s#<include filename='x86_486.xml'/>#&\n    <include filename='x86_xenrt-emulated.xml'/>#" \
    "$root/usr/share/libvirt/cpu_map/index.xml"

cp "$OUT/vmlinux" "$OUT/tiny.initrd" "$OUT/guest.initrd" "$root/var/lib/xen/images/"
rm -rf "$work" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/boot/*
make_disk "$root" "$OUT/dom0.raw" "$DOM0_DISK"
