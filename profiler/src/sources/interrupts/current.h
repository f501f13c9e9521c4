/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The task that runs now, and what is known of workers.
 */
#ifndef DUNNAGE_INTERRUPTS_CURRENT_H
#define DUNNAGE_INTERRUPTS_CURRENT_H

static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158; /* Linux 5.11 */

#define PF_WQ_WORKER 0x00000020 /* include/linux/sched.h */

/* The same task, with another field of it. */
struct sched_entity___ran {
    u64 sum_exec_runtime;
} RELOCATED;

struct task_struct___ran {
    struct sched_entity___ran se;
} RELOCATED;

/* For how long a task ran in all, as of the last tick or switch. */
INLINE u64 ran(struct task_struct *task)
{
    return ((struct task_struct___ran *)task)->se.sum_exec_runtime;
}

#endif
