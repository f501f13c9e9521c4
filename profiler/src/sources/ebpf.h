/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * What every eBPF program of Dunnage needs: the few kernel types it reads, and the helpers it calls.
 *
 * Only the fields that are used are declared. `preserve_access_index` makes the compiler record a
 * relocation for each access (CO-RE), so that one object fits every kernel with BTF: field offsets
 * here mean nothing.
 */
#ifndef DUNNAGE_EBPF_H
#define DUNNAGE_EBPF_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline
/* A global function is verified once, on its own, and not again at every call. */
#define GLOBAL __attribute__((noinline))
/* Off the straight path: a function of its own, so that what every event runs stays together in the
 * instruction cache. */
#define RARE static __attribute__((noinline))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
/* Keeps the compiler from making one load out of two through different kinds of pointers, which the
 * verifier refuses. */
#define APART(value) __asm__ volatile("" : "+r"(value))
#define RELOCATED __attribute__((preserve_access_index))

/* Map definitions in BTF, as aya and libbpf read them. */
#define MAP_UINT(name, value) int(*name)[value]
#define MAP_TYPE(name, type) type *name
#define MAP_TYPE_ARRAY 2
#define MAP_TYPE_PERCPU_ARRAY 6
#define MAP_TYPE_LRU_HASH 9
#define MAP_TYPE_RINGBUF 27
#define MAP_MMAPABLE 1024 /* BPF_F_MMAPABLE, Linux 5.5 */

/* linux/bpf.h numbers these helpers; they never change. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*const bpf_skb_cgroup_id)(void *skb) = (void *)79;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static long (*const bpf_ringbuf_output)(void *map, void *data, u64 size, u64 flags) = (void *)130;

/* Kinds of __builtin_preserve_field_info and __builtin_preserve_enum_value (libbpf's bpf_core_read.h). */
#define FIELD_OFFSET(field) __builtin_preserve_field_info(field, 0)
#define FIELD_SIZE(field) __builtin_preserve_field_info(field, 1)
#define FIELD_EXISTS(field) __builtin_preserve_field_info(field, 2)
#define ENUM_EXISTS(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 0)
#define ENUM_VALUE(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 1)

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

struct kernfs_node {
    u64 id;
} RELOCATED;

struct cgroup_root {
    int hierarchy_id;
} RELOCATED;

struct cgroup {
    int level;
    struct kernfs_node *kn;
    struct cgroup_root *root;
} RELOCATED;

struct cgroup_subsys_state {
    struct cgroup *cgroup;
} RELOCATED;

struct css_set {
    /* Indexed by enum cgroup_subsys_id, whose values depend on the kernel's configuration. */
    struct cgroup_subsys_state *subsys[16];
    struct cgroup *dfl_cgrp;
} RELOCATED;

struct task_struct;
struct mm_struct;

struct rq {
    u64 clock;
    int cpu;
} RELOCATED;

struct cfs_rq {
    struct rq *rq;
    u64 throttled_clock_self_time; /* since 6.6, on rq->clock */
    u64 throttled_clock_pelt_time; /* 5.19 to 6.5, on the PELT clock */
    u64 throttled_clock_task_time; /* before, on rq->clock_task */
} RELOCATED;

struct sched_entity {
    struct cfs_rq *cfs_rq;
} RELOCATED;

struct sched_info {
    unsigned long pcount;
    u64 run_delay;
    u64 last_arrival;
    u64 last_queued;
} RELOCATED;

struct task_struct {
    unsigned int __state; /* `state` before 5.14 */
    unsigned int flags;
    int on_rq;
    struct sched_entity se;
    struct sched_info sched_info;
    int pid;
    u64 start_time;
    struct task_struct *group_leader;
    char comm[16];
    struct css_set *cgroups;
    struct mm_struct *mm;
} RELOCATED;

#endif
