/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Who waits for whose requests on block devices.
 *
 * A request is a bio here: from block_bio_queue, when it reached the device, to block_bio_complete. So
 * time without a tag, in a plug, held by writeback throttling or by the I/O scheduler is inside, and
 * devices that have no requests (device-mapper, zram) are like others.
 *
 * Between two events of a device its time is split over the requests that are outstanding, by weight.
 * An owner's requests that somebody waits for are charged that split once each, so that the sums close.
 *
 * A task inside fsync waits for the device as long as it is there, as if that were a request
 * without weight; what it writes meanwhile is waited for once, and not twice. The journal is an owner of
 * its own, and who has it write how much is counted where somebody waits for it at all.
 */
#include "../ebpf.h"
#include "../address.h"
#include "../owner.h"
#include "../bio.h"
#include "tables.h"
#include "kernel.h"

INLINE u32 hash(u64 value)
{
    return value * 0x9E3779B97F4A7C15ULL >> 40;
}

/* The index of a device; DEVICES where there is no place. */
INLINE u32 device_of(struct directory *all, struct gendisk *disk)
{
    u32 number = (u32)disk->major << 20 | (u32)disk->first_minor;
    u32 at = hash(number) % DEVICES;
    for (int i = 0; i < DEVICES; i++) {
        u32 found = all->number[at];
        if (!found)
            found = __sync_val_compare_and_swap(&all->number[at], 0, number);
        if (!found || found == number)
            return at;
        at = (at + 1) % DEVICES;
    }
    return DEVICES;
}

/* Where the loops over slots end. It is read anew for each slot, so that the verifier learns nothing from
 * the comparison and walks a loop once, whatever came before. */
INLINE u32 last_slot(struct device *device)
{
    return *(volatile u32 *)&device->used;
}

/* Brings the split of a device's time up to `now`. */
INLINE void advance(struct device *device, struct blame *blame, u64 now)
{
    u64 passed = now - device->last;
    /* Another CPU read its clock later and was first. */
    if ((s64)passed <= 0)
        return;
    device->last = now;
    if (!device->weight)
        return;
    device->busy += passed;
    u64 scale = (passed << FRACTION) / device->weight;
    for (u32 i = 0; i < SLOTS; i++) {
        if (i > last_slot(device))
            break;
        blame->occupied[i] += device->owners[i].weight * scale >> FRACTION;
    }
}

/* Charges what an owner waited since it was last charged. */
INLINE void charge(struct device *device, struct blame *blame, struct slot *own, u32 victim, u64 now)
{
    struct owner *owner = &device->owners[victim];
    u64 waiting = owner->waiting, passed = now - owner->since;
    owner->since = now;
    if ((s64)passed > 0 && waiting) {
        u64 part = blame->occupied[victim] - blame->pairs[victim][victim].charged;
        own->wait += passed * waiting;
        own->waiting += passed;
        if (part * 16 < passed * ALONE)
            own->shared += part * waiting;
    }
    for (u32 i = 0; i < SLOTS; i++) {
        if (i > last_slot(device))
            break;
        struct pair *pair = &blame->pairs[victim][i];
        u64 occupied = blame->occupied[i];
        pair->time += (occupied - pair->charged) * waiting;
        pair->charged = occupied;
    }
}

/* Leaves in `found` a slot for an owner that has none yet: one that was another's who has nothing
 * outstanding, or a new one, or 0. */
INLINE void find_free(struct device *device, struct slots *slots, const struct beginning *request)
{
    for (u32 i = 1; i < SLOTS; i++) {
        if (i > last_slot(device))
            break;
        struct slot *slot = &slots->slot[i];
        if (slot->retired && !slot->outstanding)
            device->found = i;
    }
    u32 free = *(volatile u32 *)&device->found, used = last_slot(device);
    if (!free && used < SLOTS - 1) {
        free = used + 1;
        device->used = free;
        device->found = free;
    }
    if (!free)
        return;
    struct slot *slot = &slots->slot[free % SLOTS];
    device->owners[free % SLOTS].key = request->key;
    slot->key = request->key;
    slot->name = request->name;
}

/* The slot of an owner, its own or 0. */
INLINE u32 slot_of(struct device *device, struct slots *slots, const struct beginning *request)
{
    device->found = 0;
    for (u32 i = 1; i < SLOTS; i++) {
        if (i > last_slot(device))
            break;
        if (device->owners[i].key == request->key) {
            device->found = i;
            break;
        }
    }
    if (UNLIKELY(!*(volatile u32 *)&device->found))
        find_free(device, slots, request);
    u32 slot = *(volatile u32 *)&device->found % SLOTS;
    slots->slot[slot].retired = 0;
    return slot;
}

/* The kind and size of a request. */
INLINE u32 class_of(u32 op, u32 bytes)
{
    if (op == OP_FLUSH || op == OP_DISCARD || op == OP_SECURE_ERASE || !bytes)
        return FLUSH_CLASS;
    u32 size = bytes <= 8192 ? 0 : bytes <= 32768 ? 1 : bytes <= 131072 ? 2 : bytes <= 524288 ? 3 : 4;
    return op & OP_WRITE ? 5 + size : size;
}

