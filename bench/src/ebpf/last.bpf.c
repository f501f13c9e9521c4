/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The simpler rule that Dunnage is compared with: whoever ran last is to blame for the whole wait.
 *
 * At each switch-in the wait that ends now is added up by the waiting task's cgroup and the one of
 * the task that was on the CPU until now, as published in "Noisy Neighbor Detection with eBPF"
 * (Netflix, 2024), but without its sampling.
 */
#include "../../../profiler/src/sources/ebpf.h"

struct pair {
    u64 waited; /* kernfs id of the one who waited */
    u64 last;   /* of the one who ran last; 0 for the idle task */
};

struct {
    MAP_UINT(type, MAP_TYPE_LRU_HASH);
    MAP_UINT(max_entries, 4096);
    MAP_TYPE(key, struct pair);
    MAP_TYPE(value, u64);
} waits SEC(".maps");

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
    struct task_struct *before = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];
    u64 queued = next->sched_info.last_queued;
    u64 now = next->se.cfs_rq->rq->clock;
    if (next->pid == 0 || queued == 0 || now <= queued)
        return 0;
    struct pair key = {.waited = next->cgroups->dfl_cgrp->kn->id};
    if (before->pid != 0)
        key.last = before->cgroups->dfl_cgrp->kn->id;
    u64 wait = now - queued;
    u64 *sum = bpf_map_lookup_elem(&waits, &key);
    if (sum)
        __sync_fetch_and_add(sum, wait);
    else
        bpf_map_update_elem(&waits, &key, &wait, 0);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
