/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The tables of sched.bpf.c: what they hold, how large they are, and what user space sets before
 * loading. layout.rs repeats them as words of 8 bytes.
 */
#ifndef DUNNAGE_SCHED_TABLES_H
#define DUNNAGE_SCHED_TABLES_H

#define RING 64                  /* intervals a CPU remembers one by one; a power of two */
#define FOLD 16                  /* so many at a time leave the ring for a stretch; divides RING */
#define STRETCHES 64             /* and, before those, stretches; a power of two */
#define STRETCH_NS 8388608       /* a stretch is closed when it is this long, */
#define STRETCH_OWNERS 7         /* or when this many have run in it and another comes */
#define BRIEF_NS 50000           /* a quota throttles for longer than this */
#define TASKS 32768              /* one slot a task, by pid; a power of two */
#define BUCKETS 16               /* lengths of waits, by powers of two from 1,024 ns */
#define SAMPLE_EVERY 1024        /* events between two measurements of our own cost */
#define COST_LIMIT_NS 100000     /* what took longer was a virtual CPU that lost its processor */
#define CLOCK_EVERY_NS 100000000 /* at the least, how often the two clocks are read together */

/* Owners that are no cgroup. */
#define IDLE 0
#define UNKNOWN 1
#define KERNEL 2
#define RESERVED 4

/* Set by user space before loading. */
volatile const u32 owner_mask = 1023;  /* number of owners - 1, a power of two - 1 */
volatile const u32 owner_shift = 22;   /* 32 - log2(number of owners) */
volatile const u32 pair_mask = 1023;   /* pairs in one table of one CPU - 1 */
volatile const u32 pair_shift = 22;    /* 32 - log2(pairs in one table) */

struct interval {
    u64 end;
    u64 owner;
};

struct stretch {
    u64 begun;
    u64 end;
    struct {
        u64 time;
        u64 owner;
    } ran[STRETCH_OWNERS];
};

/* One element a CPU, three pages: the first cache line for every switch, it and the ring on one page.
 * User space writes `enabled`, `epoch_wanted` and `table`. */
struct cpu {
    u32 enabled;
    u32 epoch_wanted;
    u32 table;          /* which of the two tables of pairs is written */
    u32 epoch;
    u64 position;       /* intervals ever pushed */
    u64 last;           /* rq clock of the last switch */
    u64 begun;          /* rq clock at which this epoch began on this CPU */
    u64 clock_rq;       /* rq->clock and CLOCK_MONOTONIC (below) at one moment, so that user space can
                         * place `last` on its own clock */
    u64 switches;
    u32 current_owner;
    s32 current_pid;
    u64 clock_mono;
    u64 migrations;
    u64 cost_ns;        /* of the events that were measured */
    u64 cost_events;
    u64 cut_start;      /* scratch of one charge, else 0: the throttled interval to leave out, */
    u64 cut_end;
    u64 spilled;        /* and what found no place in the table of pairs */
    u64 stretch;        /* stretches ever begun; the last one is being filled */
    struct interval ring[RING];
    struct stretch stretches[STRETCHES];
    u64 until;          /* scratch of one charge: when the wait ended */
    u64 rest_of_page[367];
};

/* One element an owner and CPU: two cache lines, the first one for every switch. */
struct total {
    u64 run;
    u64 wait;           /* throttled time left out, unexplained and spilled included */
    u64 throttled;
    u64 unexplained;
    u64 spilled;        /* the part of `wait` that found no place in the table of pairs */
    u64 last_out;       /* rq clock of the last switch away from this owner */
    u64 wakes;          /* times that the owner came: a task came in that had slept, and not lost the CPU,
                         * and none of the owner's had run since it was queued */
    u64 idle;           /* the part of `wait` in which nobody ran: the CPU was waking up */
    u32 histogram[BUCKETS];
};

/* One element an owner and CPU, touched only where a quota throttles. */
struct throttle {
    u64 seen;           /* throttle clock at the last look, */
    u64 start;          /* and the interval that it last grew in */
    u64 end;
};

struct pair {
    u32 key; /* victim << 16 | culprit; 0 is empty */
    u32 reserved;
    u64 time;
};

/* One cache line. */
struct task {
    u64 tag;       /* start time and epoch: tells a reused pid and a pause */
    u64 delay;     /* run_delay that is accounted for */
    u64 throttle;  /* throttle clock when it was switched out runnable; 0 is unknown */
    u64 set;       /* the css_set and the address space that `owner` was found for */
    u64 space;
    u64 owner;
    u64 preempted; /* it left the CPU still wanting it */
    u64 reserved;
};

struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct cpu); } cpus SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, u64); } keys SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct name); } names SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct total); } totals SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct pair); } pairs SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_TYPE(key, u32); MAP_TYPE(value, struct throttle); } throttles SEC(".maps");
/* Mappable only because such an array begins on a page, and so its elements on cache lines. */
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, TASKS); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct task); } tasks SEC(".maps");

#endif
