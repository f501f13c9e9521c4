/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Exact run-queue blame: while a task waits on the run queue of a CPU, the time is charged to
 * whoever ran on that CPU meanwhile.
 *
 * One program at sched_switch does nearly everything. It needs no wake-up hook, no clock read and
 * no map of tasks that grows: the kernel itself notes in `sched_info` when a task was queued and how
 * long it has waited in total, and `rq->clock` was just updated by __schedule().
 *
 * Each CPU keeps a ring of who ran until when. At switch-in the ring is walked back over the wait
 * that ends now, and each interval is charged to its owner. What falls off the ring is summed by owner
 * over stretches of some 8 ms in a second ring, so that two parties that switch to and fro 400,000
 * times a second do not wipe out what a third one must be told. A task that moves to another CPU while
 * it waits has the part before the move charged at sched_migrate_task, on the CPU it leaves. What
 * the kernel's own run_delay holds and this program did not see is counted as unexplained, so the
 * sums close: blame + unexplained = run delay.
 *
 * A wait during which the task's cgroup was throttled by a CPU quota is nobody's run: that part is
 * split off with the throttle clock of the task's cfs_rq.
 *
 * All tables are flat arrays that user space reads by mmap. They hold cumulative values, written
 * by one CPU each; user space takes differences.
 */
#include "../ebpf.h"
#include "../owner.h"
#include "tables.h"

/* Finds the index of a key, or gives it one. At most 8 probes: a full table gives UNKNOWN. */
INLINE u32 index_of(u64 key, const struct name *name)
{
    u32 start = (u32)((key * 0x9E3779B97F4A7C15ULL) >> 32) >> owner_shift;
    for (u32 i = 0; i < 8; i++) {
        u32 index = (start + i) & owner_mask;
        if (index < RESERVED)
            continue;
        u64 *there = bpf_map_lookup_elem(&keys, &index);
        if (!there)
            return UNKNOWN;
        u64 seen = *(volatile u64 *)there;
        if (seen == key)
            return index;
        if (seen == 0) {
            u64 old = __sync_val_compare_and_swap(there, 0, key);
            if (old != 0 && old != key)
                continue;
            struct name *place = name ? bpf_map_lookup_elem(&names, &index) : 0;
            if (place)
                *place = *name;
            return index;
        }
    }
    return UNKNOWN;
}

RARE u32 owner_of(struct task_struct *task)
{
    struct name name = {};
    u64 key = key_of_task(task, &name);
    if (key == KEY_KERNEL)
        return KERNEL;
    return index_of(key, key & KEY_ROOT_COMMAND ? &name : 0);
}

/* The owner of a task whose slot may know it already: a task that moves to another cgroup gets
 * another css_set, one that becomes another command another address space. */
INLINE u32 owner_by_slot(struct task_struct *task, struct task *slot, u64 tag)
{
    u64 set = (u64)task->cgroups, space = (u64)task->mm;
    if (!UNLIKELY(slot->tag != tag || slot->set != set || slot->space != space))
        return slot->owner;
    u32 owner = owner_of(task);
    slot->set = set;
    slot->space = space;
    slot->owner = owner;
    return owner;
}

INLINE struct total *total_of(u32 cpu, u32 owner)
{
    u32 at = cpu * (owner_mask + 1) + owner;
    return bpf_map_lookup_elem(&totals, &at);
}

/* Time that the task's cfs_rq, or one above it, has been throttled; 0 where it never was. */
INLINE u64 throttle_clock(struct task_struct *task)
{
    struct cfs_rq *queue = task->se.cfs_rq;
    if (FIELD_EXISTS(queue->throttled_clock_self_time))
        return queue->throttled_clock_self_time;
    if (FIELD_EXISTS(queue->throttled_clock_pelt_time))
        return queue->throttled_clock_pelt_time;
    if (FIELD_EXISTS(queue->throttled_clock_task_time))
        return queue->throttled_clock_task_time;
    return 0;
}

/* Adds to the cell of one pair. Returns 1 where the table is full. */
GLOBAL int add_pair(u32 cpu, u32 table, u32 key, u64 time)
{
    u32 start = (key * 0x9E3779B1u) >> pair_shift;
    u32 base = (cpu * 2 + (table & 1)) * (pair_mask + 1);
    for (u32 i = 0; i < 6; i++) {
        u32 at = base + ((start + i) & pair_mask);
        struct pair *cell = bpf_map_lookup_elem(&pairs, &at);
        if (!cell)
            return 1;
        if (cell->key == 0)
            cell->key = key;
        if (cell->key == key) {
            cell->time += time;
            return 0;
        }
    }
    return 1;
}

