# Functions that both image hooks use. Sourced by build-dom0.sh and build-guest.sh.
#
# The hooks run under mmdebstrap, as root or as root of a user namespace, with
#   $1       the root that mmdebstrap has just filled with packages
#   $ASSETS  this directory, with the lab's keys in $ASSETS/keys
#   $OUT     where finished files go

# What every Debian root of the lab has in common. $1: the root.
common_setup() {
    root=$1

    # Root logs in with the lab's key and with nothing else.
    mkdir -p "$root/root/.ssh"
    chmod 700 "$root/root/.ssh"
    cp "$ASSETS/keys/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
    chmod 600 "$root/root/.ssh/authorized_keys"

    # One known host key instead of keys made at installation: clients can then be strict, and
    # nothing has to be generated under emulation.
    rm -f "$root"/etc/ssh/ssh_host_*
    cp "$ASSETS/keys/$2" "$root/etc/ssh/ssh_host_ed25519_key"
    cp "$ASSETS/keys/$2.pub" "$root/etc/ssh/ssh_host_ed25519_key.pub"
    chmod 600 "$root/etc/ssh/ssh_host_ed25519_key"
    mkdir -p "$root/etc/ssh/sshd_config.d"
    cp "$ASSETS/sshd.conf" "$root/etc/ssh/sshd_config.d/xenrt.conf"

    # Each command is given to the login shell, and each program costs 100 ms under emulation: bash twice
    # as much as dash.
    sed -i '/^root:/s#:[^:]*$#:/bin/sh#' "$root/etc/passwd"

    # The root is mounted by the initrd, and there is nothing else to mount.
    : > "$root/etc/fstab"
    # An empty file makes systemd invent a fresh id at each boot.
    : > "$root/etc/machine-id"
    rm -f "$root/etc/resolv.conf"
    echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"

    mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
    # The journal in RAM: less to write under emulation, and nobody reads it after the host is gone.
    printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\n' \
        > "$root/etc/systemd/journald.conf.d/xenrt.conf"
    # A stuck service must not hold up a shutdown test for 90 s.
    printf '[Manager]\nDefaultTimeoutStopSec=15s\n' > "$root/etc/systemd/system.conf.d/xenrt.conf"

    # Debian's coldplug replays several hundred devices, 6 s under emulation. Nothing here needs
    # more than the network and the disks (the rest has its nodes from devtmpfs).
    mkdir -p "$root/etc/systemd/system/systemd-udev-trigger.service.d"
    cat > "$root/etc/systemd/system/systemd-udev-trigger.service.d/xenrt.conf" <<'UNIT'
[Service]
ExecStart=
ExecStart=udevadm trigger --action=add --subsystem-match=net --subsystem-match=block
ExecStart=udevadm trigger --action=add --sysname-match=hvc0
UNIT

    # Programs that would make units at each boot, out of things that are not there: partitions,
    # init scripts, encrypted disks. Only the console's getty is made that way here.
    mkdir -p "$root/etc/systemd/system-generators"
    for generator in "$root"/lib/systemd/system-generators/*; do
        case $generator in
        *getty-generator) ;;
        *) ln -sf /dev/null "$root/etc/systemd/system-generators/$(basename "$generator")" ;;
        esac
    done

    # Files for X, pstore, credentials and other users' needs: 7 s under emulation, for nothing.
    mkdir -p "$root/etc/tmpfiles.d"
    for config in "$root"/usr/lib/tmpfiles.d/*.conf; do
        case $config in
        */systemd.conf | */dbus.conf | */lvm2.conf | */libvirt*.conf | */xen*.conf) ;;
        */openssh*.conf | */sshd*.conf | */debian.conf | */tmp.conf) ;;
        *) ln -sf /dev/null "$root/etc/tmpfiles.d/$(basename "$config")" ;;
        esac
    done

    # Chores of a long-lived machine, and hardware that is not there.
    for unit in \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
        e2scrub_all.timer e2scrub_reap.service systemd-tmpfiles-clean.timer \
        systemd-pstore.service systemd-random-seed.service systemd-timesyncd.service \
        systemd-update-utmp.service systemd-update-utmp-runlevel.service \
        systemd-machine-id-commit.service systemd-journal-flush.service \
        systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
        systemd-ask-password-wall.path systemd-ask-password-console.path \
        systemd-remount-fs.service systemd-sysctl.service systemd-sysusers.service \
        kmod-static-nodes.service modprobe@.service \
        keyboard-setup.service console-setup.service hwclock.service \
        getty@tty1.service getty-static.service sys-kernel-debug.mount \
        sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
        dev-hugepages.mount dev-mqueue.mount systemd-logind.service systemd-user-sessions.service
    do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
}

