/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Who fills the queue of a network device, and whose packets stand in it meanwhile.
 *
 * Each time a packet leaves a queue, the time since the last one left is added, for every owner that
 * has packets in the queue, to the pair of that owner and the one whose packets went out. So an
 * owner's pairs add up to the time in which at least one of its packets stood in the queue. An owner
 * whose packet was dropped is shut out of the queue, which is no better than to stand in it: it counts
 * until its next packet is let in, at most for the time after which TCP sends again.
 *
 * Packets that find the queue empty and the device ready never come here: they do not wait.
 *
 * Whose a packet is says its socket. Two moments before the queue are noted for each CPU: where a
 * packet is received (from a container's veth it still has its socket, which it loses when it is
 * forwarded), and where it is offered to the queue (a shaper may cut it up and free it).
 *
 * Those moments, and the end of every packet, are entered for each packet of the machine, through a queue
 * or not. So their programs are attached only while queues are in use (demand.rs). Without them a packet
 * is its socket's as long as it has one, and nobody's else: what was noted in an earlier stretch may be
 * of another packet in the same memory, and counts for nothing.
 */
#include "../ebpf.h"
#include "../address.h"
#include "../owner.h"
#include "../packet.h"
#include "tables.h"

#define TCQ_F_NOLOCK 0x100 /* include/net/sch_generic.h: `q.qlen` is not kept */

#define RECEIVED 0
#define SENT 1

struct ns_common {
    unsigned int inum;
} RELOCATED;

struct net {
    struct ns_common ns;
} RELOCATED;

typedef struct {
    struct net *net;
} RELOCATED possible_net_t;

struct qdisc_skb_head {
    u32 qlen;
} RELOCATED;

struct Qdisc_ops {
    char id[16];
} RELOCATED;

struct Qdisc {
    void *enqueue;
    unsigned int flags;
    u32 handle;
    struct Qdisc_ops *ops;
    struct qdisc_skb_head q;
} RELOCATED;

struct netdev_queue {
    struct net_device *dev;
    struct Qdisc *qdisc;
} RELOCATED;

struct net_device {
    char name[16];
    int ifindex;
    struct netdev_queue *_tx;
    possible_net_t nd_net;
} RELOCATED;

INLINE u32 hash_of(u64 value)
{
    return (u32)(value * 0x9E3779B97F4A7C15ULL >> 32);
}

INLINE struct offered *offer(u32 which)
{
    return bpf_map_lookup_elem(&offers, &which);
}

INLINE void count_lost(void)
{
    u32 first = 0;
    u64 *count = bpf_map_lookup_elem(&lost, &first);
    if (count)
        __sync_fetch_and_add(count, 1);
}

/* The place of a queue that is known; QUEUES where it is not. */
INLINE u32 find_queue(u64 qdisc)
{
    u32 start = (u64)hash_of(qdisc) * QUEUES >> 32;
    for (u32 i = 0; i < 4; i++) {
        u32 at = start + i < QUEUES ? start + i : start + i - QUEUES;
        struct queue *queue = bpf_map_lookup_elem(&queues, &at);
        if (queue && queue->qdisc == qdisc)
            return at;
    }
    return QUEUES;
}

/* The place for a queue that is not known. */
RARE u32 claim_queue(u64 qdisc)
{
    u32 start = (u64)hash_of(qdisc) * QUEUES >> 32;
    for (u32 i = 0; i < 4; i++) {
        u32 at = start + i < QUEUES ? start + i : start + i - QUEUES;
        struct queue *queue = bpf_map_lookup_elem(&queues, &at);
        if (queue && __sync_val_compare_and_swap(&queue->qdisc, 0, qdisc) == 0)
            return at;
    }
    return QUEUES;
}

/* The index of an owner within a queue. */
INLINE u32 owner_in(struct queue *queue, u64 key)
{
    if (key == KEY_UNKNOWN)
        return NOBODY;
    u32 start = hash_of(key);
    for (u32 i = 0; i < 6; i++) {
        u32 index = (start + i) & (OWNERS - 1);
        if (index == NOBODY)
            continue;
        struct owner *owner = &queue->owners[index];
        u64 seen = *(volatile u64 *)&owner->key;
        if (seen == 0)
            seen = __sync_val_compare_and_swap(&owner->key, 0, key) ?: key;
        if (seen == key)
            return index;
    }
    return NOBODY;
}

/* Since when packets are noted; 0 where they are not. */
INLINE u64 noting(void)
{
    u32 first = 0;
    struct watch *watch = bpf_map_lookup_elem(&watches, &first);
    return watch ? *(volatile u64 *)&watch->noting : 0;
}

