#!/bin/sh
# xenrt-xen-daemons start|stop: what Debian's /etc/init.d/xen does, without asking about every other
# case (4-8 s less under emulation). Same daemons, same pid files.
. /etc/default/xen
root=$(/usr/lib/xen-common/bin/xen-dir)
case $1 in
start)
    [ -e /proc/xen/capabilities ] || mount -t xenfs xenfs /proc/xen
    mkdir -p -m 700 /run/xen
    mkdir -p /run/xenstored /var/log/xen/console
    if [ ! -e /run/xenstore.pid ]; then
        "$root/bin/xenstored" --pid-file /run/xenstore.pid $XENSTORED_ARGS
        # The daemon forks when it listens. dom0 needs its own records before anything else.
        "$root/bin/xen-init-dom0" > /dev/null
        # With the weight of a guest (256), dom0 would get a thirtieth of the time while 32 guests
        # boot that wait for it.
        xl sched-credit2 -d 0 -w 8192
    fi
    [ -e /run/xenconsoled.pid ] ||
        "$root/bin/xenconsoled" $XENCONSOLED_ARGS --pid-file /run/xenconsoled.pid
    ;;
stop)
    # xenstored cannot be restarted under running domains; Debian leaves it alone too.
    [ ! -e /run/xenconsoled.pid ] || kill "$(cat /run/xenconsoled.pid)"
    rm -f /run/xenconsoled.pid
    ;;
esac