/* Intervals below this position have left the ring; FOLD leave it at a time. */
INLINE u64 oldest_of(u64 position)
{
    u64 left = (position - 1) & ~(u64)(FOLD - 1);
    return left > RING - FOLD ? left - (RING - FOLD) : 0;
}

/* Charges at most `budget` of what ran on the CPU `source`, so many intervals `back`: 0 is who runs now.
 * Returns what it charged. A function of its own, so that the verifier need not follow its branches
 * anew for each of the ring's intervals. */
GLOBAL u64 charge_interval(u32 writer, u32 source, u32 victim, u32 back, u64 budget)
{
    struct cpu *here = bpf_map_lookup_elem(&cpus, &writer), *ran_on = bpf_map_lookup_elem(&cpus, &source);
    if (!here || !ran_on)
        return 0;
    u64 high = here->until, low = ran_on->last, position = ran_on->position;
    u32 owner = ran_on->current_owner;
    if (back) {
        u64 held = position ? position - oldest_of(position) : 0;
        if (back > held)
            return 0;
        struct interval *interval = &ran_on->ring[(position - back) & (RING - 1)];
        owner = interval->owner;
        if (interval->end < high)
            high = interval->end;
        /* The oldest interval begins where the last stretch ends. */
        low = back == held ? ran_on->stretches[ran_on->stretch & (STRETCHES - 1)].end
                           : ran_on->ring[(position - back - 1) & (RING - 1)].end;
    }
    if (high <= low)
        return 0;
    u64 part = high - low;
    u64 cut_low = low > here->cut_start ? low : here->cut_start;
    u64 cut_high = high < here->cut_end ? high : here->cut_end;
    if (cut_high > cut_low)
        part -= cut_high - cut_low;
    if (part > budget)
        part = budget;
    if (part && add_pair(writer, here->table, victim << 16 | (owner & 0xffff), part))
        here->spilled += part;
    return part;
}

/* Charges at most `budget` of one stretch of the CPU `source`. Returns what it charged. Of a stretch
 * that the wait covers in part, each owner is charged its share. */
GLOBAL u64 charge_stretch(u32 writer, u32 source, u32 at, u32 victim, u64 budget)
{
    struct cpu *here = bpf_map_lookup_elem(&cpus, &writer), *ran_on = bpf_map_lookup_elem(&cpus, &source);
    if (!here || !ran_on)
        return 0;
    struct stretch *stretch = &ran_on->stretches[at & (STRETCHES - 1)];
    u64 low = stretch->begun, high = stretch->end;
    if (high <= low)
        return 0;
    u64 span = high - low, part = span;
    u64 cut_low = low > here->cut_start ? low : here->cut_start;
    u64 cut_high = high < here->cut_end ? high : here->cut_end;
    if (cut_high > cut_low)
        part -= cut_high - cut_low;
    if (part > budget)
        part = budget;
    u64 left = part;
    for (u32 i = 0; i < STRETCH_OWNERS; i++) {
        u64 time = stretch->ran[i].time;
        if (part != span) /* in units of 1,024 ns where the product would not fit */
            time = span >> 31 ? (time >> 10) * (part >> 10) / (span >> 10) << 10 : time * part / span;
        if (time > left)
            time = left;
        if (time && add_pair(writer, here->table, victim << 16 | (stretch->ran[i].owner & 0xffff), time))
            here->spilled += time;
        left -= time;
    }
    return part - left;
}

/* Splits the last `budget` ns before `here->until` over who ran on the CPU `source`. Returns what is
 * left. */
GLOBAL u64 charge(u32 writer, u32 source, u32 victim, u64 budget)
{
    struct cpu *ran_on = bpf_map_lookup_elem(&cpus, &source);
    if (!ran_on)
        return budget;
    for (u32 i = 0; i <= RING; i++) {
        budget -= charge_interval(writer, source, victim, i, budget);
        if (budget == 0)
            return 0;
    }
    u32 stretch = ran_on->stretch;
    for (u32 i = 0; i < STRETCHES - 1; i++) {
        budget -= charge_stretch(writer, source, stretch - i, victim, budget);
        if (budget == 0)
            return 0;
    }
    return budget;
}

/* A wait of `victim` that ended at `now`. `writer` is this CPU, `source` the one it waited on. */
struct waited {
    u64 now;
    u64 length;
    u32 writer;
    u32 source;
    u32 victim;
};

