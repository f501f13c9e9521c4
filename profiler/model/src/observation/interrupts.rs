//! What the events of interrupts and kernel threads tell of a window: who was interrupted, and for
//! whom the kernel worked meanwhile.

use super::{Fidelity, Owner};
use crate::units::Nanos;
use std::sync::Arc;

/// Interrupts, softirqs and the work of kernel threads within the window.
#[derive(Clone, Debug, Default)]
pub struct InterruptWindow {
    /// Exact or sampled.
    pub fidelity: Fidelity,
    /// Time taken from whose running tasks, for whom. No time stands twice: what an interrupt took from
    /// a softirq is the interrupt's.
    pub taken: Vec<InterruptTime>,
    /// What kernel threads ran for parties: time that the scheduler charges to the kernel. What softirqs
    /// took from kernel threads is in it, and in `taken` too.
    pub worked: Vec<KernelWork>,
    /// The path of each owner that is a cgroup, also where it is gone, and the command of each that
    /// is a command of the root cgroup.
    pub names: Vec<(Owner, Arc<str>)>,
    /// Events that found no place.
    pub lost: u64,
}

/// What the kernel was busy with when it interrupted somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterruptKind {
    /// A hardware interrupt's handler.
    Irq,
    /// `NET_RX` and `NET_TX`.
    NetworkSoftirq,
    /// `BLOCK`.
    BlockSoftirq,
    /// `TIMER`, `HRTIMER`, `TASKLET`, `SCHED`, `RCU`, `HI`, `IRQ_POLL`.
    OtherSoftirq,
}

/// Time that was taken from a running task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptTime {
    /// Whose task ran; [`Owner::Kernel`] where it was a kernel thread, `None` where the CPU was idle.
    pub victim: Option<Owner>,
    /// For whom the kernel worked; [`Owner::Kernel`] where it does not know.
    pub culprit: Owner,
    /// What it did.
    pub kind: InterruptKind,
    /// For how long.
    pub time: Nanos,
}

/// Time that kernel threads worked for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelWork {
    /// For whom.
    pub owner: Owner,
    /// On which CPU.
    pub cpu: u32,
    /// For how long.
    pub time: Nanos,
}
