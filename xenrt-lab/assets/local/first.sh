# The first process of a host of libvirt on this machine, as root of its name spaces.
#   $1  the folder of the host   $2, $3  the bridge of guests and its address
#   $4  "new" where the network is its own, "shared" where it is another host's
#   $5  the number of the host
folder=$1
cd "$folder"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Folders of libvirt's, each in the place that libvirt has it.
mount -t tmpfs run /run
for pair in run:/run lib:/var/lib cache:/var/cache log:/var/log etc:/etc; do
    mkdir -p "${pair%%:*}" "${pair#*:}/libvirt"
    mount --bind "${pair%%:*}" "${pair#*:}/libvirt"
done
# Terminals have the same numbers everywhere, and libvirt locks them by those.
mkdir -p /run/lock
[ -L /var/lock ] || mount -t tmpfs locks /var/lock
# libvirt knows hosts by this, and moves no guest to the host that it is on.
uuid=$(cat /proc/sys/kernel/random/uuid)
printf '%s\n' 'auth_unix_rw = "none"' 'unix_sock_rw_perms = "0777"' "host_uuid = \"$uuid\"" \
    "log_outputs = \"3:file:$folder/libvirtd.log\"" \
    >/etc/libvirt/libvirtd.conf
printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' \
    'stdio_handler = "file"' 'namespaces = []' 'cgroup_controllers = []' >/etc/libvirt/qemu.conf
# The daemon looks for the user of Debian's package, whoever it is told to use.
cp /etc/passwd /etc/group .
for user in libvirt-qemu kvm; do
    grep -q "^$user:" passwd || echo "$user:x:64055:64055::/:/bin/false" >>passwd
    grep -q "^$user:" group || echo "$user:x:64055:" >>group
done
mount --bind passwd /etc/passwd
mount --bind group /etc/group

# That of before shows the interfaces of the network of before.
mount -t sysfs sysfs /sys
if [ "$4" = new ]; then
    ip link set lo up
    ip link add "$2" type bridge
    ip addr add "$3" dev "$2"
    ip link set "$2" up
fi
# Hosts that guests move between have their guests' folders in the same place.
mkdir -p work ../work
mount --bind work ../work
# An interface that networks can be put on: the other end of the cable is in nobody's hand.
ip link add "spare$5" type veth peer name "spare$5-end"
ip link set "spare$5" up
ip link set "spare$5-end" up
: >ready
# A shell that has something left to do stays, and collects processes whose parents have gone.
cat >/dev/null
# Nobody else does where the program was killed. What is mounted on cannot be removed.
umount -l ../work
cd /
rm -rf "${folder%/*}"
