#!/bin/sh
# xenrt-network: dom0's two bridges, and the card by which it is managed. Debian's ifupdown does the same in 13 s under emulation; one
# `ip` for all of it counts as well, since starting a program is what costs.
#
#   xenbr0 (eth0)  10.0.2.15/24: QEMU's private network, where guests live; the same in every host
#   xenbr1 (eth1)  192.168.99.N/24: the cable between the hosts of a lab, N is the host's number
#   eth2           10.0.4.15/24: for managing dom0; it works on when a test breaks a bridge
read -r number < /etc/xenrt-host

# Clones of one snapshot must differ on the cable. Each has its own 10.0.2.0/24, so xenbr0 need not.
ip -batch - <<BATCH
link set lo up
link add xenbr0 type bridge forward_delay 0 stp_state 0
link set eth0 master xenbr0 up
addr add 10.0.2.15/24 dev xenbr0
link set xenbr0 up
route add default via 10.0.2.2
link add xenbr1 type bridge forward_delay 0 stp_state 0
link set eth1 address 52:54:00:00:01:0$number master xenbr1 up
addr add 192.168.99.$number/24 dev xenbr1
link set xenbr1 up
addr add 10.0.4.15/24 dev eth2
link set eth2 up
BATCH
