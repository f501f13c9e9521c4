#!/usr/bin/env bash
# Process 1 of the virtual machine: mounts what a booted system has, with cgroup v2 alone, runs the
# command, and powers off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /dev/pts /dev/shm /scratch /out
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
# Controllers can only be handed down by a cgroup without processes of its own, save the root,
# which engines do not rely on.
mkdir /sys/fs/cgroup/init
while read -r pid; do
    echo "$pid" >/sys/fs/cgroup/init/cgroup.procs
done </sys/fs/cgroup/cgroup.procs 2>/dev/null
echo "+cpu +cpuset +io +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
ip link set lo up
hostname guest
mount /dev/vda /scratch
export TMPDIR=/scratch
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 out /out
echo "GUEST-READY after $(cut -d' ' -f1 /proc/uptime) s"
bash /out/command >/out/output 2>&1
echo $? >/out/status
sync
echo o >/proc/sysrq-trigger
sleep 30