/* Splits a wait over all who ran meanwhile. */
RARE void split_wait(struct cpu *here, struct total *victim_total, struct waited *waited)
{
    here->spilled = 0;
    here->until = waited->now;
    victim_total->unexplained += charge(waited->writer, waited->source, waited->victim, waited->length);
    victim_total->spilled += here->spilled;
}

/* Most waits are short, and the last one to run covers all of it. Returns 0 where that is not so. */
INLINE int charge_last(struct cpu *here, u32 id, struct total *victim_total, u32 victim, u64 now, u64 wait)
{
    u64 position = here->position;
    if (now - here->ring[(position - 2) & (RING - 1)].end < wait)
        return 0;
    u32 owner = here->ring[(position - 1) & (RING - 1)].owner;
    if (owner == IDLE)
        victim_total->idle += wait;
    else if (add_pair(id, here->table, victim << 16 | (owner & 0xffff), wait))
        victim_total->spilled += wait;
    return 1;
}

INLINE void count_length(struct total *total, u64 wait)
{
    u64 v = wait >> 10;
    u32 bucket = 0;
    if (v >> 8) { bucket += 8; v >>= 8; }
    if (v >> 4) { bucket += 4; v >>= 4; }
    if (v >> 2) { bucket += 2; v >>= 2; }
    if (v >> 1) { bucket += 1; }
    if (wait >> 26)
        bucket = BUCKETS - 1;
    total->histogram[bucket & (BUCKETS - 1)]++;
}

INLINE u64 tag_of(struct task_struct *task, u32 epoch)
{
    return task->start_time ^ ((u64)(epoch + 1) << 48);
}

/* The part of a wait that the owner's quota took; leaves in `here` the interval that is not to be
 * charged to anybody. `slot` is the task's own, or null; `clock` the throttle clock when it ended. */
RARE u64 throttled_part(struct cpu *here, struct total *total, struct task *slot, struct waited *waited, u64 clock)
{
    u64 now = waited->now, from = now - waited->length;
    u32 at = waited->writer * (owner_mask + 1) + waited->victim;
    struct throttle *throttle = bpf_map_lookup_elem(&throttles, &at);
    if (!throttle)
        return 0;
    u64 grown = clock > throttle->seen ? clock - throttle->seen : 0;
    if (grown && total->last_out && now > total->last_out) {
        u64 gap = now - total->last_out;
        if (throttle->seen == 0 && grown > gap)
            grown = 0; /* throttled before we looked */
        if (grown > gap)
            grown = gap;
        if (grown) {
            throttle->start = total->last_out;
            throttle->end = total->last_out + grown;
        }
    }
    throttle->seen = clock;
    u64 wait = now - from, part = 0;
    if (slot && slot->throttle) {
        part = clock > slot->throttle ? clock - slot->throttle : 0;
    } else {
        u64 low = from > throttle->start ? from : throttle->start;
        u64 high = now < throttle->end ? now : throttle->end;
        part = high > low ? high - low : 0;
    }
    if (part) {
        here->cut_start = throttle->start;
        here->cut_end = throttle->end;
    }
    return part < wait ? part : wait;
}

/* Adds an interval that leaves the ring of the CPU `id` to the stretch being filled. A function of its
 * own, so that the verifier follows it once and not for each interval of each caller. */
GLOBAL int add_to_stretch(u32 id, u32 place)
{
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    struct interval *oldest = &cpu->ring[place & (RING - 1)];
    u32 at = cpu->stretch & (STRETCHES - 1);
    struct stretch *stretch = &cpu->stretches[at];
    u64 from = stretch->end, until = oldest->end, owner = oldest->owner;
    if (until <= from)
        return 0;
    if (from - stretch->begun < STRETCH_NS) {
        for (u32 i = 0; i < STRETCH_OWNERS; i++) {
            if (stretch->ran[i].time && stretch->ran[i].owner != owner)
                continue;
            stretch->ran[i].owner = owner;
            stretch->ran[i].time += until - from;
            stretch->end = until;
            return 0;
        }
    }
    cpu->stretch++;
    stretch = &cpu->stretches[cpu->stretch & (STRETCHES - 1)];
    for (u32 i = 1; i < STRETCH_OWNERS; i++)
        stretch->ran[i].time = 0;
    stretch->ran[0].owner = owner;
    stretch->ran[0].time = until - from;
    stretch->begun = from;
    stretch->end = until;
    return 0;
}

/* Makes room for FOLD intervals at `position`: the oldest ones leave the ring. */
GLOBAL int fold(u32 id, u32 position)
{
    for (u32 i = 0; i < FOLD; i++)
        add_to_stretch(id, position + i);
    return 0;
}

