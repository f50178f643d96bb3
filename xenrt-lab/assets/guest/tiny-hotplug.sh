#!/bin/sh
# Called by busybox uevent for each kernel event, in place of udev.
[ "$ACTION" = add ] || exit 0
case $SUBSYSTEM in
# `xl vcpu-set` makes the kernel register a CPU; bringing it on line is left to us.
cpu) [ ! -e "/sys$DEVPATH/online" ] || echo 1 > "/sys$DEVPATH/online" ;;
# eth0 is brought up by /etc/rc, which waits for it.
net) case $INTERFACE in eth0) ;; eth*) /bin/xenrt-network "$INTERFACE" ;; esac ;;
esac
