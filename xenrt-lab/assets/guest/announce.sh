#!/bin/sh
# Says on the console that the guest is up, and where: "xenrt-guest NAME up ADDRESS".
# Waits for an address (DHCP may take a moment), but says so when there is none.
name=$(/bin/busybox hostname)
tries=0
while :; do
    address=$(/bin/busybox ip -4 -o addr show dev eth0 2>/dev/null |
        /bin/busybox sed -n 's/.* inet \([0-9.]*\).*/\1/p' | /bin/busybox head -n 1)
    [ -z "$address" ] && [ $tries -lt 100 ] || break
    tries=$((tries + 1))
    /bin/busybox usleep 200000
done
echo "xenrt-guest $name up ${address:-without-address}" > /dev/console
