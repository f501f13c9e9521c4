#!/usr/bin/env bash
# In the virtual machine: on each sort of block device one container reads with one request outstanding
# and another with eight, on all devices at once, under one I/O scheduler after the other. What
# `dunnage blame` says goes to /out/SCHEDULER.json, what was read under which to /out/watched.
# Usage: guest.sh CACHE DUNNAGE, with the folder that vm.sh unpacks kernels in
set -uo pipefail
cache=$1 dunnage=$2
cd /out || exit 1
hammers=8

# ---- the devices ----------------------------------------------------------------------------------

for folder in "$cache"/*/ "$cache"/*/usr/; do
    [ -d "$folder/lib/modules/$(uname -r)" ] && kernel=$folder
done
for module in ahci sd_mod nvme dm-mod loop mq-deadline; do
    modprobe -d "$kernel" "$module" || echo "no $module"
done

# The first disk whose name begins so, or the virtio disk with this serial number; waited for 30 s at most.
disk_of() {
    local deadline=$((SECONDS + 30)) found
    until found=$(grep -lx "$1" /sys/block/*/serial 2>/dev/null || ls -d "/sys/block/$1"* 2>/dev/null); do
        [ $SECONDS -lt $deadline ] || { echo "no disk $1" >&2; return 1; }
        sleep 0.1
    done
    found=${found%%$'\n'*} found=${found%/serial}
    basename "$found"
}

virtio=$(disk_of virtio) && nvme=$(disk_of nvme) && sata=$(disk_of sd) || exit 1
beneath_dm=$(disk_of beneath-dm) && beneath_loop=$(disk_of beneath-loop) || exit 1
dmsetup --noudevsync create stacked --table "0 $(cat "/sys/block/$beneath_dm/size") linear /dev/$beneath_dm 0" || exit 1
mapped=$(dmsetup info -c --noheadings -o blkdevname stacked)
looped=$(losetup --find --show --direct-io=on "/dev/$beneath_loop") || exit 1
looped=$(basename "$looped")
# The name of the sort, the device that is read, and the one that it lies on.
cat >devices <<END
virtio $virtio $virtio
nvme $nvme $nvme
sata $sata $sata
device-mapper $mapped $beneath_dm
loop $looped $beneath_loop
END
cat devices

# ---- the containers -------------------------------------------------------------------------------

# Like a container of Docker's, with an id of a letter and the number of the device.
group_of() { printf '/sys/fs/cgroup/docker/%s%063d' "$1" "$2"; }

mkdir /sys/fs/cgroup/docker
echo "+io +cpu" >/sys/fs/cgroup/docker/cgroup.subtree_control

# Reads a device from this place on, one request after the other, until it is killed.
read_from() {
    echo "$BASHPID" >"$1/cgroup.procs"
    exec dd if="/dev/$2" of=/dev/null bs=4k skip="$3" iflag=direct status=none
}

start() {
    local number=0 at
    while read -r _ device _; do
        mkdir -p "$(group_of a $number)" "$(group_of b $number)"
        read_from "$(group_of a $number)" "$device" 0 &
        for at in $(seq $hammers); do read_from "$(group_of b $number)" "$device" $((at * 20000)) & done
        number=$((number + 1))
    done <devices
}

stop() {
    local group
    for group in /sys/fs/cgroup/docker/*/; do echo 1 >"$group/cgroup.kill"; done
    wait
}

for scheduler in none mq-deadline; do
    while read -r sort device beneath; do
        # A device without requests of its own has no scheduler, and a kernel need not have each.
        for each in "$device" "$beneath"; do
            [ -e "/sys/block/$each/queue/scheduler" ] && echo $scheduler >"/sys/block/$each/queue/scheduler"
        done
        grep -qF "[$scheduler]" "/sys/block/$beneath/queue/scheduler" && echo "$scheduler $sort $device $beneath" >>watched
    done <devices
    start
    "$dunnage" blame --json --no-engines --for 4s >$scheduler.json || echo "blame: $?"
    stop 2>/dev/null
done
cat watched
