//! `devices plugin`: serves the kubelet.

mod beside;

use super::Context;
use super::given::OfferArgs;
use super::output::{Gaps, say};
use crate::plugin::advertise::HealthChange;
use crate::plugin::allocate::Give;
use crate::plugin::features::FeatureFile;
use crate::plugin::kubelet::{Report, attend};
use crate::plugin::names::{Fpga, Grouping, Naming};
use crate::plugin::notify;
use crate::plugin::placement::Spread;
use crate::plugin::state::{Settings, State};
use anyhow::Context as _;
use beside::BesideArgs;
use clap::Args;
use dunnage_host::HostRoot;
use dunnage_inventory::events::{Change, Events};
use dunnage_inventory::health::{Ledger, Log, Registers};
use dunnage_inventory::{Config, Inventory, find};
use dunnage_model::gap::Gap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// What `devices plugin` takes.
#[derive(Clone, Debug, Args)]
pub struct PluginArgs {
    /// The kubelet's folder; its sockets are in device-plugins below
    #[arg(long, value_name = "DIR", default_value = "/var/lib/kubelet")]
    kubelet_dir: PathBuf,

    /// How devices are given to containers
    #[arg(long, value_name = "WAY", default_value = "nodes")]
    give: Give,

    /// What a resource stands for
    #[arg(long, value_name = "WHAT", default_value = "family")]
    group: Grouping,

    /// What of an FPGA is given
    #[arg(long, value_name = "WHAT", default_value = "function")]
    fpga: Fpga,

    /// Which slots of shared devices are given first
    #[arg(long, value_name = "ORDER", default_value = "packed")]
    slots: Spread,

    /// Seconds after which registers are read again of which no event tells: counters of errors, links,
    /// temperatures. Without devices that have such registers nothing is read
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "30",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    read_registers_every: u32,

    #[command(flatten)]
    beside: BesideArgs,

    #[command(flatten)]
    offer: OfferArgs,
}

/// A burst of events is over when nothing comes for so long: one device brings several. The kubelet is
/// told within 100 ms.
const QUIET: Duration = Duration::from_millis(10);
/// A burst without end is not waited for. With the first scan and the one after it, this stays below the
/// 100 ms.
const BURST: Duration = Duration::from_millis(50);