/* Two buckets a power of two, from 1,024 ns. */
INLINE u32 bucket_of(u64 time)
{
    u64 units = time >> 10, left = units, log = 0;
    for (u32 bits = 16; bits; bits >>= 1) {
        /* No branch: each would double what the verifier walks. */
        u64 more = (((1ULL << bits) - 1 - left) >> 63) * bits;
        left >>= more;
        log += more;
    }
    u64 upper = (units >> ((log - 1) & 63)) & ((0 - log) >> 63);
    return log * 2 + upper;
}

/* Adds a request to its device and returns its owner's slot. */
GLOBAL int begin(const struct beginning *request)
{
    if (!request)
        return 0;
    u64 now = request->now, place = request->place, bytes = request->amount;
    u32 index = place & 0xff, class = place >> 16 & 0xff;
    struct device *device = bpf_map_lookup_elem(&devices, &index);
    struct slots *owners = bpf_map_lookup_elem(&slots, &index);
    struct blame *blame = bpf_map_lookup_elem(&blames, &index);
    if (!device || !owners || !blame)
        return 0;
    u64 writes = class >= FIRST_WRITE && class < FLUSH_CLASS, reads = class < FIRST_WRITE;
    bpf_spin_lock(&device->lock);
    u32 slot = slot_of(device, owners, request) % SLOTS;
    struct slot *own = &owners->slot[slot];
    if (request->key == KEY_JOURNAL)
        device->journal = slot;
    advance(device, blame, now);
    charge(device, blame, own, slot, now);
    own->written_bytes += writes * bytes;
    own->writes += writes;
    own->read_bytes += reads * bytes;
    own->reads += reads;
    if (!(place & UNSEEN)) {
        own->outstanding++;
        device->owners[slot].waiting += place >> 24 & 1;
        device->owners[slot].weight += place >> 32;
        device->weight += place >> 32;
    }
    bpf_spin_unlock(&device->lock);
    return slot;
}

/* Takes a request off its device. */
INLINE int take_off(u64 place, u64 start, u64 occupied)
{
    u64 now = bpf_ktime_get_ns();
    u32 index = place & 0xff, slot = place >> 8 & (SLOTS - 1), class = place >> 16 & 0xff;
    struct device *device = bpf_map_lookup_elem(&devices, &index);
    struct slots *owners = bpf_map_lookup_elem(&slots, &index);
    struct blame *blame = bpf_map_lookup_elem(&blames, &index);
    struct known *facts = bpf_map_lookup_elem(&known, &index);
    if (!device || !owners || !blame || !facts || class >= CLASSES)
        return 0;
    u64 time = now > start ? now - start : 0;
    u32 bucket = bucket_of(time);
    APART(bucket);
    u32 cell = class * BUCKETS + (bucket < BUCKETS ? bucket : BUCKETS - 1);
    struct slot *own = &owners->slot[slot];
    bpf_spin_lock(&device->lock);
    advance(device, blame, now);
    charge(device, blame, own, slot, now);
    own->outstanding--;
    device->owners[slot].waiting -= place >> 24 & 1;
    device->owners[slot].weight -= place >> 32;
    device->weight -= place >> 32;
    /* Linux 6.1's verifier has forgotten meanwhile how large a class can be. */
    APART(class);
    if (!(place & UNSEEN) && place >> 24 & 1 && class < CLASSES) {
        struct class *sums = &own->classes[class];
        sums->count++;
        sums->time += time;
        if ((blame->occupied[slot] - occupied) * 16 >= time * ALONE) {
            sums->alone_count++;
            sums->alone_time += time;
        }
        if (cell < CLASSES * BUCKETS)
            facts->latency[cell]++;
    }
    bpf_spin_unlock(&device->lock);
    return 0;
}

/* The same off the straight path. */
GLOBAL int end(u64 place, u64 start, u64 occupied)
{
    return take_off(place, start, occupied);
}

INLINE struct flights *places_of(u64 bio)
{
    u32 set = hash(bio) % (IN_FLIGHT / WAYS);
    return bpf_map_lookup_elem(&in_flight, &set);
}

/* Programs do not interrupt themselves: an end that comes while another is being accounted on the same
 * CPU is missed. Looks for requests that are gone since long. */
RARE void sweep(struct directory *all, u64 now)
{
    u32 set = all->hand++ % (IN_FLIGHT / WAYS);
    struct flights *places = bpf_map_lookup_elem(&in_flight, &set);
    if (!places)
        return;
    for (u32 i = 0; i < WAYS; i++) {
        struct flight *flight = &places->way[i];
        u64 bio = flight->bio;
        u64 start = flight->start;
        if (!bio || !start || (s64)(now - start) < (s64)STALE_NS)
            continue;
        struct flight old = *flight;
        if (__sync_val_compare_and_swap(&flight->bio, bio, 0) != bio)
            continue;
        __sync_fetch_and_add(&all->missed, 1);
        end(old.place | UNSEEN, old.start, old.occupied);
    }
}