/* The CPU ran `owner` since its last switch, until `until`. */
INLINE void push(struct cpu *cpu, u32 id, u32 owner, u64 until)
{
    u64 position = cpu->position;
    struct interval *newest = &cpu->ring[(position - 1) & (RING - 1)];
    if (newest->owner == owner && position) {
        newest->end = until;
    } else {
        struct interval *next = &cpu->ring[position & (RING - 1)];
        if (UNLIKELY((position & (FOLD - 1)) == 0 && position >= RING))
            fold(id, position);
        next->end = until;
        next->owner = owner;
        cpu->position = position + 1;
    }
    if (owner != IDLE) {
        struct total *total = total_of(id, owner);
        if (total) {
            total->run += until - cpu->last;
            total->last_out = until;
        }
    }
    cpu->last = until;
    /* Until somebody is switched in, nobody has run since `last`. */
    cpu->current_owner = IDLE;
}

/* Some kernels do not show every switch. The task that is switched out now came in at a time that it
 * carries, and what its run_delay holds beyond what is accounted for is the wait that ended then. */
RARE void hidden_switch(struct cpu *cpu, u32 id, struct task_struct *prev, u64 now)
{
    u64 last = cpu->last, arrived = last;
    if (prev->pid) {
        u64 at = prev->sched_info.last_arrival;
        APART(at);
        if (at > last && at <= now)
            arrived = at;
    }
    push(cpu, id, cpu->current_owner, arrived);
    u32 at = (u32)prev->pid & (TASKS - 1);
    struct task *slot = bpf_map_lookup_elem(&tasks, &at);
    if (!slot || !prev->pid)
        return;
    u64 tag = tag_of(prev, cpu->epoch), delay = prev->sched_info.run_delay;
    u32 owner = owner_by_slot(prev, slot, tag);
    struct total *total = total_of(id, owner);
    u64 wait = slot->tag == tag && delay > slot->delay ? delay - slot->delay : 0;
    if (wait > arrived - cpu->begun)
        wait = arrived - cpu->begun;
    if (total && wait) {
        total->wait += wait;
        count_length(total, wait);
        struct waited waited = {.now = arrived, .length = wait, .writer = id, .source = id, .victim = owner};
        split_wait(cpu, total, &waited);
    }
    slot->tag = tag;
    slot->delay = delay;
    slot->throttle = 0;
    cpu->current_owner = owner;
}

INLINE void switch_out(struct cpu *cpu, u32 id, struct task_struct *prev, u64 now)
{
    if (UNLIKELY(cpu->epoch != cpu->epoch_wanted)) {
        cpu->epoch = cpu->epoch_wanted;
        cpu->begun = now;
        cpu->last = now;
        cpu->current_owner = prev->pid ? owner_of(prev) : IDLE;
    } else if (UNLIKELY(cpu->current_pid != prev->pid)) {
        hidden_switch(cpu, id, prev, now);
    }
    push(cpu, id, cpu->current_owner, now);
    if (!prev->pid || prev->__state != 0)
        return;
    u32 at = (u32)prev->pid & (TASKS - 1);
    struct task *slot = bpf_map_lookup_elem(&tasks, &at);
    if (!slot || slot->tag != tag_of(prev, cpu->epoch))
        return;
    slot->preempted = 1;
    slot->throttle = throttle_clock(prev);
}

/* Accounts for a wait of `length` that ends now on this CPU. */
INLINE void end_wait(struct cpu *cpu, u32 id, struct total *total, struct task *slot, struct task_struct *next, u32 owner,
                     u64 now, u64 length)
{
    u64 clock = length > BRIEF_NS ? throttle_clock(next) : 0;
    if (!UNLIKELY(clock)) {
        total->wait += length;
        count_length(total, length);
        if (charge_last(cpu, id, total, owner, now, length))
            return;
    }
    struct waited waited = {.now = now, .length = length, .writer = id, .source = id, .victim = owner};
    if (!UNLIKELY(clock)) {
        split_wait(cpu, total, &waited);
        return;
    }
    u64 throttled = throttled_part(cpu, total, slot, &waited, clock);
    total->throttled += throttled;
    waited.length -= throttled;
    if (waited.length) {
        total->wait += waited.length;
        count_length(total, waited.length);
        split_wait(cpu, total, &waited);
    }
    cpu->cut_start = cpu->cut_end = 0;
}