pub(super) fn run(context: &Context, args: &PluginArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime that serves sockets")?;
    let settings = Settings {
        naming: Naming {
            grouping: args.group,
            fpga: args.fpga,
        },
        give: args.give,
        spread: args.slots,
        offer: args.offer.options(),
    };
    let state = State::new(context.host.clone(), context.config.clone(), settings);
    let watch = Arc::new(Watch {
        host: context.host.clone(),
        config: context.config.clone(),
        state: Arc::clone(&state),
        rhythm: Duration::from_secs(args.read_registers_every.into()),
        seen: Mutex::default(),
    });
    watch.seen().features = args.beside.feature_file();
    watch.start()?;
    args.beside.hear_verdicts(&context.host, &state)?;
    let folder = args.kubelet_dir.join("device-plugins");
    runtime.block_on(async {
        let (mut ended, mut interrupted) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let beside = args.beside.go_on(&state, &args.kubelet_dir).await?;
        let told = |report: Report| {
            count(&report, &state);
            tell(report);
        };
        notify::ready();
        tokio::select! {
            done = attend(&folder, &state, &told) => done?,
            () = beside => {}
            _ = ended.recv() => {}
            _ = interrupted.recv() => {}
        }
        anyhow::Ok(())
    })?;
    watch.forget_labels()?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps the state up to date with the host.
struct Watch {
    host: HostRoot,
    config: Config,
    state: Arc<State>,
    /// Between two readings of registers.
    rhythm: Duration,
    seen: Mutex<Seen>,
}

/// What was seen last.
#[derive(Default)]
struct Seen {
    inventory: Inventory,
    /// What the kernel's log says of devices.
    ledger: Ledger,
    /// What graphics drivers say of theirs, which ends with another event.
    wedged: Ledger,
    registers: Registers,
    said: Gaps,
    features: Option<FeatureFile>,
}

impl Watch {
    /// Learns what there is now, and goes on in threads of its own.
    fn start(self: &Arc<Watch>) -> anyhow::Result<()> {
        // Watched before it is scanned: what happens in between is seen by one of them.
        let events = Events::open(&self.host, &[])?;
        let log = if self.host.is_own() {
            Some(Log::open())
        } else {
            None
        };
        self.scan();
        self.seen().said.say(&events.gaps());
        self.go_on("inventory", move |watch| watch.follow_events(events))?;
        match log {
            Some(Ok(log)) => self.go_on("kernel-log", move |watch| watch.follow_log(log))?,
            Some(Err(error)) => {
                let gap = Gap::new("health from the kernel's messages", error.to_string());
                self.seen().said.say(&[gap]);
            }
            None => {}
        }
        Ok(())
    }

    fn go_on(
        self: &Arc<Watch>,
        name: &str,
        follow: impl FnOnce(&Watch) -> io::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let watch = Arc::clone(self);
        let what = name.to_owned();
        let run = move || {
            if let Err(error) = follow(&watch) {
                let why = format!("reading it failed: {error}; restart the plugin");
                watch.seen().said.say(&[Gap::new(what, why)]);
            }
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .with_context(|| format!("cannot start the thread {name}"))?;
        Ok(())
    }

    fn follow_events(&self, mut events: Events) -> io::Result<()> {
        loop {
            let rhythm = self.seen().registers.again().then_some(self.rhythm);
            let change = events.wait(rhythm)?;
            if change.timed_out {
                self.read_registers();
                continue;
            }
            self.note_wedged(change);
            // The first of a burst is told at once, and its end too.
            self.scan();
            let started = Instant::now();
            while started.elapsed() < BURST {
                let change = events.wait(Some(QUIET))?;
                if change.timed_out {
                    break;
                }
                self.note_wedged(change);
            }
            self.scan();
        }
    }

    /// What was said is told before a scan, which takes its time.
    fn note_wedged(&self, change: Change) {
        if change.said.is_empty() {
            return;
        }
        let mut seen = self.seen();
        let mut changed = false;
        for message in change.said {
            changed |= seen.wedged.note(message);
        }
        if changed {
            self.tell(&mut seen);
        }
    }

    fn read_registers(&self) {
        let (inventory, mut registers) = {
            let seen = self.seen();
            (seen.inventory.clone(), seen.registers.clone())
        };
        // A register may take its time, and what the kernel says meanwhile is told without it.
        registers.read(&self.host, &inventory);
        let mut seen = self.seen();
        if seen.registers != registers {
            seen.registers = registers;
            self.tell(&mut seen);
        }
    }

    fn follow_log(&self, mut log: Log) -> io::Result<()> {
        loop {
            let message = log.wait()?;
            let mut seen = self.seen();
            if seen.ledger.note(message) {
                self.tell(&mut seen);
            }
        }
    }

    fn scan(&self) {
        let inventory = find(&self.host, &self.config);
        let mut registers = self.seen().registers.clone();
        registers.read(&self.host, &inventory);
        let mut seen = self.seen();
        seen.said.say(&inventory.gaps);
        seen.ledger.forget_the_gone(&inventory);
        seen.wedged.forget_the_gone(&inventory);
        seen.inventory = inventory;
        seen.registers = registers;
        self.tell(&mut seen);
    }

    fn tell(&self, seen: &mut Seen) {
        let mut inventory = seen.inventory.clone();
        seen.registers.mark(&mut inventory);
        seen.ledger.mark(&mut inventory);
        seen.wedged.mark(&mut inventory);
        let learned = self.state.learn(inventory);
        seen.said.say(&learned.gaps);
        for change in &learned.changes {
            say(&told(change));
        }
        if let Some(file) = &mut seen.features
            && let Err(error) = file.write(self.state.labels())
        {
            let gap = Gap::new("labels of the node", error.to_string());
            seen.said.say(&[gap]);
        }
    }

    /// Whoever stops for good takes the node's labels back.
    fn forget_labels(&self) -> anyhow::Result<()> {
        if let Some(file) = &mut self.seen().features {
            file.remove()?;
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of health in a form that programs read, as node-problem-detector does: see
/// `deploy/node-problem-detector.json`.
fn told(change: &HealthChange) -> String {
    let HealthChange {
        resource,
        device,
        ill,
    } = change;
    match ill {
        Some(why) => format!(
            "event=AcceleratorUnhealthy resource={resource} device={device:?} reason={why:?}"
        ),
        None => format!("event=AcceleratorHealthy resource={resource} device={device:?}"),
    }
}

fn count(report: &Report, state: &State) {
    match report {
        Report::Registered { resource, took } => {
            state.metrics().registered(resource, *took);
            // A kubelet that came back may have forgotten pods, and one that came first has some.
            state.ask_again();
        }
        Report::Failed(_) => state.metrics().registration_failed(),
        Report::Socket(..) | Report::Absent(_) => {}
    }
}

fn tell(report: Report) {
    say(&match report {
        Report::Registered { resource, took } => {
            format!(
                "the kubelet knows of {resource} after {:.1} ms",
                took.as_secs_f64() * 1e3
            )
        }
        Report::Failed(error) => format!("{error}; it is tried again when the kubelet comes back"),
        Report::Socket(path, error) => format!(
            "cannot serve at {}: {error}; the folder must be writable to this user",
            path.display()
        ),
        Report::Absent(path) => format!(
            "no kubelet at {} yet: it is told of the devices when it comes",
            path.display()
        ),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn add(root: &Path, name: &str, numbers: &str) {
        let folder = root.join("sys/class/acme").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("uevent"), format!("DEVNAME={name}\n")).unwrap();
        fs::write(folder.join("dev"), numbers).unwrap();
    }

    #[test]
    fn a_device_that_comes_in_a_burst_without_end_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        add(root, "acme0", "4:40\n");
        let host = HostRoot::new(root);
        let config = Config::parse("[[rule]]\nname = \"acme\"\nclass = \"acme\"\n").unwrap();
        let state = State::new(host.clone(), config.clone(), Settings::default());
        let watch = Arc::new(Watch {
            host,
            config,
            state: Arc::clone(&state),
            rhythm: Duration::from_secs(30),
            seen: Mutex::default(),
        });
        watch.start().unwrap();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    fs::write(root.join("sys/class/acme/acme0/uevent"), "DEVNAME=acme0\n").unwrap();
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let count = || watch.seen().inventory.devices.len();
            let until = |wanted: usize| {
                let end = Instant::now() + Duration::from_secs(20);
                while count() != wanted && Instant::now() < end {
                    thread::sleep(Duration::from_millis(1));
                }
                count()
            };
            // By then the first scan after an event is over, and the burst is waited for.
            thread::sleep(QUIET * 5);
            add(root, "acme1", "4:41\n");
            let seen = until(2);
            ended.store(true, Ordering::Relaxed);
            assert_eq!(seen, 2);
        });
    }
}
