#!/usr/bin/env bash
# In the virtual machine: loads the modules, binds and makes devices, asks `dunnage-devices`, and starts
# containers. What it sees goes to /out. Usage: guest.sh KERNEL MODULES DUNNAGE_DEVICES
set -uo pipefail
kernel=$1 modules=$2 devices=$3
[ -d "$kernel/usr/lib/modules" ] && kernel=$kernel/usr
cd /out || exit 1

# Waits until a command says yes, for 60 s at most: an emulated CPU takes its time.
until_true() {
    local deadline=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { echo "not within 60 s: $*"; return 1; }
        sleep 0.05
    done
}

of_id() { grep -l "^$1\$" /sys/bus/pci/devices/*/device | sed 's#.*/\([^/]*\)/device#\1#'; }

to_vfio() {
    echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
    echo "$1" >/sys/bus/pci/drivers/vfio-pci/bind
}

# ---- the devices ----------------------------------------------------------------------------------

for module in drm vfio-pci nvme mdev; do modprobe -d "$kernel" "$module" || exit 1; done
for module in fpga-mgr fpga-bridge fpga-region dfl dfl-fme-mgr dfl-fme-br dfl-fme-region dfl-fme dfl-afu \
    fake_gpu mtty; do
    insmod "$modules/$module.ko" || exit 1
done
# The third card's port has an error, the fourth does not answer.
insmod "$modules/fake_dfl.ko" failed=4 dead=8 || exit 1
edu=$(of_id 0x11e8)
to_vfio "$edu"
disk=$(of_id 0x0010)
# Nobody but VFIO is to have the functions: nvme would wait for each a quarter of a minute.
echo 0 >"/sys/bus/pci/devices/$disk/sriov_drivers_autoprobe"
echo 2 >"/sys/bus/pci/devices/$disk/sriov_numvfs"
for function in "/sys/bus/pci/devices/$disk"/virtfn*; do
    to_vfio "$(basename "$(readlink "$function")")"
done
uuid=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
echo $uuid >/sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-2/create
echo "edu=$edu disk=$disk" >places
"$devices" --json >all.json
"$devices" >all.text

# ---- containers -----------------------------------------------------------------------------------

# What a container tries: each node that it sees, then each device of the host by its numbers. Tells
# the path, the numbers, and what open(2) said.
mkdir -p /scratch/rootfs/{bin,proc,dev,tmp}
cp "$(command -v busybox)" /scratch/rootfs/bin/busybox
for path in /dev/dfl-* /dev/dri/* /dev/accel/* /dev/vfio/*; do
    [ -c "$path" ] && stat -c "$path %Hr %Lr" "$path"
done >/scratch/rootfs/nodes
cat >/scratch/rootfs/look <<'END'
try() {
    if said=$( (exec 3<>"$1") 2>&1); then echo opens; else echo "${said##*: }"; fi
}
for path in $(/bin/busybox find /dev -type c); do
    case $path in
    /dev/dfl-* | /dev/dri/* | /dev/accel/* | /dev/vfio/*)
        echo "given|$path|$(/bin/busybox stat -c '%t:%T' "$path")|$(try "$path")" ;;
    esac
done
while read -r path major minor; do
    /bin/busybox rm -f /tmp/node
    /bin/busybox mknod /tmp/node c "$major" "$minor" || { echo "made|$path|cannot"; continue; }
    echo "made|$path|$(try /tmp/node)"
done </nodes
END
bundle() {
    mkdir -p "$1"
    cat >"$1/config.json" <<'END'
{"ociVersion": "1.0.2",
 "process": {"terminal": false, "user": {"uid": 0, "gid": 0}, "cwd": "/",
  "args": ["/bin/busybox", "sh", "/look"], "env": ["PATH=/bin"],
  "capabilities": {"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]}},
 "root": {"path": "/scratch/rootfs", "readonly": true}, "hostname": "given",
 "mounts": [
  {"destination": "/proc", "type": "proc", "source": "proc"},
  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
  {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["dev", "mode=777"]}],
 "linux": {"resources": {"devices": [{"allow": false, "access": "rwm"}]},
  "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]}}
END
}
number=0
start() {
    local name=$1 folder
    shift
    number=$((number + 1))
    folder=/scratch/bundle-$number
    bundle "$folder"
    if [ $# -gt 0 ]; then "$devices" bundle "$@" "$folder" || return 1; fi
    runc --root /run/runc run --bundle "$folder" "dunnage-vm-$number" >"container.$name" 2>&1
    echo "status|$?" >>"container.$name"
}
start nothing
start port --device dfl-port.0
start card --device dfl-port.1 --management
start render --device renderD129
start accel --device accel0
start vfio --device "$edu"
start function --device "$(basename "$(readlink "/sys/bus/pci/devices/$disk/virtfn1")")"
start mediated --device $uuid
start two --device dfl-port.0 --device accel0

# ---- what comes and goes --------------------------------------------------------------------------

"$devices" cdi --watch --output /scratch/cdi &
watcher=$!
# Something of the other devices is always there: an empty folder says nothing.
there() { ls /scratch/cdi/*.json; }
has() { there && cat /scratch/cdi/*.json | grep -q "$1"; }
lacks() { there && ! cat /scratch/cdi/*.json | grep -q "$1"; }
stamp() { awk '{print int($1 * 1000)}' /proc/uptime; }
change() {
    local what=$1 wait=$2 pattern=$3 from
    shift 3
    from=$(stamp)
    "$@"
    if until_true "$wait" "$pattern"; then echo "$what|$(($(stamp) - from))"; else echo "$what|never"; fi >>changes
}
write() { echo "$1" >"$2"; }
group=$(basename "$(readlink "/sys/bus/pci/devices/$edu/iommu_group")")
until_true has /dev/dfl-port.0
change "driver unbound" lacks /dev/dfl-port.0 write "$(readlink -f /sys/class/fpga_region/region0/device | sed 's#.*/##')" /sys/bus/pci/drivers/fake_dfl/unbind
change "function removed" lacks "/dev/vfio/$group\"" write 1 "/sys/bus/pci/devices/$edu/remove"
change "module removed" lacks /dev/accel/accel0 rmmod fake_gpu
change "module loaded" has /dev/accel/accel0 insmod "$modules/fake_gpu.ko"
change "mediated device removed" lacks $uuid write 1 "/sys/bus/mdev/devices/$uuid/remove"
kill $watcher
"$devices" --json >after.json
