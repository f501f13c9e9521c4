/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Who waits in reclaim, for which limit, and how much was thrown out on whose behalf; who is killed
 * for want of memory. Only tasks that ran out of memory come here, so that nothing is paid by the
 * others.
 *
 * A task in reclaim is remembered by its pid in a slot of a fixed table. The limit that it ran into is
 * the lowest cgroup on its chain of memory cgroups that is full, as the kernel itself looks for it
 * (try_charge_memcg).
 */
#include "../ebpf.h"
#include "../owner.h"

#define MAP_TYPE_HASH 1
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

#define SLOTS 4096
#define CELLS 1024 /* of (owner, limit) */
#define KILLS 64

/* Levels of cgroups that are looked at, the lowest first. */
#define LEVELS 12

/* What a CPU takes from a limit in advance, in pages (MEMCG_CHARGE_BATCH). */
#define BATCH 64

/* A limit with less room than this part of it may have been full a moment ago. */
#define NEARLY_FULL 8

/* What stands for a limit: 0 for the whole machine, else the key of the cgroup. */
#define LIMIT_UNKNOWN KEY_UNKNOWN
#define LIMIT_HIGH (1ULL << 59) /* memory.high and not memory.max */

/* Set by user space before loading. */
volatile const u32 v1_memory = 0; /* whether the memory controller is in a version 1 hierarchy */

/* The place of the memory controller is known only when the program is relocated. */
enum cgroup_subsys_id___memory { memory_cgrp_id = 4 };

struct cgroup_subsys_state___memory {
    struct cgroup *cgroup;
    struct cgroup_subsys_state *parent;
} RELOCATED;

typedef struct {
    s64 counter;
} atomic_long_t;

struct page_counter {
    atomic_long_t usage;
    unsigned long max;
    unsigned long high;
} RELOCATED;

struct mem_cgroup {
    struct page_counter memory;
    struct page_counter memsw;
} RELOCATED;

struct slot {
    u64 pid;
    u64 start; /* 0 where its last reclaim is over */
    u64 limit;
};

struct key {
    u64 owner;
    u64 limit;
};

struct cell {
    u64 stall; /* ns */
    u64 reclaims;
    u64 pages; /* that were freed on the owner's behalf */
    u64 comm[2];
};

struct kill {
    u64 owner;
    u64 limit;
    u64 held;         /* pages that the victim's memory cgroup had in use */
    u64 asker;        /* whose task asked for memory in vain */
    u64 asker_held;   /* pages that its memory cgroup had in use */
    u64 comm[2];
    u64 owner_comm[2]; /* of the commands of the root cgroup */
    u64 asker_comm[2];
};

enum { COUNT_RECLAIMS, COUNT_LOST, COUNT_KSWAPD, COUNT_KILLS, COUNTS };

struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, SLOTS); MAP_TYPE(key, u32); MAP_TYPE(value, struct slot); } slots SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_HASH); MAP_UINT(max_entries, CELLS); MAP_TYPE(key, struct key); MAP_TYPE(value, struct cell); } cells SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_UINT(max_entries, KILLS); MAP_TYPE(key, u32); MAP_TYPE(value, struct kill); } kills SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_UINT(max_entries, COUNTS); MAP_TYPE(key, u32); MAP_TYPE(value, u64); } counts SEC(".maps");

INLINE u64 count(u32 which)
{
    u64 *value = bpf_map_lookup_elem(&counts, &which);
    return value ? __sync_fetch_and_add(value, 1) : 0;
}

INLINE u64 number(const void *at)
{
    u64 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), at);
    return value;
}

INLINE struct cgroup_subsys_state *memory_of(struct task_struct *task)
{
    struct css_set *set = task->cgroups;
    return set->subsys[ENUM_VALUE(enum cgroup_subsys_id___memory, memory_cgrp_id)];
}

/* Pages in use by a task's memory cgroup. */
INLINE u64 held_by(struct task_struct *task)
{
    struct mem_cgroup *group = (void *)memory_of(task);
    return number(&group->memory.usage.counter);
}

