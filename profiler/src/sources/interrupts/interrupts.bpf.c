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
 * A packet that came from outside names nobody until it reaches a container's network namespace or
 * a socket answers it: its time is kept, and each packet with a name takes one such packet's part.
 * What is left when the context ends is the kernel's.
 *
 * A kernel thread's time is the scheduler's to account for; here is noted for whom it was. For softirqs
 * that is as above. Workers are charged up to each block request or packet that they send, by their
 * `sum_exec_runtime`, which the kernel brings up to date at ticks and switches only: right on the
 * average.
 */
#include "../ebpf.h"
#include "../owner.h"
#include "../packet.h"
#include "current.h"
#include "tables.h"
#include "whose.h"

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
INLINE struct cell *cell_of(void *table, u32 mask, u64 key)
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
        if (seen == 0 || seen == key)
            return cell;
    }
    return 0;
}

/* Time of the kernel thread that runs on this CPU was for `owner`. */
INLINE void add_work(struct cpu *cpu, u32 id, u32 owner, u64 time)
{
    struct cell *cell = cell_of(&worked, WORKED - 1, (u64)owner << 32 | id);
    /* A softirq may come between. */
    if (cell)
        __sync_fetch_and_add(&cell->time, time);
    else
        cpu->lost++;
}

/* Whose task runs now. The answer is kept until another task, or the same in another cgroup, runs. */
INLINE u32 victim_of(struct cpu *cpu)
{
    struct task_struct *task = bpf_get_current_task_btf();
    u32 pid = task->pid;
    if (!pid)
        return IDLE;
    u64 set = (u64)task->cgroups, space = (u64)task->mm;
    if (cpu->victim_pid == pid && cpu->victim_set == set && cpu->victim_space == space)
        return cpu->victim;
    struct name name = {};
    u64 key = key_of_task(task, &name);
    u32 victim = index_of(key, &name);
    cpu->victim_pid = pid;
    cpu->victim_set = set;
    cpu->victim_space = space;
    cpu->victim = victim;
    return victim;
}

/* The context took `time` from the running task, for `owner`. */
GLOBAL int charge(u32 id, u32 kind, u32 owner, u64 time)
{
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu || !time)
        return 0;
    u32 victim = victim_of(cpu);
    u64 key = CELL_USED | (u64)(id & 0x1fff) << 50 | (u64)kind << 48 | (u64)victim << 24 | owner;
    struct cell *cell = cell_of(&taken, taken_mask, key);
    if (cell)
        cell->time += time;
    else
        cpu->lost++;
    if (victim == KERNEL) {
        cpu->from_threads += time;
        if (owner >= RESERVED)
            add_work(cpu, id, owner, time);
    }
    return 0;
}

/* Ends the span that began with the last change of owner. */
INLINE void end_span(u32 id, struct context *context, u64 now)
{
    u64 time = now > context->began ? now - context->began : 0;
    if (context->owner == NAMELESS)
        context->nameless_time += time;
    else
        charge(id, context->kind, context->owner == NOBODY ? KERNEL : context->owner, time);
    context->began = now;
}

INLINE void begin(struct context *context, u32 kind)
{
    context->began = bpf_ktime_get_ns();
    context->kind = kind;
    context->owner = NOBODY;
    context->nameless = 0;
    context->nameless_time = 0;
}

INLINE void end(u32 id, struct context *context, u64 now)
{
    end_span(id, context, now);
    if (UNLIKELY(context->nameless_time != 0))
        charge(id, context->kind, KERNEL, context->nameless_time);
    context->began = 0;
}

