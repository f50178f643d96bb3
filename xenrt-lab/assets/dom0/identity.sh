#!/bin/sh
# xenrt-identity NUMBER EPOCH: makes a host that came out of a snapshot somebody of its own.
# All clones wake up with one name, one address on the cable and the clock of the freezing.
set -e
number=$1
date -s "@$2" > /dev/null
echo "$number" > /etc/xenrt-host
echo "xenhost$number" > /etc/hostname
hostname "xenhost$number"
printf '127.0.0.1 localhost\n127.0.1.1 xenhost%s\n' "$number" > /etc/hosts
for peer in 1 2 3 4 5 6 7 8; do
    [ "$peer" = "$number" ] || printf '192.168.99.%s xenhost%s\n' $peer $peer >> /etc/hosts
done
mac=52:54:00:00:01:$(printf %02x "$number")
ip link set eth1 address "$mac"
ip link set xenbr1 address "$mac"
ip addr flush dev xenbr1 scope global
ip addr add "192.168.99.$number/24" dev xenbr1
