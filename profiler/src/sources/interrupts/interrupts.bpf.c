/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * What interrupts and softirqs take from running tasks, and for whom the kernel works meanwhile; and
 * for whom its threads work.
 *
 * An interrupt handler or a softirq is a context: it begins, works for one owner after another, and
 * ends. Whom it works for is told by the packets and block requests that it handles: from one packet to
 * the next, it works for the first one's owner. A clock is read only where the owner changes. A handler
 * that interrupts a softirq pushes the softirq's span ahead, so that no time is counted twice.
 *
 * A packet that is passed on from one device to another stays its sender's (notes.h). One that came from
 * outside names nobody until it reaches a container's network namespace or a socket answers it: its time
 * is kept, and each packet with a name takes one such packet's part. What is left when the context ends
 * is the kernel's.
 *
 * A kernel thread's time is the scheduler's to account for; here is noted for whom it was. For softirqs
 * that is as above. Workers are charged up to each block request or packet that they send, by their
 * `sum_exec_runtime`, which the kernel brings up to date at ticks and switches only: right on the
 * average.
 *
 * Where all of this would cost too much, it is attached for slots of time only (slots.rs).
 */
#include "../ebpf.h"
#include "../address.h"
#include "../owner.h"
#include "../packet.h"
#include "../bio.h"
#include "current.h"
#include "tables.h"
#include "whose.h"
#include "notes.h"

/* Finds the index of a key, or gives it one. At most 8 probes: a full table gives UNKNOWN. */
INLINE u32 index_of(u64 key, const struct name *name)
{
    if (key == KEY_KERNEL)
        return KERNEL;
    u32 start = (u32)((key * 0x9E3779B97F4A7C15ULL) >> 32) & (OWNERS - 1);
    for (u32 i = 0; i < 8; i++) {
        u32 index = (start + i) & (OWNERS - 1);
        if (index < RESERVED)
            continue;
        u64 *there = bpf_map_lookup_elem(&keys, &index);
        if (!there)
            return UNKNOWN;
        u64 seen = *(volatile u64 *)there;
        if (seen == 0) {
            seen = __sync_val_compare_and_swap(there, 0, key);
            struct name *place = name && !seen && key & KEY_ROOT_COMMAND ? bpf_map_lookup_elem(&names, &index) : 0;
            if (place)
                *place = *name;
            if (seen == 0)
                return index;
        }
        if (seen == key)
            return index;
    }
    return UNKNOWN;
}

/* Finds the cell of `key` in a table of `mask` + 1 cells, or gives it one. Both hold the CPU in the key,
 * so that no two CPUs write one cell. */
INLINE struct cell *cell_of(void *table, u32 mask, u64 key, u64 *place)
{
    u32 start = (u32)((key * 0x9E3779B97F4A7C15ULL) >> 32);
    for (u32 i = 0; i < 8; i++) {
        u32 at = (start + i) & mask;
        struct cell *cell = bpf_map_lookup_elem(table, &at);
        if (!cell)
            return 0;
        u64 seen = *(volatile u64 *)&cell->key;
        if (seen == 0)
            seen = __sync_val_compare_and_swap(&cell->key, 0, key);
        if (seen == 0 || seen == key) {
            *place = at;
            return cell;
        }
    }
    return 0;
}

/* Time of the kernel thread that runs on this CPU was for `owner`. */
INLINE void add_work(struct cpu *cpu, u32 id, u32 owner, u64 time)
{
    u64 place = 0;
    struct cell *cell = cell_of(&worked, WORKED - 1, (u64)owner << 32 | id, &place);
    /* A softirq may come between. */
    if (cell)
        __sync_fetch_and_add(&cell->time, time);
    else
        cpu->lost++;
}

/* Whether the owner of the task that runs now is known: it is the one that was asked for last, in the
 * same cgroup and running the same command. Nobody's is the idle task. */
INLINE int is_known(struct cpu *cpu, struct task_struct *task, u32 *victim)
{
    u32 pid = task->pid;
    *victim = pid ? cpu->victim : IDLE;
    return !pid || (cpu->victim_pid == pid && cpu->victim_set == (u64)task->cgroups &&
                    cpu->victim_space == (u64)task->mm);
}

