#!/bin/sh
# What Xen's own block script does for a disk that is a file or a block device, with a handful of
# programs instead of dozens; see vif-bridge for why. Whatever is not usual is left to that one, which
# stands beside this.
#
# libxl calls it with `add` and `remove`; the variable XENBUS_PATH says for which disk
# (docs/misc/block-scripts.txt of Xen).
set -u

original() { exec /etc/xen/scripts/block.xen "$@"; }

[ -n "${XENBUS_PATH:-}" ] && [ $# = 1 ] || original "$@"

mode= state= physical= node=
while read -r key is value; do
    value=${value#\"} value=${value%\"}
    case $key in
        mode) mode=$value ;;
        state) state=$value ;;
        node) node=$value ;;
        physical-device) physical=$value ;;
    esac
done <<END
$(xenstore-ls "$XENBUS_PATH")
END
# That list cuts long values short.
params=$(xenstore-read "$XENBUS_PATH/params" 2>/dev/null)

refuse() {
    xenstore-write "$XENBUS_PATH/hotplug-error" "$2" "$XENBUS_PATH/hotplug-status" "$1"
    exit 1
}

if [ "$1" = remove ] && [ -n "$node" ]; then
    exec losetup -d "$node"
fi
[ "$1" = add ] && [ -f "$params" ] || original "$@"
# It may be called twice for one disk.
[ -z "$physical" ] || exit 0

# A mode with ! is not checked; that of a disk that is only read has no w.
case $mode in
    *!*) checked= read_only= ;;
    *w*) checked=yes read_only= ;;
    *) checked=yes read_only=-r ;;
esac
file=$(readlink -f "$params")
mkdir -p /var/run/xen-hotplug
exec 9> /var/run/xen-hotplug/xenrt-block
flock 9
# It was given up in the meantime.
[ "$state" = 2 ] || refuse error "the disk $file is in state $state of xenbus, not in 2"
[ -n "$read_only" ] || case $(stat -c %A "$file") in
    *w*) ;;
    *) refuse busy "the file $file is read-only, and is not given to a guest to write to" ;;
esac

# Other disks from the same file: a guest that writes has it for itself.
if [ -n "$checked" ]; then
    for other in /sys/block/loop*/loop/backing_file; do
        [ -e "$other" ] && read -r backing < "$other" && [ "$backing" = "$file" ] || continue
        # Whose it is, and how, only that script can tell.
        flock -u 9
        original "$@"
    done
fi
loop=$(losetup --find --show $read_only "$file" 2>&1) || refuse error "no loop device for $file: $loop"
xenstore-write "$XENBUS_PATH/node" "$loop" \
    "$XENBUS_PATH/physical-device" "$(stat -c %t:%T "$loop")" \
    "$XENBUS_PATH/physical-device-path" "$loop" \
    "$XENBUS_PATH/hotplug-status" connected
