#!/bin/sh
# What busybox's DHCP client calls with its news: $1 is the event, the lease is in the environment.
bb=/bin/busybox
case $1 in
deconfig)
    $bb ip addr flush dev "$interface"
    $bb ip link set "$interface" up
    ;;
bound | renew)
    $bb ip addr replace "$ip/${mask:-24}" dev "$interface"
    # The first interface with a router wins: a second default route would only hide the first.
    if [ -n "$router" ] && [ -z "$($bb ip route show default)" ]; then
        $bb ip route add default via "${router%% *}" dev "$interface"
    fi
    ;;
esac