/* Whose task runs now, with its key in `victim_key` unless that is nobody. */
INLINE u32 victim_of(struct cpu *cpu, struct task_struct *task)
{
    u32 victim;
    if (is_known(cpu, task, &victim))
        return victim;
    struct name name = {};
    u64 key = key_of_task(task, &name);
    victim = index_of(key, &name);
    cpu->victim_pid = task->pid;
    cpu->victim_set = (u64)task->cgroups;
    cpu->victim_space = (u64)task->mm;
    cpu->victim = victim;
    cpu->victim_key = key;
    return victim;
}

INLINE u64 cell_key(u32 id, u32 kind, u32 victim, u32 owner)
{
    return CELL_USED | (u64)(id & 0x1fff) << 50 | (u64)kind << 48 | (u64)victim << 24 | owner;
}

/* The context took `time` from the running task, for `owner`. */
GLOBAL int charge(u32 id, u32 kind, u32 owner, u64 time)
{
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !time)
        return 0;
    u32 victim = victim_of(cpu, bpf_get_current_task_btf());
    struct context *context = kind == IRQ ? &cpu->irq : &cpu->softirq;
    u64 key = cell_key(id, kind, victim, owner), place = 0;
    struct cell *cell = cell_of(&taken, taken_mask, key, &place);
    if (cell) {
        cell->time += time;
        context->cell_key = key;
        context->cell = place;
    } else {
        cpu->lost++;
    }
    if (victim == KERNEL) {
        cpu->from_threads += time;
        if (owner >= RESERVED)
            add_work(cpu, id, owner, time);
    }
    return 0;
}

/* The same, by the shortest way where it is as it was the last time. */
INLINE void charge_again(struct cpu *cpu, u32 id, struct context *context, u32 owner, u64 time)
{
    u32 victim, kind = context->kind;
    if (is_known(cpu, bpf_get_current_task_btf(), &victim) && victim != KERNEL &&
        context->cell_key == cell_key(id, kind, victim, owner)) {
        u32 place = context->cell;
        struct cell *cell = bpf_map_lookup_elem(&taken, &place);
        if (cell) {
            cell->time += time;
            return;
        }
    }
    charge(id, kind, owner, time);
}

/* Ends the span that began with the last change of owner. */
INLINE void end_span(struct cpu *cpu, u32 id, struct context *context, u64 now)
{
    u64 time = now > context->began ? now - context->began : 0;
    if (context->owner == NAMELESS)
        context->nameless_time += time;
    else
        charge_again(cpu, id, context, context->owner == NOBODY ? KERNEL : context->owner, time);
    context->began = now;
}

/* A context begins. It is one entry into a program, and its end is another. */
INLINE void begin(struct cpu *cpu, struct context *context, u32 kind)
{
    cpu->events += 2;
    context->began = bpf_ktime_get_ns();
    context->kind = kind;
    context->owner = NOBODY;
    context->nameless = 0;
    context->nameless_time = 0;
}

INLINE void end(struct cpu *cpu, u32 id, struct context *context, u64 now)
{
    end_span(cpu, id, context, now);
    if (UNLIKELY(context->nameless_time != 0))
        charge(id, context->kind, KERNEL, context->nameless_time);
    context->began = 0;
}

/* The context works for `owner` from now on; NAMELESS is a packet of which nothing is known yet. */
INLINE void works_for(struct cpu *cpu, u32 id, struct context *context, u32 owner)
{
    if (owner == NAMELESS)
        context->nameless++;
    /* What led to the first packet was for it. */
    if (context->owner == NOBODY)
        context->owner = owner;
    if (context->owner != owner) {
        end_span(cpu, id, context, bpf_ktime_get_ns());
        context->owner = owner;
    }
    if (owner != NAMELESS && UNLIKELY(context->nameless != 0)) {
        u64 part = context->nameless_time / context->nameless;
        charge(id, context->kind, owner, part);
        context->nameless_time -= part;
        context->nameless--;
    }
}

INLINE struct context *context_of(struct cpu *cpu)
{
    if (cpu->irq.began)
        return &cpu->irq;
    return cpu->softirq.began ? &cpu->softirq : 0;
}

