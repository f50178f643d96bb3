#!/bin/sh
# First steps of the tiny guest.
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod "/mod/$module"; done < /mod/list

name=tiny
for word in $(cat /proc/cmdline); do
    case $word in xenrt.name=*) name=${word#*=} ;; esac
done
hostname "$name"
ip link set lo up

# The network front end connects a moment after its module is loaded.
tries=0
until [ -d /sys/class/net/eth0 ] || [ $tries -ge 50 ]; do
    tries=$((tries + 1))
    usleep 20000
done
[ -d /sys/class/net/eth0 ] && /bin/xenrt-network eth0
# CPUs that were plugged in before the helper listens.
for online in /sys/devices/system/cpu/cpu*/online; do
    [ "$(cat "$online" 2>/dev/null)" != 0 ] || echo 1 > "$online"
done