/* A packet stands in line. Tells user space where many do and nothing is noted. */
INLINE void count_busy(u64 now)
{
    u32 first = 0;
    struct watch *watch = bpf_map_lookup_elem(&watches, &first);
    if (!watch)
        return;
    watch->busy++; /* one that is lost to another CPU does not matter */
    if (watch->noting)
        return;
    if (now - watch->since > SECOND_NS) {
        watch->since = now;
        watch->counted = 0;
    }
    if (++watch->counted == ENOUGH)
        bpf_ringbuf_output(&wakes, &now, sizeof(now), 0);
}

/* The slot of a packet in a queue, in one of two places; without one the packet is not known. */
INLINE struct packet *find_packet(u64 skb)
{
    u64 since = noting();
    if (!since)
        return 0;
    u32 at = hash_of(skb) & (PACKETS - 1);
    struct packet *packet = bpf_map_lookup_elem(&packets, &at);
    if (!packet || packet->skb != skb) {
        at ^= 1;
        packet = bpf_map_lookup_elem(&packets, &at);
    }
    /* Not all that were freed before were seen to be. */
    return packet && packet->skb == skb && packet->since >= since ? packet : 0;
}

/* A slot for a packet that comes into a queue. */
INLINE struct packet *claim_packet(u64 skb, u64 now)
{
    u32 at = hash_of(skb) & (PACKETS - 1);
    struct packet *packet = bpf_map_lookup_elem(&packets, &at);
    if (!packet || !packet->skb || packet->skb == skb || now - packet->since > STALE_NS)
        return packet;
    at ^= 1;
    return bpf_map_lookup_elem(&packets, &at);
}

/* The number of the lowest bit that is set, by a de Bruijn sequence: eBPF has no instruction for it. */
volatile const u8 lowest[64] = {
    0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4,
    62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
    63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
    46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9, 13, 8, 7, 6,
};

INLINE u64 lowest_bit(u64 bits)
{
    u64 at = (bits & -bits) * 0x03F79D71B4CB0A89ULL >> 58;
    u64 number = lowest[at & 63];
    APART(number); /* the verifier does not know what the table holds */
    return number & 63;
}

/* Adds `time` for each owner that has packets in the queue, or is shut out of it, to its pair with
 * `sender`. Those that were shut out for long have given up, or their next packet is a new matter. */
GLOBAL int charge(u32 at, u32 sender, u64 time, u64 now)
{
    struct queue *queue = bpf_map_lookup_elem(&queues, &at);
    if (!queue)
        return 0;
    u64 active = queue->active;
    for (u32 n = 0; n < OWNERS && active; n++, active &= active - 1) {
        u64 i = lowest_bit(active);
        queue->pairs[i][sender & (OWNERS - 1)] += time;
        struct owner *owner = &queue->owners[i];
        if (owner->queued && now - owner->changed > STALE_NS)
            owner->queued = 0;
        if (owner->shut_out && now - owner->shut_out > SHUT_OUT_NS)
            owner->shut_out = 0;
        if (!owner->queued && !owner->shut_out)
            __sync_fetch_and_and(&queue->active, ~(1ULL << i));
    }
    return 0;
}

/* The queue is empty, and not all that came was seen to leave. */
GLOBAL int settle(u32 at)
{
    struct queue *queue = bpf_map_lookup_elem(&queues, &at);
    if (!queue)
        return 0;
    u64 active = queue->active;
    for (u32 n = 0; n < OWNERS && active; n++, active &= active - 1) {
        u64 i = lowest_bit(active);
        struct owner *owner = &queue->owners[i];
        owner->queued = 0;
        if (!owner->shut_out)
            __sync_fetch_and_and(&queue->active, ~(1ULL << i));
    }
    queue->standing = 0;
    return 0;
}

/* One packet less of an owner in the queue. */
INLINE void take_out(struct queue *queue, u32 index)
{
    struct owner *owner = &queue->owners[index & (OWNERS - 1)];
    u64 before = owner->queued;
    if (before)
        before = __sync_fetch_and_add(&owner->queued, -1ULL);
    if (before <= 1 && !owner->shut_out)
        __sync_fetch_and_and(&queue->active, ~(1ULL << (index & (OWNERS - 1))));
    if (queue->standing)
        __sync_fetch_and_add(&queue->standing, -1ULL);
}

/* The owner of a packet that leaves: as noted when it came, or as its socket says, or the one whose
 * packets were cut up last. */
