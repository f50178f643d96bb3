#!/bin/sh
# xenrt-identity NUMBER EPOCH: makes a host that came out of a snapshot somebody of its own.
# All clones wake up with one name, one address on the cable and the clock of the freezing.
# It runs at every restore: few programs, since starting one takes 50 ms under emulation.
set -e
date -s "@$2" > /dev/null
echo "$1" > /etc/xenrt-host
echo "xenhost$1" > /etc/hostname
echo "xenhost$1" > /proc/sys/kernel/hostname
mac=52:54:00:00:01:0$1
exec ip -batch - <<BATCH
link set eth1 address $mac
link set xenbr1 address $mac
addr flush dev xenbr1 scope global
addr add 192.168.99.$1/24 dev xenbr1
BATCH
