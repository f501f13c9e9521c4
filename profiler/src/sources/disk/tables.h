/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The tables of disk.bpf.c: what they hold and how large they are. layout.rs repeats them as words of
 * 8 bytes.
 */
#ifndef DUNNAGE_DISK_TABLES_H
#define DUNNAGE_DISK_TABLES_H

#define DEVICES 32   /* a power of two: devices that had a request since the start; what comes after is counted as lost */
#define SLOTS 32     /* owners of one device, a power of two; slot 0 is all who found no other. Loops end at
                      * the last one that is in use. */
#define IN_FLIGHT 4096 /* requests between queueing and completion, a power of two */
#define MERGED 320   /* of one hardware request: 4 KiB each up to the 1,280 KiB that the kernel merges */
#define WAYS 4       /* places where one request may be; divides IN_FLIGHT */
#define CLASSES 12   /* kinds and sizes of requests, and fsync */
#define BUCKETS 40   /* latencies, two a power of two, from 1,024 ns */
#define FIRST_WRITE 5
#define FLUSH_CLASS 10
#define SYNC_CLASS 11
#define SYNCS 1024   /* tasks inside fsync */
#define FILESYSTEMS 16 /* a power of two: file systems that had an fsync since the start */
#define FRACTION 20  /* bits behind the point when time is split */
#define ALONE 15     /* so many sixteenths of the device's time are as good as all of it */
#define STALE_NS 30000000000ULL /* a request whose end was missed is forgotten after this */
#define SWEEP_EVERY 8 /* one request in so many looks for such, a power of two */

/* What a request counts for when the device's time is split: what it costs to do one at all, in units
 * of the 4 KiB that it moves besides (32 KiB: between what the linear models of the kernel's iocost
 * take for NVMe, 6 KiB, and for a SATA SSD, 54 KiB), a flush or a discard, and the most that one can
 * count for. */
#define FIXED_WEIGHT 8
#define FLUSH_WEIGHT 64
#define MOST_WEIGHT 1024

#define MAP_TYPE_HASH 1 /* include/uapi/linux/bpf.h */

struct bpf_spin_lock {
    u32 val;
};

/* Latencies of one kind and size of request that somebody waits for. `alone`: nobody else's was outstanding meanwhile. */
struct class {
    u32 count;
    u32 alone_count;
    u64 time;
    u64 alone_time;
};

/* An owner on a device. User space writes `retired` where nothing of it is outstanding: the slot may be
 * another owner's then. The sums go on. */
struct slot {
    u64 key;
    struct name name;
    u64 retired;
    u64 outstanding;
    u64 read_bytes;
    u64 written_bytes;
    u64 reads;
    u64 writes;
    u64 wait;    /* request-time, of requests that somebody waits for */
    u64 waiting; /* time with at least one of them */
    u64 shared;  /* the part of `wait` in which the device worked for it, and for others besides */
    u64 journalled; /* blocks that it had the journal write */
    struct class classes[CLASSES];
};

struct slots {
    struct slot slot[SLOTS];
};

/* What a victim waited for one culprit. */
struct pair {
    u64 charged; /* `occupied` of the culprit when the victim was last charged */
    u64 time;    /* request-time of the victim */
};

/* The time of a device, split over its owners. */
struct blame {
    u64 occupied[SLOTS];            /* each one's part of the time in which the device had requests */
    struct pair pairs[SLOTS][SLOTS]; /* [victim][culprit] */
};

/* What is known of a device: requests that somebody waits for, by class and latency. */
struct known {
    u64 latency[CLASSES * BUCKETS];
};

/* What every event of an owner's touches. The CPUs hand these lines to and fro, so they are few. */
struct owner {
    u64 key;
    u64 weight;  /* of its requests outstanding */
    u64 waiting; /* of its requests, those that somebody waits for */
    u64 since;   /* when it was last charged */
};

/* The state of a device, under its lock. */
struct device {
    struct bpf_spin_lock lock;
    u32 journal; /* the slot of the file system's journal */
    u32 used;    /* the last slot that is in use or was */
    u32 found;   /* scratch: the slot that is searched for, in memory so that the verifier forgets which */
    u64 last;    /* when `occupied` was brought up to date */
    u64 weight;  /* of all requests outstanding */
    u64 busy;    /* time with requests outstanding */
    struct owner owners[SLOTS];
};

/* Where a request is counted, in one number: device, slot, class, whether somebody waits for it, weight. */
#define PLACE(device, slot, class, waits, weight) \
    ((u64)(device) | (u64)(slot) << 8 | (u64)(class) << 16 | (u64)(waits) << 24 | (u64)(weight) << 32)
#define UNSEEN (1ULL << 31) /* its end was missed */

/* A request. */
struct flight {
    u64 bio; /* 0 is a free place */
    u64 start;
    u64 occupied; /* of its owner, at the start */
    u64 place;
};

struct flights {
    struct flight way[WAYS];
};

/* A request that comes, or blocks that somebody has a journal write. */
struct beginning {
    u64 now;
    u64 place; /* its slot is not known yet */
    u64 amount; /* bytes, or blocks */
    u64 key;
    struct name name;
};

/* A task inside fsync. It waits as a request does, and the device does not work for it: the device works
 * for the requests that it waits for, its own, others' and the journal's. */
struct sync {
    u64 place;
    u64 start;
    u64 occupied; /* of its owner, */
    u64 journal;  /* of the journal, */
    u64 busy;     /* and the device's busy time, at the start */
};

struct directory {
    u32 number[DEVICES]; /* major << 20 | minor */
    u64 lost;            /* requests of devices that found no place, or whose end could not be awaited */
    u64 missed;          /* requests whose end was not seen */
    u64 hand;            /* of the sweep for those */
    u64 syncing;         /* tasks inside fsync */
    u64 filesystem[FILESYSTEMS]; /* the number of its own device in the upper half, and where its disk is in `number` */
};

struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct directory); } directory SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, DEVICES); MAP_TYPE(key, u32); MAP_TYPE(value, struct device); } devices SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, DEVICES); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct slots); } slots SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, DEVICES); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct blame); } blames SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, DEVICES); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct known); } known SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, IN_FLIGHT / WAYS); MAP_TYPE(key, u32); MAP_TYPE(value, struct flights); } in_flight SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_HASH); MAP_UINT(max_entries, SYNCS); MAP_TYPE(key, u32); MAP_TYPE(value, struct sync); } syncs SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_PERCPU_ARRAY); MAP_UINT(max_entries, 1); MAP_TYPE(key, u32); MAP_TYPE(value, struct charged); } last_charged SEC(".maps");

#endif