# Installs one asset. $1: mode, $2: asset, $3: destination.
install_asset() {
    mkdir -p "$(dirname "$3")"
    cp "$ASSETS/$2" "$3"
    chmod "$1" "$3"
}

# Makes an initramfs directory that has busybox and nothing else yet. $1: Debian root, $2: directory.
ramfs_base() {
    for dir in bin sbin dev proc sys mnt mod etc run tmp root var/run var/log usr/bin usr/sbin; do
        mkdir -p "$2/$dir"
    done
    cp "$1/bin/busybox" "$2/bin/busybox"
    ln -s busybox "$2/bin/sh"
}

# Adds kernel modules and what they depend on, in loading order.
# $1: Debian root, $2: directory, then the names. A module that is built in needs nothing.
ramfs_modules() {
    from=$1/lib/modules/$KERNEL into=$2
    shift 2
    for module in "$@"; do
        grep -q "/$module\.ko" "$from/modules.builtin" && continue
        line=$(grep -E "/$module\.ko[.a-z]*:" "$from/modules.dep") || {
            echo "the kernel $KERNEL has no module $module" >&2
            return 1
        }
        # modules.dep lists the nearest dependency first; insmod wants the farthest first.
        list=
        for file in ${line#*:}; do list="$file $list"; done
        for file in $list ${line%%:*}; do
            name=$(basename "$file")
            grep -qx "${name%.[xz]*}" "$into/mod/list" 2>/dev/null && continue
            case $name in
            *.xz) name=${name%.xz}; xz -dc "$from/$file" > "$into/mod/$name" ;;
            *) cp "$from/$file" "$into/mod/$name" ;;
            esac
            echo "$name" >> "$into/mod/list"
        done
    done
}

# Adds kernel modules that the kernel loads by itself when something needs them.
# $1: Debian root, $2: directory, then the names.
ramfs_on_demand() {
    debian=$1 target=$2
    shift 2
    # depmod works below the root that it is in.
    mkdir -p "$debian/tmp/on-demand/mod" "$debian/tmp/on-demand/lib/modules/$KERNEL"
    ramfs_modules "$debian" "$debian/tmp/on-demand" "$@"
    rm "$debian/tmp/on-demand/mod/list"
    mv "$debian/tmp/on-demand/mod"/* "$debian/tmp/on-demand/lib/modules/$KERNEL/"
    cp "$debian/lib/modules/$KERNEL/modules.builtin" "$debian/lib/modules/$KERNEL/modules.order" \
        "$debian/tmp/on-demand/lib/modules/$KERNEL/"
    chroot "$debian" depmod -b /tmp/on-demand "$KERNEL"
    mkdir -p "$target/lib"
    mv "$debian/tmp/on-demand/lib/modules" "$target/lib/"
    rm -r "$debian/tmp/on-demand"
    # The kernel runs /sbin/modprobe, which is not where busybox puts its own.
    ln -sf /bin/busybox "$target/sbin/modprobe"
}

# Packs an initramfs, not compressed: it is faster to read than to unpack under emulation.
# $1: Debian root (for its cpio), $2: directory, $3: file.
ramfs_pack() {
    (cd "$2" && find . | "$1/bin/busybox" cpio -o -H newc 2>/dev/null) > "$3"
}

# Writes an ext4 image of a root. $1: root, $2: image, $3: size.
#
# With a journal: a host or a guest may go down without a word and must come back. The root is seen
# through a bind mount, which hides the /proc, /sys and /dev that mmdebstrap has mounted in it; the
# mount lives in a name space of its own and ends with it.
make_disk() {
    plain=$(mktemp -d)
    unshare --mount sh -ec '
        mount --bind "$1" "$4"
        mkfs.ext4 -q -F -m 0 -O "^metadata_csum" \
            -E lazy_itable_init=1,nodiscard -L xenrt -d "$4" "$2" "$3"
    ' make_disk "$1" "$2" "$3" "$plain"
    rmdir "$plain"
}
