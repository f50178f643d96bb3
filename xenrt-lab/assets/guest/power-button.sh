#!/bin/sh
# Ends the tiny guest when its power button is pressed: that is how QEMU asks a guest to.
for input in /sys/class/input/event*; do
    [ "$(cat "$input/device/name")" = "Power Button" ] || continue
    dd "if=/dev/input/${input##*/}" of=/dev/null bs=24 count=1 2>/dev/null && exec /sbin/poweroff
done
# There is no button: init runs this again.
sleep 5