/* The cgroup on the task's chain whose limit it ran into. */
INLINE u64 limit_of(struct task_struct *task)
{
    u64 nearest = LIMIT_UNKNOWN, least = ~0ULL, high = 0;
    struct cgroup_subsys_state *state = memory_of(task);
    for (int level = 0; level < LEVELS && state; level++) {
        struct cgroup_subsys_state___memory *node = (void *)state;
        struct cgroup *group = node->cgroup;
        if (group->level == 0)
            break;
        u64 key = group->kn->id | (v1_memory ? KEY_V1_MEMORY : 0);
        struct mem_cgroup *memory = (void *)state;
        u64 used = number(&memory->memory.usage.counter);
        u64 max = number(&memory->memory.max);
        u64 room = max > used ? max - used : 0;
        if (v1_memory) {
            u64 swap_used = number(&memory->memsw.usage.counter);
            u64 swap_max = number(&memory->memsw.max);
            u64 swap_room = swap_max > swap_used ? swap_max - swap_used : 0;
            if (swap_room < room)
                room = swap_room;
        }
        if (room < BATCH)
            return key;
        if (!high && FIELD_EXISTS(memory->memory.high) && used > number(&memory->memory.high))
            high = key | LIMIT_HIGH;
        if (room < max / NEARLY_FULL && room < least) {
            least = room;
            nearest = key;
        }
        state = node->parent;
    }
    return high ? high : nearest;
}

INLINE struct slot *slot_of(u64 pid)
{
    u32 at = pid % SLOTS;
    return bpf_map_lookup_elem(&slots, &at);
}

INLINE int begin(u64 limit, struct task_struct *task)
{
    u64 pid = (u32)task->pid;
    struct slot *slot = slot_of(pid);
    if (!slot)
        return 0;
    if (slot->start && slot->pid != pid)
        count(COUNT_LOST);
    slot->pid = pid;
    slot->limit = limit;
    slot->start = bpf_ktime_get_ns();
    return 0;
}

INLINE int end(u64 pages)
{
    struct task_struct *task = bpf_get_current_task_btf();
    u64 pid = (u32)task->pid;
    struct slot *slot = slot_of(pid);
    if (!slot || slot->pid != pid || !slot->start)
        return 0;
    u64 stall = bpf_ktime_get_ns() - slot->start;
    slot->start = 0;
    count(COUNT_RECLAIMS);
    struct name name = {};
    struct key key = {.owner = key_of_task(task, &name), .limit = slot->limit};
    struct cell *cell = bpf_map_lookup_elem(&cells, &key);
    if (!cell) {
        struct cell fresh = {.comm = {name.comm[0], name.comm[1]}};
        bpf_map_update_elem(&cells, &key, &fresh, 1 /* BPF_NOEXIST */);
        cell = bpf_map_lookup_elem(&cells, &key);
        if (!cell) {
            count(COUNT_LOST);
            return 0;
        }
    }
    __sync_fetch_and_add(&cell->stall, stall);
    __sync_fetch_and_add(&cell->reclaims, 1);
    __sync_fetch_and_add(&cell->pages, pages);
    return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int on_machine_begin(u64 *ctx)
{
    return begin(0, bpf_get_current_task_btf());
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int on_machine_end(u64 *ctx)
{
    return end(ctx[0]);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int on_limit_begin(u64 *ctx)
{
    struct task_struct *task = bpf_get_current_task_btf();
    return begin(limit_of(task), task);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int on_limit_end(u64 *ctx)
{
    return end(ctx[0]);
}

SEC("tp_btf/mm_vmscan_kswapd_wake")
int on_kswapd(u64 *ctx)
{
    count(COUNT_KSWAPD);
    return 0;
}

/* Since Linux 6.8 the tracepoint hands over the task. */
SEC("tp_btf/mark_victim")
int on_kill(u64 *ctx)
{
    struct task_struct *victim = (void *)ctx[0];
    struct task_struct *asker = bpf_get_current_task_btf();
    u32 at = count(COUNT_KILLS) % KILLS;
    struct kill *kill = bpf_map_lookup_elem(&kills, &at);
    if (!kill)
        return 0;
    struct name name = {};
    kill->owner = key_of_task(victim, &name);
    kill->owner_comm[0] = name.comm[0];
    kill->owner_comm[1] = name.comm[1];
    kill->held = held_by(victim);
    bpf_probe_read_kernel(&kill->comm, sizeof(kill->comm), &victim->comm);
    kill->asker = key_of_task(asker, &name);
    kill->asker_comm[0] = name.comm[0];
    kill->asker_comm[1] = name.comm[1];
    kill->asker_held = held_by(asker);
    /* Whoever asks in vain has just been in reclaim for the limit that is full. */
    u64 pid = (u32)asker->pid;
    struct slot *slot = slot_of(pid);
    kill->limit = slot && slot->pid == pid ? slot->limit : limit_of(asker);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
