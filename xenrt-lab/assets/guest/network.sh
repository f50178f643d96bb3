#!/bin/sh
# xenrt-network IFACE: brings up one interface of a guest.
#
# eth0 takes its address from the kernel command line, where whoever made the guest put it
# (xenrt.ip=10.0.2.101/24 xenrt.gw=10.0.2.2); without one, and for every interface that is plugged
# in later, DHCP is asked, in the background until it answers.
iface=$1
address= gateway=
for word in $(cat /proc/cmdline); do
    case $word in
    xenrt.ip=*) address=${word#*=} ;;
    xenrt.gw=*) gateway=${word#*=} ;;
    esac
done
# A bare address means the lab's own network, a /24.
case $address in '' | */*) ;; *) address=$address/24 ;; esac

bb=/bin/busybox
$bb ip link set "$iface" up
if [ "$iface" = eth0 ] && [ -n "$address" ]; then
    $bb ip addr add "$address" dev "$iface"
    [ -z "$gateway" ] || $bb ip route add default via "$gateway"
else
    script=/usr/local/sbin/xenrt-udhcpc
    [ -e "$script" ] || script=/bin/xenrt-udhcpc
    $bb udhcpc -i "$iface" -s "$script" -b -t 5 -T 1 -A 2 -S -p "/run/udhcpc.$iface.pid" \
        > /dev/null 2>&1 < /dev/null
fi