/* The context works for `owner` from now on; NAMELESS is a packet of which nothing is known yet. */
INLINE void works_for(u32 id, struct context *context, u32 owner)
{
    if (owner == NAMELESS)
        context->nameless++;
    /* What led to the first packet was for it. */
    if (context->owner == NOBODY)
        context->owner = owner;
    if (context->owner != owner) {
        end_span(id, context, bpf_ktime_get_ns());
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
    if (worker->pid == pid && now > worker->ran && owner >= RESERVED) {
        u64 time = now - worker->ran;
        u64 without = worker->cpu == id ? interrupted - worker->interrupted : 0;
        if (time > without)
            add_work(cpu, id, owner, time - without);
    }
    worker->pid = pid;
    worker->cpu = id;
    worker->ran = now;
    worker->interrupted = interrupted;
}

SEC("tp_btf/irq_handler_entry")
int on_irq_entry(u64 *ctx)
{
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    begin(&cpu->irq, IRQ);
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
    end(id, &cpu->irq, now);
    if (cpu->softirq.began)
        cpu->softirq.began += now - cpu->irq_entered;
    return 0;
}

SEC("tp_btf/softirq_entry")
int on_softirq_entry(u64 *ctx)
{
    u32 vector = ctx[0], id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    /* linux/interrupt.h numbers the softirqs; they never change. */
    u32 kind = vector == 2 || vector == 3 ? NETWORK : vector == 4 ? BLOCK : OTHER;
    begin(&cpu->softirq, kind);
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
        if (cpu->softirq.owner == NOBODY && cpu->sender)
            cpu->softirq.owner = index_of(cpu->sender, 0);
        cpu->sender = 0;
    }
    end(id, &cpu->softirq, now);
    return 0;
}

/* A packet is handled. In a softirq the time is its owner's from now on; a thread that polls a device
 * has worked for it until now. */
INLINE void handles_packet(struct cpu *cpu, u32 id, u64 key)
{
    struct context *context = context_of(cpu);
    if (context) {
        works_for(id, context, key ? index_of(key, 0) : NAMELESS);
        return;
    }
    struct task_struct *task = bpf_get_current_task_btf();
    if (key && task->flags & PF_KTHREAD)
        mark_worker(cpu, id, task, index_of(key, 0));
}

/* A packet is received: its socket is known if it comes from this host, else its namespace may be. */
SEC("tp_btf/netif_receive_skb")
int on_receive(u64 *ctx)
{
    struct sk_buff *packet = (void *)ctx[0];
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    u64 key = key_of_packet(packet);
    if (!key || key == KEY_KERNEL) {
        struct net_device *device = packet->dev;
        u32 space = device->nd_net.net->ns.inum;
        if (space != host_space) {
            u32 at = space & (SPACES - 1);
            struct known *known = bpf_map_lookup_elem(&spaces, &at);
            if (known && known->what == space)
                key = known->key;
        } else if (device->flags & IFF_LOOPBACK) {
            u32 at = (u64)packet >> 6 & (PACKETS - 1);
            struct known *known = bpf_map_lookup_elem(&packets, &at);
            if (known && known->what == (u64)packet) {
                key = known->key;
                known->what = 0;
            }
        }
    }
    handles_packet(cpu, id, key);
    return 0;
}

/* A packet is sent. What the sender's namespace, or the packet on its way through loopback, will not
 * tell any more is noted here. */
SEC("tp_btf/net_dev_start_xmit")
int on_send(u64 *ctx)
{
    struct sk_buff *packet = (void *)ctx[0];
    struct net_device *device = (void *)ctx[1];
    u32 id = bpf_get_smp_processor_id();
    struct cpu *cpu = bpf_map_lookup_elem(&cpus, &id);
    if (!cpu)
        return 0;
    struct context *context = context_of(cpu);
    u64 key = key_of_packet(packet);
    u32 space = device->nd_net.net->ns.inum;
    int loopback = space == host_space && device->flags & IFF_LOOPBACK;
    if (!context) {
        if (!key || key == KEY_KERNEL) {
            struct task_struct *task = bpf_get_current_task_btf();
            struct name name = {};
            if (!(task->flags & PF_KTHREAD))
                key = key_of_task(task, &name);
            if (key & KEY_ROOT_COMMAND)
                index_of(key, &name);
        }
        cpu->sender = key;
    }
    if (key && key != KEY_KERNEL && space != host_space) {
        u32 at = space & (SPACES - 1);
        struct known *known = bpf_map_lookup_elem(&spaces, &at);
        if (known && (known->what != space || known->key != key)) {
            known->what = space;
            known->key = key;
        }
    } else if (loopback) {
        u32 at = (u64)packet >> 6 & (PACKETS - 1);
        struct known *known = bpf_map_lookup_elem(&packets, &at);
        if (known) {
            known->what = (u64)packet;
            known->key = key;
        }
    }
    if (context && key)
        works_for(id, context, index_of(key, 0));
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
    u64 key = key_of_bio(request->bio);
    works_for(id, context, key ? index_of(key, 0) : KERNEL);
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
    u64 key = key_of_bio(bio);
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
