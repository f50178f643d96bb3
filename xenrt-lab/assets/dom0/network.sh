#!/bin/sh
# xenrt-network: dom0's two bridges. Debian's ifupdown does the same in 13 s under emulation.
#
#   xenbr0 (eth0)  10.0.2.15/24: QEMU's private network, where guests live; the same in every host
#   xenbr1 (eth1)  192.168.99.N/24: the cable between the hosts of a lab, N is the host's number
number=$(cat /etc/xenrt-host 2>/dev/null || echo 1)

bridge() { # name, port, address
    ip link add "$1" type bridge forward_delay 0 stp_state 0
    ip link set "$2" master "$1" up
    ip addr add "$3" dev "$1"
    ip link set "$1" up
}

ip link set lo up
tries=0
until [ -d /sys/class/net/eth1 ] || [ $tries -ge 200 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
# Clones of one snapshot must differ on the cable. Each has its own 10.0.2.0/24, so xenbr0 need not.
ip link set eth1 address "52:54:00:00:01:$(printf %02x "$number")"
bridge xenbr0 eth0 10.0.2.15/24
bridge xenbr1 eth1 "192.168.99.$number/24"
ip route add default via 10.0.2.2
