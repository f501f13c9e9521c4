#!/usr/bin/env bash
# Makes the rack's view of the machine a node for a kubelet: a /var/lib/kubelet and a /var/log of its own,
# own files over what a kubelet sets for the whole machine, and a cgroup of its own, because a kubelet
# ends whatever it does not know there. Says READY and stays while standard input is open; then everything
# in the cgroup is ended.
# Usage: unshare --mount --net --propagation private kubelet-node.sh FOLDER CGROUP
set -euo pipefail
folder=$1 cgroup=$2

mkdir -p "$folder/kubelet" "$folder/sysctl" /var/lib/kubelet
mount --bind "$folder/kubelet" /var/lib/kubelet
mount -t tmpfs tmpfs /var/log
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    own=$folder/sysctl/${name//\//-}
    cat "/proc/sys/$name" >"$own"
    mount --bind "$own" "/proc/sys/$name"
done
ip link set lo up

groups=()
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    groups=("/sys/fs/cgroup/$cgroup")
    mkdir -p "${groups[0]}"
    for parent in /sys/fs/cgroup "${groups[0]}"; do
        for controller in $(cat "$parent/cgroup.controllers"); do
            echo "+$controller" >"$parent/cgroup.subtree_control" || true
        done
    done
else
    for hierarchy in /sys/fs/cgroup/*/; do
        groups+=("$hierarchy$cgroup")
        mkdir -p "$hierarchy$cgroup"
    done
fi

echo READY
cat >/dev/null

for _ in {1..100}; do
    find "${groups[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -KILL 2>/dev/null || true
    find "${groups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null && break
    [ -n "$(find "${groups[@]}" -maxdepth 0 2>/dev/null)" ] || break
    sleep 0.1
done