/* The worker that runs now did what it did since its last mark for `owner`. */
RARE void mark_worker(struct cpu *cpu, u32 id, struct task_struct *task, u32 owner)
{
    u32 pid = task->pid, at = pid & (WORKERS - 1);
    struct worker *worker = bpf_map_lookup_elem(&workers, &at);
    if (!worker)
        return;
    u64 now = ran(task), interrupted = cpu->from_threads;
    u16 slot = cpu->slot;
    /* What it did since an earlier slot was not watched. */
    if (worker->pid == pid && worker->slot == slot && now > worker->ran && owner >= RESERVED) {
        u64 time = now - worker->ran;
        u64 without = worker->cpu == id ? interrupted - worker->interrupted : 0;
        if (time > without)
            add_work(cpu, id, owner, time - without);
    }
    worker->pid = pid;
    worker->cpu = id;
    worker->slot = slot;
    worker->ran = now;
    worker->interrupted = interrupted;
}

SEC("tp_btf/irq_handler_entry")
int on_irq_entry(u64 *ctx)
{
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !cpu->slot)
        return 0;
    begin(cpu, &cpu->irq, IRQ);
    cpu->irq_entered = cpu->irq.began;
    return 0;
}

SEC("tp_btf/irq_handler_exit")
int on_irq_exit(u64 *ctx)
{
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !cpu->irq.began)
        return 0;
    u64 now = bpf_ktime_get_ns();
    end(cpu, id, &cpu->irq, now);
    if (cpu->softirq.began)
        cpu->softirq.began += now - cpu->irq_entered;
    return 0;
}

SEC("tp_btf/softirq_entry")
int on_softirq_entry(u64 *ctx)
{
    u32 vector = ctx[0], id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !cpu->slot)
        return 0;
    /* linux/interrupt.h numbers the softirqs; they never change. */
    u32 kind = vector == 2 || vector == 3 ? NETWORK : vector == 4 ? BLOCK : OTHER;
    begin(cpu, &cpu->softirq, kind);
    return 0;
}

SEC("tp_btf/softirq_exit")
int on_softirq_exit(u64 *ctx)
{
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !cpu->softirq.began)
        return 0;
    u64 now = bpf_ktime_get_ns();
    if (cpu->softirq.kind == NETWORK) {
        /* One that handled no packet hands them to another CPU, or frees what was sent. */
        if (cpu->softirq.owner == NOBODY)
            cpu->softirq.owner = cpu->sent_by;
        cpu->sent_by = NOBODY;
    }
    end(cpu, id, &cpu->softirq, now);
    return 0;
}

/* A packet of `owner` is handled. In a softirq the time is its owner's from now on; a thread that polls a
 * device has worked for it until now. */
INLINE void handles_packet(struct cpu *cpu, u32 id, u32 owner)
{
    struct context *context = context_of(cpu);
    if (context) {
        works_for(cpu, id, context, owner);
        return;
    }
    struct task_struct *task = bpf_get_current_task_btf();
    if (owner != NAMELESS && task->flags & PF_KTHREAD)
        mark_worker(cpu, id, task, owner);
}

INLINE u32 owner_of_key(u64 key)
{
    return key ? index_of(key, 0) : NAMELESS;
}

/* A packet is received: its socket is known if it comes from this host, or what was noted of it; else its
 * namespace may be. */
SEC("tp_btf/netif_receive_skb")
int on_receive(u64 *ctx)
{
    struct sk_buff *packet = (void *)ctx[0];
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    cpu->events++;
    struct net_device *device = packet->dev;
    u64 key = key_of_packet(packet);
    u32 owner = NOBODY;
    if (key && key != KEY_KERNEL) {
        owner = index_of(key, 0);
        note(packet, device, owner);
    } else if (device->flags & IFF_LOOPBACK) {
        u64 number = number_of(packet);
        struct known *known = note_at(number);
        if (known && known->what == number) {
            known->what = 0;
            owner = known->whose;
        }
    } else {
        owner = noted_receiving(packet, device);
        u32 space = device->nd_net.net->ns.inum;
        u32 at = space & (SPACES - 1);
        struct known *known = owner != NOBODY || space == host_space ? 0 : bpf_map_lookup_elem(&spaces, &at);
        if (known && known->what == space)
            key = known->whose;
    }
    handles_packet(cpu, id, owner != NOBODY ? owner : owner_of_key(key));
    return 0;
}

