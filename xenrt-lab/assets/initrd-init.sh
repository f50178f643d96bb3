#!/bin/sh
# The initramfs of dom0 and of the Debian guest: load the modules, mount the root, hand over.
# Debian's own takes several times as long under emulation.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod "/mod/$module"; done < /mod/list

root=/dev/vda
for word in $(cat /proc/cmdline); do
    case $word in root=*) root=${word#root=} ;; esac
done

# A Xen disk appears when its back end is ready, so the first tries may come too early.
tries=0
until mount -t ext4 -o rw,noatime "$root" /mnt 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ]; then
        echo "xenrt: cannot mount $root; disks: $(ls /sys/block | tr '\n' ' ')"
        exec sh
    fi
    usleep 50000
done
for dir in dev proc sys; do mount --move /$dir /mnt/$dir; done
exec switch_root /mnt /sbin/init