INLINE u32 owner_of_packet(struct queue *queue, struct packet *packet, u64 key)
{
    if (packet)
        return packet->place & (OWNERS - 1);
    if (key != KEY_UNKNOWN)
        return owner_in(queue, key);
    u32 cut = queue->cut & (OWNERS - 1);
    u64 since = noting();
    return since && queue->cut_noting == since && queue->owners[cut].queued ? cut : NOBODY;
}

/* A packet left the queue for the device. `key` is what its socket says, for packets that are not
 * known: the pieces of those that the qdisc cut up. Returns its owner. */
GLOBAL u32 leave(u32 at, u64 skb, u64 key, u32 length, u64 now)
{
    struct queue *queue = bpf_map_lookup_elem(&queues, &at);
    struct packet *packet = find_packet(skb);
    if (!queue)
        return NOBODY;
    u32 index = owner_of_packet(queue, packet, key);
    struct owner *owner = &queue->owners[index & (OWNERS - 1)];
    if (packet) {
        u64 stood = now - packet->since;
        if (stood > owner->longest)
            owner->longest = stood;
        packet->skb = 0;
    }
    owner->bytes += length;
    owner->packets++;
    owner->changed = now;
    take_out(queue, index);
    return index;
}

SEC("tp_btf/netif_receive_skb")
int on_receive(u64 *ctx)
{
    struct sk_buff *skb = (struct sk_buff *)ctx[0];
    struct offered *received = offer(RECEIVED);
    if (!received)
        return 0;
    u64 number = number_of(skb);
    struct sock *sk = skb->sk;
    if (sk) {
        received->key = key_of_socket(sk);
        received->skb = number;
        received->noting = noting();
    } else if (received->skb == number && !skb->skb_iif) {
        /* The same memory, another packet. One that a bridge hands to the host is received a second
         * time, and knows that. */
        received->skb = 0;
    }
    return 0;
}

SEC("tp_btf/net_dev_queue")
int on_offer(u64 *ctx)
{
    struct sk_buff *skb = (struct sk_buff *)ctx[0];
    struct net_device *device = skb->dev;
    struct netdev_queue *first = device->_tx;
    struct Qdisc *qdisc = first->qdisc;
    if (!qdisc->enqueue)
        return 0; /* a device without a queue */
    struct offered *sent = offer(SENT), *received = offer(RECEIVED);
    if (!sent || !received)
        return 0;
    u64 number = number_of(skb), since = noting();
    u64 key = received->skb == number && received->noting == since ? received->key : KEY_UNKNOWN;
    APART(key);
    struct sock *sk = skb->sk;
    if (sk)
        key = key_of_socket(sk);
    sent->key = key;
    sent->skb = number;
    sent->qdisc = number_of(qdisc);
    sent->length = skb->len;
    sent->noting = since;
    return 0;
}

/* What is known of a new queue, or of one that took the memory of another. */
INLINE void describe(struct queue *queue, struct Qdisc *qdisc, struct net_device *device)
{
    queue->device = (u64)device->nd_net.net->ns.inum << 32 | (u32)device->ifindex;
    bpf_probe_read_kernel(queue->name, sizeof(queue->name), &device->name);
    struct Qdisc_ops *ops = qdisc->ops;
    bpf_probe_read_kernel(queue->kind, sizeof(queue->kind), &ops->id);
    queue->handle = qdisc->handle;
    u64 kind = queue->kind[0];
    queue->shaped = kind == 0x666274 /* tbf */ || kind == 0x627468 /* htb */ ||
                    kind == 0x63736668 /* hfsc */ || kind == 0x656b6163 /* cake */ ||
                    kind == 0x6d6574656e /* netem */;
}