/* Who sends: the index of its key, which is looked for where it is another than the last one. */
INLINE u32 sender_of(struct cpu *cpu, u64 key)
{
    if (cpu->sender_key != key || !key) {
        cpu->sender_owner = owner_of_key(key);
        cpu->sender_key = key;
    }
    return cpu->sender_owner;
}

/* A packet that was received is sent on, from wherever it stood in a queue. */
RARE void sends_on(struct cpu *cpu, u32 id, struct sk_buff *packet, struct net_device *device, u64 key)
{
    u32 owner = noted_sending(packet, device);
    if (owner == NOBODY && key == KEY_KERNEL)
        owner = KERNEL;
    struct context *context = context_of(cpu);
    if (context && owner != NOBODY)
        works_for(cpu, id, context, owner);
}

/* A packet is sent. What the receiver's namespace, or the packet on its way, will not tell any more is
 * noted here. */
SEC("tp_btf/net_dev_start_xmit")
int on_send(u64 *ctx)
{
    struct sk_buff *packet = (void *)ctx[0];
    struct net_device *device = (void *)ctx[1];
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    cpu->events++;
    struct context *context = context_of(cpu);
    u64 key = key_of_packet(packet);
    int told = key && key != KEY_KERNEL;
    if (!told) {
        if (packet->skb_iif) {
            sends_on(cpu, id, packet, device, key);
            return 0;
        }
        struct task_struct *task = bpf_get_current_task_btf();
        if (!context && !(task->flags & PF_KTHREAD) && victim_of(cpu, task) != IDLE)
            key = cpu->victim_key;
    }
    u32 owner = sender_of(cpu, key);
    if (!context)
        cpu->sent_by = key ? owner : NOBODY;
    if (device->flags & IFF_LOOPBACK) {
        u64 number = number_of(packet);
        struct known *known = note_at(number);
        if (known) {
            known->what = number;
            known->whose = owner;
        }
    } else {
        int named = key && key != KEY_KERNEL;
        u32 space = device->nd_net.net->ns.inum;
        u32 at = space & (SPACES - 1);
        /* Who sends from its own namespace; not whose packet passes through one. */
        struct known *known = !named || packet->skb_iif || space == host_space ? 0 : bpf_map_lookup_elem(&spaces, &at);
        if (known && (known->what != space || known->whose != key)) {
            known->what = space;
            known->whose = key;
        }
        if (!told) {
            if (named && !is_real(device))
                note(packet, 0, owner);
            else
                end_note(packet);
        }
    }
    if (context && key)
        works_for(cpu, id, context, owner);
    return 0;
}

SEC("tp_btf/block_rq_complete")
int on_complete(u64 *ctx)
{
    struct request *request = (void *)ctx[0];
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    struct context *context = cpu ? context_of(cpu) : 0;
    if (!context)
        return 0;
    cpu->events++;
    u64 key = key_of_bio(request->bio, &cpu->completed);
    works_for(cpu, id, context, key ? index_of(key, 0) : KERNEL);
    return 0;
}

/* A worker sends a block request: writeback, a loop device, encryption. */
SEC("tp_btf/block_bio_queue")
int on_queue(u64 *ctx)
{
    struct bio *bio = (void *)ctx[0];
    struct task_struct *task = bpf_get_current_task_btf();
    if (!(task->flags & PF_WQ_WORKER))
        return 0;
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || context_of(cpu))
        return 0;
    u64 key = key_of_bio(bio, &cpu->queued);
    mark_worker(cpu, id, task, key ? index_of(key, 0) : KERNEL);
    return 0;
}

/* What a worker that is followed did before belongs to another piece of work. */
SEC("tp_btf/workqueue_execute_start")
int on_work(u64 *ctx)
{
    struct task_struct *task = bpf_get_current_task_btf();
    u32 pid = task->pid, at = pid & (WORKERS - 1);
    struct worker *worker = bpf_map_lookup_elem(&workers, &at);
    if (!worker || worker->pid != pid)
        return 0;
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (cpu)
        mark_worker(cpu, id, task, KERNEL);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