/* A place for the request at `address`; 0 where there is none. */
INLINE struct flight *take_place(struct directory *all, struct flights *places, u64 address)
{
    u32 free = WAYS;
    for (u32 i = 0; i < WAYS; i++) {
        struct flight *way = &places->way[i];
        u64 bio = way->bio;
        if (bio == address) {
            /* The same memory again: the end of the other was missed. */
            struct flight old = *way;
            __sync_fetch_and_add(&all->missed, 1);
            end(old.place | UNSEEN, old.start, old.occupied);
            return way;
        }
        if (!bio && free == WAYS)
            free = i;
    }
    if (free == WAYS)
        return 0;
    struct flight *way = &places->way[free % WAYS];
    return __sync_val_compare_and_swap(&way->bio, 0, address) ? 0 : way;
}

/* Whether the task that runs is inside fsync: then that is what it waits for. */
INLINE int is_syncing(struct directory *all)
{
    u32 task = bpf_get_current_pid_tgid();
    return all->syncing && bpf_map_lookup_elem(&syncs, &task);
}

SEC("tp_btf/block_bio_queue")
int on_queue(u64 *context)
{
    struct bio *bio = (struct bio *)context[0];
    u64 address = number_of(bio);
    u32 zero = 0;
    struct directory *all = bpf_map_lookup_elem(&directory, &zero);
    struct charged *last = bpf_map_lookup_elem(&last_charged, &zero);
    if (!all || !last)
        return 0;
    u64 now = bpf_ktime_get_ns();
    /* By the clock's own bits, so that the CPUs share no counter. */
    if (UNLIKELY((now >> 6 & (SWEEP_EVERY - 1)) == 0))
        sweep(all, now);
    u32 index = device_of(all, bio->bi_bdev->bd_disk);
    struct blame *blame = bpf_map_lookup_elem(&blames, &index);
    struct flights *places = places_of(address);
    if (!blame || !places) {
        __sync_fetch_and_add(&all->lost, 1);
        return 0;
    }
    u32 flags = bio->bi_opf, bytes = bio->bi_iter.bi_size, op = flags & OP_MASK;
    u32 class = class_of(op, bytes);
    u32 weight = FLUSH_WEIGHT;
    if (class != FLUSH_CLASS) {
        weight = FIXED_WEIGHT + (bytes >> 12);
        if (weight > MOST_WEIGHT)
            weight = MOST_WEIGHT;
    }
    /* Background writes are waited for by nobody. */
    u32 waits = !(op & OP_WRITE) || flags & (REQ_SYNC | REQ_PREFLUSH) ? 1 : 0;
    if (waits && op & OP_WRITE && is_syncing(all))
        waits = 0;
    struct flight *flight = take_place(all, places, address);
    u64 place = PLACE(index, 0, class, waits, weight);
    if (!flight) {
        __sync_fetch_and_add(&all->lost, 1);
        place |= UNSEEN;
    }
    struct beginning request = {.now = now, .place = place, .amount = bytes};
    request.key = key_of_bio(bio, op & OP_WRITE, last, &request.name);
    u32 slot = begin(&request);
    /* The compiler knows how large it can be, the verifier does not. */
    APART(slot);
    if (flight) {
        flight->start = now;
        flight->occupied = blame->occupied[slot % SLOTS];
        flight->place = place | (u64)(slot % SLOTS) << 8;
    }
    return 0;
}

/* A request that was seen to begin has ended. */
GLOBAL int finish(u64 bio)
{
    struct flights *places = places_of(bio);
    if (!places)
        return 0;
    u32 found = WAYS;
    for (u32 i = 0; i < WAYS; i++) {
        if (places->way[i].bio == bio) {
            found = i;
            break;
        }
    }
    if (found == WAYS)
        return 0;
    struct flight *way = &places->way[found % WAYS];
    struct flight flight = *way;
    way->start = 0;
    if (__sync_val_compare_and_swap(&way->bio, bio, 0) == bio)
        take_off(flight.place, flight.start, flight.occupied);
    return 0;
}

/* Devices that have no requests of their own. */
SEC("tp_btf/block_bio_complete")
int on_complete(u64 *context)
{
    finish(number_of((void *)context[1]));
    return 0;
}

/* All others: what was merged ends together, as far as so many bytes go. */
SEC("tp_btf/block_rq_complete")
int on_request_complete(u64 *context)
{
    struct request *request = (struct request *)context[0];
    u64 left = (u32)context[2];
    struct bio *bio = request->bio;
    for (int i = 0; i < MERGED; i++) {
        if (!bio)
            break;
        u32 bytes = bio->bi_iter.bi_size;
        if (bytes > left)
            break;
        left -= bytes;
        finish(number_of(bio));
        bio = bio->bi_next;
    }
    return 0;
}

#include "sync.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
