/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Whose a task, a block request or a page is, as one key of 64 bits: a kernfs id, or a hash of a
 * command, with what kind it is in the highest bits. owner.rs reads the keys.
 */
#ifndef DUNNAGE_OWNER_H
#define DUNNAGE_OWNER_H

/* Keys that are no cgroup. */
#define KEY_UNKNOWN 1
#define KEY_KERNEL 2

/* What kind of owner a key names. */
#define KEY_V1 (1ULL << 63)
#define KEY_ROOT_COMMAND (1ULL << 62)
#define KEY_V1_BLKIO (1ULL << 61)
#define KEY_V1_MEMORY (1ULL << 60)

/* Set by user space before loading. */
volatile const u32 v1_cpu = 0;    /* whether the cpu controller is in a version 1 hierarchy */
volatile const u32 v2_absent = 0; /* whether no version 2 hierarchy is in use */

enum cgroup_subsys_id { cpu_cgrp_id = 1 };

struct name {
    u64 comm[2];
};

/* The key of a task's owner; `name` is filled in where it is a command of the root cgroup. */
INLINE u64 key_of_task(struct task_struct *task, struct name *name)
{
    struct css_set *set = task->cgroups;
    struct cgroup *group = set->dfl_cgrp;
    if (!v2_absent && group->level > 0)
        return group->kn->id;
    if (v1_cpu && ENUM_EXISTS(enum cgroup_subsys_id, cpu_cgrp_id)) {
        /* The place of the cpu controller is known only when the program is relocated. */
        struct cgroup_subsys_state *state = set->subsys[ENUM_VALUE(enum cgroup_subsys_id, cpu_cgrp_id)];
        struct cgroup *v1 = state->cgroup;
        if (v1->level > 0)
            return v1->kn->id | KEY_V1;
    }
    if (task->flags & PF_KTHREAD)
        return KEY_KERNEL;
    /* By command and not by process: a host that forks all the time would fill the table. */
    struct task_struct *leader = task->group_leader;
    bpf_probe_read_kernel(name, sizeof(*name), &leader->comm);
    u64 hash = name->comm[0] * 0x9E3779B97F4A7C15ULL ^ name->comm[1] * 0xC2B2AE3D27D4EB4FULL;
    hash ^= hash >> 29;
    return hash >> 2 | KEY_ROOT_COMMAND;
}

#endif
