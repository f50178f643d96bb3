#!/bin/sh
# mmdebstrap hook: a Debian root becomes the disk of the `debian` guest.
set -eu
. "$ASSETS/common.sh"
root=$1
common_setup "$root" guest_ed25519

echo guest > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 guest\n' > "$root/etc/hosts"

install_asset 755 guest/network.sh "$root/usr/local/sbin/xenrt-network"
install_asset 755 guest/udhcpc.sh "$root/usr/local/sbin/xenrt-udhcpc"
install_asset 755 guest/announce.sh "$root/usr/local/sbin/xenrt-announce"
install_asset 644 guest/xenrt-network@.service "$root/etc/systemd/system/xenrt-network@.service"
install_asset 644 guest/xenrt-announce.service "$root/etc/systemd/system/xenrt-announce.service"
install_asset 644 guest/hotplug.rules "$root/etc/udev/rules.d/60-xenrt-hotplug.rules"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../xenrt-announce.service "$root/etc/systemd/system/multi-user.target.wants/"

# The package data base, messages and time zones are a third of the image, and every guest gets a
# copy of it.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/zoneinfo \
    "$root"/usr/share/i18n "$root"/usr/share/perl "$root"/usr/lib/x86_64-linux-gnu/perl-base \
    "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/var/lib/dpkg/info \
    "$root"/usr/lib/udev/hwdb.d "$root"/usr/lib/udev/hwdb.bin "$root"/usr/lib/x86_64-linux-gnu/gconv

make_disk "$root" "$OUT/debian.raw" "$DEBIAN_DISK"
