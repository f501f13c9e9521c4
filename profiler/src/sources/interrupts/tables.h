/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The tables of interrupts.bpf.c, less than 1.5 MiB in all. tables.rs repeats what user space reads.
 */
#ifndef DUNNAGE_INTERRUPTS_TABLES_H
#define DUNNAGE_INTERRUPTS_TABLES_H

#define OWNERS 4096  /* all sizes are powers of two */
#define WORKED 4096  /* cells of work done: owner, CPU */
#define WORKERS 256  /* workers that are followed at once */
#define SPACES 1024  /* network namespaces that are known at once */
#define PACKETS 4096 /* packets and flows that are known at once; a backlog holds 1,000 */

/* Set by user space before loading: cells of time taken (CPU, kind, victim, owner), a power of two, - 1. */
volatile const u32 taken_mask = 4095;

/* Owners that are no cgroup, as indexes. */
#define IDLE 0
#define UNKNOWN 1
#define KERNEL 2
#define RESERVED 4

/* Of a context: it has handled nothing yet, or something of which nothing is known. */
#define NOBODY 0
#define NAMELESS 3

/* What kind of context it is; softirqs by what InterruptKind tells apart. */
#define IRQ 0
#define NETWORK 1
#define BLOCK 2
#define OTHER 3

#define CELL_USED (1ULL << 63)

struct context {
    u64 began; /* when the span that is being accounted for began; 0: not in such a context */
    u32 kind;
    u32 owner;
    u64 nameless_time; /* of packets without a name, */
    u64 nameless;      /* and how many they were */
    /* The cell of time taken that was added to last; one task is interrupted many times for one owner. */
    u64 cell_key;
    u64 cell;
};

/* One element a CPU, four cache lines. */
struct cpu {
    u64 slot;   /* written by user space: 0 while nothing is to begin, else a number that no slot before had */
    u64 events; /* into programs, about */
    struct context softirq;
    struct context irq;
    u64 irq_entered;
    u64 from_threads; /* taken from kernel threads */
    u64 lost;         /* times that a table was full */
    /* The task that was asked last whose it is, and the answer. */
    u32 victim_pid;
    u32 victim;
    u64 victim_set;
    u64 victim_space;
    u64 victim_key;
    u64 sent_by;      /* who sent the last packet outside a context, if since the last softirq of the network */
    u64 sender_key;   /* who sent the last packet of all, */
    u64 sender_owner; /* and the index of its key */
    struct charged completed; /* of block requests that ended, */
    struct charged queued;    /* and that workers sent: the one comes while the other is looked at */
    u64 reserved[2];
};

struct cell {
    u64 key; /* 0 is empty */
    u64 time;
};

struct worker {
    u32 pid;
    u16 cpu;         /* of its last mark, */
    u16 slot;        /* and the CPU's slot then */
    u64 ran;         /* its sum_exec_runtime, */
    u64 interrupted; /* and its CPU's `from_threads`, at the last mark */
};

/* Whose a network namespace is: its key; or a packet on loopback: the index of its key. Other packets'
 * notes are in notes.h. */
struct known {
    u64 what;
    u64 whose;
};

struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct cpu); } cpus SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, OWNERS); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, u64); } keys SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, OWNERS); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct name); } names SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 4096); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct cell); } taken SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, WORKED); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct cell); } worked SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, WORKERS); MAP_TYPE(key, u32); MAP_TYPE(value, struct worker); } workers SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, SPACES); MAP_TYPE(key, u32); MAP_TYPE(value, struct known); } spaces SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, PACKETS); MAP_TYPE(key, u32); MAP_TYPE(value, struct known); } packets SEC(".maps");

#endif
