//! What a command lost to others while it ran, and whether its result can be trusted.

use crate::gap::Gap;
use crate::observation::Host;
use crate::party::Party;
use crate::units::{Bytes, Nanos};
use crate::verdict::{Coverage, Resource, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One run of a command.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The command and its arguments, lossily decoded.
    pub command: Vec<String>,
    /// The host.
    pub host: Host,
    /// When it began, `CLOCK_REALTIME` since the epoch.
    pub start_unix: Nanos,
    /// From its `exec` to its end.
    pub length: Nanos,
    /// In how many windows it was watched.
    pub windows: usize,
    /// How it ended.
    pub end: RunEnd,
    /// The cgroup of its own; `None` where it had none and was followed process by process.
    pub cgroup: Option<String>,
    /// CPU time it got.
    pub ran: Nanos,
    /// One entry a resource on which time was lost, the largest fraction first.
    pub losses: Vec<RunLoss>,
    /// How well each resource was watched, in the worst of the windows.
    pub coverage: BTreeMap<Resource, Coverage>,
    /// The verdicts about it.
    pub verdicts: Vec<RunVerdict>,
    /// What else can make one run unlike the next.
    pub circumstances: Circumstances,
    /// The commands of its processes that ran on after it ended.
    pub left: Vec<String>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// With this exit code.
    Exited(u8),
    /// By the signal of this number.
    Killed(u8),
}

impl RunEnd {
    /// The exit code that a shell gives it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            RunEnd::Exited(code) => code,
            RunEnd::Killed(signal) => 128u8.saturating_add(signal),
        }
    }
}

/// Time lost to others on one resource: `to` and `unexplained` add up to `lost`.
#[derive(Clone, Debug)]
pub struct RunLoss {
    /// On what.
    pub resource: Resource,
    /// Task-time that others, the kernel or the hypervisor took.
    pub lost: Nanos,
    /// Task-time that it had: CPU time, and what it needed of the resource itself.
    pub had: Nanos,
    /// To whom, the most first. Also to those who stayed within their share: a measurement does not
    /// ask who was in the right.
    pub to: Vec<(Arc<Party>, Nanos)>,
    /// The part nobody can be named for.
    pub unexplained: Nanos,
}

impl RunLoss {
    /// The part of a run's time that was lost, 0 to 1: of what it wanted of the resource where that is
    /// more than its `length`, as with several threads. One that mostly sleeps loses little by a short
    /// wait, however much of the little it wanted that was.
    #[must_use]
    pub fn fraction(&self, length: Nanos) -> f64 {
        self.part(self.lost, length)
    }

    /// The same for a part of what was lost.
    #[must_use]
    pub fn part(&self, lost: Nanos, length: Nanos) -> f64 {
        let wanted = self.lost + self.had;
        if lost > Nanos::ZERO {
            lost.seconds() / wanted.max(length).seconds()
        } else {
            0.0
        }
    }
}

/// A verdict that held in some of the windows.
#[derive(Clone, Debug)]
pub struct RunVerdict {
    /// The one with most harm.
    pub worst: Verdict,
    /// The harm of all windows in which it held.
    pub harm: Nanos,
    /// In how many windows it held.
    pub windows: usize,
}

/// What can make one run unlike the next; `None` is what could not be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// CPU time in user mode.
    pub user: Option<Nanos>,
    /// CPU time in the kernel.
    pub system: Option<Nanos>,
    /// Waited for a CPU behind its own threads.
    pub waited_for_itself: Option<Nanos>,
    /// Held back by a quota, its own or a parent's.
    pub throttled: Option<Nanos>,
    /// Steal of the whole machine meanwhile.
    pub steal: Option<Nanos>,
    /// Page faults that had to wait for a disk.
    pub major_faults: Option<u64>,
    /// Read from disks: what the page cache did not have.
    pub read_from_disk: Option<Bytes>,
    /// Came in again shortly after it was thrown out of memory.
    pub refaulted: Option<Bytes>,
    /// How often a thread gave up its CPU to wait for something.
    pub voluntary_switches: Option<u64>,
    /// How often a thread was taken off its CPU.
    pub involuntary_switches: Option<u64>,
    /// How often a thread moved to another CPU.
    pub migrations: Option<u64>,
    /// The lowest and the highest clock frequency of a CPU that was read, in hertz.
    pub frequency: Option<(u64, u64)>,
}

/// Whether a result can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The disturbance stayed within the bound.
    Clean,
    /// It did not.
    Disturbed,
    /// Waits for a CPU could not be seen, and nothing else says that it was disturbed.
    Unknown,
}

impl Trust {
    /// The word in the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Clean => "clean",
            Trust::Disturbed => "disturbed",
            Trust::Unknown => "unknown",
        }
    }
}

impl RunReport {
    /// How much it was disturbed, 0 to 1: the largest fraction over the resources. The slowest of
    /// them is what a run waits for; added up, waits at the same time would count twice.
    #[must_use]
    pub fn disturbance(&self) -> f64 {
        self.losses
            .iter()
            .map(|loss| loss.fraction(self.length))
            .fold(0.0, f64::max)
    }

    /// Whether the result can be trusted where at most `bound` (0 to 1) of disturbance is allowed.
    #[must_use]
    pub fn trust(&self, bound: f64) -> Trust {
        let cpu = self.coverage.get(&Resource::Cpu);
        if self.disturbance() > bound {
            Trust::Disturbed
        } else if cpu.is_none_or(|coverage| *coverage == Coverage::None) {
            Trust::Unknown
        } else {
            Trust::Clean
        }
    }
}
