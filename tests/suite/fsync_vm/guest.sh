#!/usr/bin/env bash
# In the virtual machine: on each file system one container syncs small writes, first alone, then beside
# another that writes much, on all file systems at once. What `dunnage blame` says goes to
# /out/alone.json and /out/blame.json.
# Usage: guest.sh CACHE DUNNAGE FILESYSTEM=SERIAL..., with the folder that vm.sh unpacks kernels in and
# the serial number of each file system's disk
set -uo pipefail
cache=$1 dunnage=$2
shift 2
cd /out || exit 1

for folder in "$cache"/*/ "$cache"/*/usr/; do
    [ -d "$folder/lib/modules/$(uname -r)" ] && kernel=$folder
done

# Like a container of Docker's, with an id of a letter and the number of the file system.
group_of() { printf '/sys/fs/cgroup/docker/%s%063d' "$1" "$2"; }

mkdir /sys/fs/cgroup/docker
echo "+io +cpu +memory" >/sys/fs/cgroup/docker/cgroup.subtree_control

# Both go on until they are killed.
sync_small() {
    echo "$BASHPID" >"$1/cgroup.procs"
    while :; do dd if=/dev/zero of="$2" bs=4k count=1000 oflag=dsync conv=notrunc status=none; done
}
write_much() {
    echo "$BASHPID" >"$1/cgroup.procs"
    while :; do dd if=/dev/zero of="$2" bs=1M count=100 oflag=direct conv=notrunc status=none; done
}

number=0
folders=()
for pair; do
    kind=${pair%%=*} serial=${pair#*=}
    modprobe -d "$kernel" "$kind" || exit 1
    disk=$(grep -lx "$serial" /sys/block/*/serial) || exit 1
    disk=${disk%/serial} folder=/tmp/$kind
    mkdir -p "$folder" "$(group_of a $number)" "$(group_of b $number)"
    "mkfs.$kind" -q "/dev/${disk##*/}" && mount -t "$kind" "/dev/${disk##*/}" "$folder" || exit 1
    folders+=("$folder")
    number=$((number + 1))
done

for number in "${!folders[@]}"; do sync_small "$(group_of a "$number")" "${folders[number]}/small" & done
"$dunnage" blame --json --no-engines --for 4s >alone.json || exit 1
for number in "${!folders[@]}"; do
    for file in 1 2 3; do write_much "$(group_of b "$number")" "${folders[number]}/large$file" & done
done
"$dunnage" blame --json --no-engines --for 6s >blame.json
status=$?
for group in /sys/fs/cgroup/docker/*/; do echo 1 >"$group/cgroup.kill"; done
wait 2>/dev/null
exit $status