INLINE void switch_in(struct cpu *cpu, u32 id, struct task_struct *next, u64 now)
{
    cpu->current_pid = next->pid;
    if (!next->pid)
        return;
    u32 at = (u32)next->pid & (TASKS - 1);
    struct task *slot = bpf_map_lookup_elem(&tasks, &at);
    if (!slot)
        return;
    u64 tag = tag_of(next, cpu->epoch);
    u32 owner = owner_by_slot(next, slot, tag);
    struct total *total = total_of(id, owner);
    if (!total)
        return;
    u64 queued = next->sched_info.last_queued, seen = next->sched_info.run_delay;
    u64 accounted = slot->tag == tag ? slot->delay : next->sched_info.pcount ? seen : 0;
    /* Where another of the owner's ran here since this one was queued, the owner was there already. */
    if ((slot->tag != tag || !slot->preempted) && queued > total->last_out)
        total->wakes++;
    if (UNLIKELY(seen > accounted)) {
        total->wait += seen - accounted;
        total->unexplained += seen - accounted;
    }
    if (queued && now > queued) {
        u64 from = queued > cpu->begun ? queued : cpu->begun;
        if (now > from)
            end_wait(cpu, id, total, slot->tag == tag ? slot : 0, next, owner, now, now - from);
        seen += now - queued;
    }
    slot->tag = tag;
    slot->delay = seen;
    slot->throttle = 0;
    slot->preempted = 0;
    cpu->current_owner = owner;
}

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !cpu->enabled)
        return 0;
    u64 now = next->se.cfs_rq->rq->clock, began = 0;
    if ((cpu->switches & (SAMPLE_EVERY - 1)) == 0 || now - cpu->clock_rq > CLOCK_EVERY_NS) {
        began = bpf_ktime_get_ns();
        cpu->clock_rq = now;
        cpu->clock_mono = began;
    }
    cpu->switches++;
    switch_out(cpu, id, prev, now);
    switch_in(cpu, id, next, now);
    if (began) {
        u64 cost = bpf_ktime_get_ns() - began;
        if (cost < COST_LIMIT_NS) {
            cpu->cost_ns += cost;
            cpu->cost_events++;
        }
    }
    return 0;
}

/* A task that moves while it waits: its wait on the CPU it leaves is charged now, because dequeuing
 * has just added it to run_delay and forgotten when it began. The run queue's lock is held, so the
 * ring of that CPU stands still. */
SEC("tp_btf/sched_migrate_task")
int on_migrate(u64 *ctx)
{
    struct task_struct *task = (void *)ctx[0];
    u32 on_rq = 0;
    /* A byte since 7.2, an int before. */
    u32 size = FIELD_SIZE(task->on_rq);
    if (bpf_probe_read_kernel(&on_rq, size == 1 ? 1 : 4, (void *)task + FIELD_OFFSET(task->on_rq)))
        return 0;
    if (on_rq != 2) /* TASK_ON_RQ_MIGRATING */
        return 0;
    u32 writer = bpf_get_smp_processor_id();
    struct cpu *here = bpf_map_lookup_elem(&cpus, &writer);
    if (!here || !here->enabled)
        return 0;
    struct rq *rq = task->se.cfs_rq->rq;
    u32 left = rq->cpu;
    u64 now = rq->clock;
    struct cpu *source = bpf_map_lookup_elem(&cpus, &left);
    u32 at = (u32)task->pid & (TASKS - 1);
    struct task *slot = bpf_map_lookup_elem(&tasks, &at);
    if (!source || !slot || source->epoch != source->epoch_wanted)
        return 0;
    u64 delay = task->sched_info.run_delay, tag = tag_of(task, source->epoch), accounted = 0, throttle = 0;
    if (slot->tag == tag) {
        accounted = slot->delay;
        throttle = slot->throttle;
    } else if (task->sched_info.pcount) {
        accounted = delay;
    }
    u32 owner = owner_by_slot(task, slot, tag);
    slot->tag = tag;
    slot->delay = delay;
    slot->throttle = 0;
    if (delay <= accounted)
        return 0;
    u64 wait = delay - accounted, throttled = 0;
    if (wait > now - source->begun)
        wait = now - source->begun;
    struct total *total = total_of(writer, owner);
    if (!total)
        return 0;
    u64 clock = throttle ? throttle_clock(task) : 0;
    if (clock > throttle)
        throttled = clock - throttle;
    if (throttled > wait)
        throttled = wait;
    wait -= throttled;
    here->migrations++;
    total->throttled += throttled;
    total->wait += wait;
    struct waited waited = {.now = now, .length = wait, .writer = writer, .source = left, .victim = owner};
    if (wait)
        split_wait(here, total, &waited);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
