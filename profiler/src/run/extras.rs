//! What no source tells of one process and its children: switches, migrations, clock frequency.

use nix::sys::resource::{UsageWho, getrusage};
use perf_event_open::config::{Cpu, Inherit, Opts, Proc};
use perf_event_open::count::Counter;
use perf_event_open::event::sw::Software;
use std::fs;
use std::path::PathBuf;

/// The most CPUs whose frequency is read: one read may take some microseconds and wake the CPU.
const MOST_CPUS: usize = 64;

/// How the threads of a process and its children were switched and moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Gave up the CPU.
    pub voluntary: u64,
    /// Taken off the CPU.
    pub involuntary: u64,
    /// Page faults that waited for a disk.
    pub major_faults: u64,
    /// Blocks of 512 bytes read from disks.
    pub blocks_read: u64,
    /// CPU time, in nanoseconds.
    pub ran: u64,
}

/// Counts for one process and all that it starts.
pub struct Extras {
    before: Switches,
    held_back: Switches,
    migrations: Result<Counter, String>,
}

impl Extras {
    /// Begins to count for process `pid`, which waits for its `exec`.
    #[must_use]
    pub fn begin(pid: u32) -> Extras {
        let options = Opts {
            inherit: Some(Inherit::NewChild),
            enable: true,
            ..Opts::default()
        };
        // The kernel itself moves a thread, so that its side must be counted.
        let counter = Counter::new(Software::CpuMigration, (Proc(pid), Cpu::ALL), options);
        Extras {
            before: of_children(),
            held_back: so_far(pid),
            migrations: counter.map_err(|error| {
                format!("perf_event_open: {error}; it needs CAP_PERFMON or a kernel.perf_event_paranoid of at most 1")
            }),
        }
    }

    /// What was counted, once the process is reaped; children that nobody waited for are not in it
    /// (getrusage(2)).
    #[must_use]
    pub fn switches(&self) -> Switches {
        let now = of_children();
        let since = |of: fn(&Switches) -> u64| {
            of(&now).saturating_sub(of(&self.before) + of(&self.held_back))
        };
        Switches {
            voluntary: since(|s| s.voluntary),
            involuntary: since(|s| s.involuntary),
            major_faults: since(|s| s.major_faults),
            blocks_read: since(|s| s.blocks_read),
            ran: since(|s| s.ran),
        }
    }

    /// How often a thread moved to another CPU.
    ///
    /// # Errors
    /// The reason why it was not counted.
    pub fn migrations(&self) -> Result<u64, String> {
        match &self.migrations {
            Ok(counter) => counter
                .stat()
                .map(|stat| stat.count)
                .map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        }
    }
}

fn of_children() -> Switches {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Switches::default();
    };
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let nanos = |time: nix::sys::time::TimeVal| {
        count(time.tv_sec()) * 1_000_000_000 + count(time.tv_usec()) * 1_000
    };
    Switches {
        voluntary: count(usage.voluntary_context_switches()),
        involuntary: count(usage.involuntary_context_switches()),
        major_faults: count(usage.major_page_faults()),
        blocks_read: count(usage.block_reads()),
        ran: nanos(usage.user_time()) + nanos(usage.system_time()),
    }
}

/// What process `pid` had used before it became the command, as far as `/proc` tells.
fn so_far(pid: u32) -> Switches {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let status = read("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let schedstat = read("schedstat");
    let stat = read("stat");
    // Behind the name, which may hold anything, the state is field 3 (proc_pid_stat(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default();
    Switches {
        voluntary: field("voluntary_ctxt_switches:").unwrap_or(0),
        involuntary: field("nonvoluntary_ctxt_switches:").unwrap_or(0),
        major_faults: nth(fields, 12 - 3).unwrap_or(0),
        blocks_read: 0,
        ran: nth(&schedstat, 0).unwrap_or(0),
    }
}

fn nth(text: &str, place: usize) -> Option<u64> {
    text.split_whitespace().nth(place)?.parse().ok()
}

/// The clock frequency of the CPUs, by `cpufreq`
/// (`Documentation/admin-guide/pm/cpufreq.rst`).
#[derive(Debug, Default)]
pub struct Frequency {
    files: Vec<PathBuf>,
    seen: Option<(u64, u64)>,
}

impl Frequency {
    /// Looks which CPUs tell it; in a virtual machine mostly none does.
    #[must_use]
    pub fn find() -> Frequency {
        let cpus = (0..MOST_CPUS).map(|cpu| {
            PathBuf::from(format!(
                "/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"
            ))
        });
        Frequency {
            files: cpus.filter(|file| file.exists()).collect(),
            seen: None,
        }
    }

    /// Reads it once.
    pub fn look(&mut self) {
        let kilohertz = |file: &PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
        for hertz in self
            .files
            .iter()
            .filter_map(kilohertz)
            .map(|khz| khz * 1_000)
        {
            let (lowest, highest) = self.seen.unwrap_or((hertz, hertz));
            self.seen = Some((lowest.min(hertz), highest.max(hertz)));
        }
    }

    /// The lowest and the highest that was read, in hertz.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_of_a_child_are_counted() {
        let before = of_children();
        let slept = std::process::Command::new("sleep").arg("0.01").status();
        assert!(slept.unwrap().success());
        assert!(of_children().voluntary > before.voluntary);
    }

    #[test]
    fn what_a_process_used_so_far_is_read() {
        let own = so_far(std::process::id());
        assert!(own.ran > 0 || !std::path::Path::new("/proc/self/schedstat").exists());
    }
}