SEC("tp_btf/qdisc_enqueue")
int on_enqueue(u64 *ctx)
{
    struct Qdisc *qdisc = (struct Qdisc *)ctx[0];
    struct netdev_queue *hardware = (struct netdev_queue *)ctx[1];
    struct sk_buff *skb = (struct sk_buff *)ctx[2];
    u64 number = number_of(skb), qdisc_number = number_of(qdisc);
    u32 at = find_queue(qdisc_number);
    if (UNLIKELY(at == QUEUES))
        at = claim_queue(qdisc_number);
    struct queue *queue = bpf_map_lookup_elem(&queues, &at);
    if (!queue) {
        count_lost();
        return 0;
    }
    struct net_device *device = hardware->dev;
    if (UNLIKELY((u32)queue->device != (u32)device->ifindex))
        describe(queue, qdisc, device);
    u64 now = bpf_ktime_get_ns(), since = noting();
    u64 length = qdisc->q.qlen, added = 1;
    int is_cut = !(qdisc->flags & TCQ_F_NOLOCK) && UNLIKELY(length > queue->length + 1);
    struct offered *sent = since ? offer(SENT) : 0;
    u64 key = KEY_UNKNOWN;
    if (sent && sent->skb == number && sent->noting == since) {
        key = sent->key;
        sent->skb = 0;
    } else if (!is_cut) {
        key = key_of_socket(skb->sk); /* one that was cut up is freed already */
    }
    u32 index = owner_in(queue, key);
    if (queue->standing || queue->shaped)
        count_busy(now);
    if (is_cut) {
        added = length - queue->length;
        queue->cut = index;
        queue->cut_noting = since;
    } else if (since) {
        struct packet *packet = claim_packet(number, now);
        if (packet) {
            packet->since = now;
            packet->place = (u64)at << 8 | index;
            packet->skb = number;
        }
    }
    queue->length = length;
    queue->events++;
    if (!queue->standing) {
        queue->last = now;
        queue->starting = 1;
    }
    struct owner *owner = &queue->owners[index & (OWNERS - 1)];
    owner->shut_out = 0;
    owner->changed = now;
    __sync_fetch_and_add(&queue->standing, added);
    __sync_fetch_and_add(&owner->queued, added);
    u64 bit = 1ULL << (index & (OWNERS - 1));
    if (!(queue->active & bit))
        __sync_fetch_and_or(&queue->active, bit);
    return 0;
}

SEC("tp_btf/qdisc_dequeue")
int on_dequeue(u64 *ctx)
{
    struct Qdisc *qdisc = (struct Qdisc *)ctx[0];
    struct sk_buff *skb = (struct sk_buff *)ctx[3];
    if (!skb)
        return 0;
    u32 at = find_queue(number_of(qdisc));
    struct queue *queue = bpf_map_lookup_elem(&queues, &at);
    if (!queue)
        return 0;
    u64 now = bpf_ktime_get_ns();
    /* Who held the queue until now: for a shaper the one that leaves, whose length must be saved up;
     * for a device the one before, which was on the wire. What a packet waits for that found the
     * queue empty is the one before, too. */
    u32 sender = queue->sender & (OWNERS - 1);
    if (queue->shaped && !queue->starting)
        sender = owner_of_packet(queue, find_packet(number_of(skb)), key_of_socket(skb->sk));
    u64 last = queue->last;
    if (now > last)
        charge(at, sender, now - last, now);
    queue->last = now;
    queue->starting = 0;
    u32 index = NOBODY;
    for (u32 i = 0; i < BULK; i++) {
        index = leave(at, number_of(skb), key_of_socket(skb->sk), skb->len, now);
        skb = skb->next;
        if (!skb)
            break;
    }
    queue->sender = index;
    u64 length = qdisc->q.qlen;
    queue->length = length;
    if (!length && queue->standing && !(qdisc->flags & TCQ_F_NOLOCK))
        settle(at);
    return 0;
}

/* A packet of an owner was dropped. */
GLOBAL int drop(u32 at, u64 key, u32 index, u64 length)
{
    struct queue *queue = bpf_map_lookup_elem(&queues, &at);
    if (!queue)
        return 0;
    if (key)
        index = owner_in(queue, key);
    struct owner *owner = &queue->owners[index & (OWNERS - 1)];
    __sync_fetch_and_add(&owner->dropped, 1);
    __sync_fetch_and_add(&owner->dropped_bytes, length);
    owner->shut_out = bpf_ktime_get_ns();
    queue->events++;
    __sync_fetch_and_or(&queue->active, 1ULL << (index & (OWNERS - 1)));
    return 0;
}

SEC("tp_btf/kfree_skb")
int on_drop(u64 *ctx)
{
    struct sk_buff *skb = (struct sk_buff *)ctx[0];
    u64 number = number_of(skb);
    struct offered *sent = offer(SENT);
    if (sent && sent->skb == number && sent->noting == noting()) {
        /* Offered to a queue on this CPU just now, and not let in. */
        sent->skb = 0;
        drop(find_queue(sent->qdisc), sent->key, NOBODY, sent->length);
        return 0;
    }
    struct packet *packet = find_packet(number);
    if (packet) {
        /* It was in a queue, which threw it away. */
        packet->skb = 0;
        u32 at = packet->place >> 8, index = packet->place & (OWNERS - 1);
        struct queue *queue = bpf_map_lookup_elem(&queues, &at);
        if (queue)
            take_out(queue, index);
        drop(at, 0, index, skb->len);
    }
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
