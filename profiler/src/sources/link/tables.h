/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The tables of link.bpf.c. layout.rs repeats them as words of 8 bytes.
 */
#ifndef DUNNAGE_LINK_TABLES_H
#define DUNNAGE_LINK_TABLES_H

#define QUEUES 48              /* queues that packets stand in at one time */
#define OWNERS 64              /* owners in one queue; one bit each in `active` */
#define PACKETS 16384          /* packets in all queues; a power of two */
#define BULK 16                /* packets that one dequeue may hand to a driver */
#define STALE_NS 4000000000    /* no packet stands in a queue for so long: its end was not seen */
#define ENOUGH 16              /* packets a second in queues from which on it is worth to note whose they are; demand.rs has it too */
#define SECOND_NS 1000000000
#define SHUT_OUT_NS 200000000  /* the least time after which TCP sends again what was lost (RFC 6298, TCP_RTO_MIN) */

/* The owner of packets that nobody can be named for, and of those that found no place. */
#define NOBODY 0

struct owner {
    u64 key;
    u64 bytes;     /* that left the queue */
    u64 packets;
    u64 dropped;   /* packets that found the queue full, or that it threw away */
    u64 longest;   /* ns that a packet stood in the queue; user space sets it back */
    u64 queued;    /* packets that stand in the queue now */
    u64 shut_out;  /* when a packet was dropped, and none has been let in since; else 0 */
    u64 dropped_bytes;
    u64 changed;   /* when a packet last came or went */
};

struct queue {
    u64 qdisc;    /* address of the root qdisc, or of the one of a hardware queue; 0 is free */
    u64 device;   /* inode of the network namespace << 32 | interface index */
    u64 name[2];  /* of the device */
    u64 kind[2];  /* of the qdisc: "tbf", "htb", "fq_codel" */
    u64 last;     /* when a packet left, or the queue began to fill */
    u64 active;   /* owners with packets in the queue, or shut out of it */
    u64 sender;   /* the owner whose packet left last */
    u64 starting; /* the queue was empty when the first packet in it came */
    u64 standing; /* packets in the queue */
    u64 length;   /* packets in the queue as the qdisc counts them, at the last event */
    u64 events;
    u64 shaped;   /* the qdisc itself holds packets back to a rate */
    u64 cut;      /* the owner whose large packets the qdisc cut up last */
    u64 cut_noting; /* `noting` then */
    u64 handle;   /* of the qdisc, as tc writes it: major << 16 */
    struct owner owners[OWNERS];
    u64 pairs[OWNERS][OWNERS]; /* ns: the first has packets in the queue while the second's go out */
};

struct packet {
    u64 skb;
    u64 since;
    u64 place; /* queue << 8 | owner */
};

/* A packet on its way through this CPU, and whose it is. */
struct offered {
    u64 skb;
    u64 key;
    u64 qdisc;
    u64 length;
    u64 noting; /* as it was then: what an earlier stretch left says nothing */
};

/* Whether packets are noted before they come to a queue: user space attaches those programs only while
 * queues are in use. */
struct watch {
    u64 noting;  /* since when; 0 is not at all */
    u64 busy;    /* packets that found others in their queue, or a shaper */
    u64 since;   /* when the second began in which `counted` were so */
    u64 counted;
};

struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, QUEUES); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct queue); } queues SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, PACKETS); MAP_TYPE(key, u32); MAP_TYPE(value, struct packet); } packets SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_PERCPU_ARRAY); MAP_UINT(max_entries, 2); MAP_TYPE(key, u32); MAP_TYPE(value, struct offered); } offers SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, struct watch); } watches SEC(".maps");
/* Wakes user space: queues are in use, and packets are not noted. */
struct { MAP_UINT(type, MAP_TYPE_RINGBUF); MAP_UINT(max_entries, 4096); } wakes SEC(".maps");
/* Packets whose queue found no place. */
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_UINT(map_flags, MAP_MMAPABLE); MAP_TYPE(key, u32); MAP_TYPE(value, u64); } lost SEC(".maps");

#endif
