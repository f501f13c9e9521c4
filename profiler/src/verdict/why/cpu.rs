//! CPU: throttled time, refused forks, steal, waits, involuntary switches, idle CPUs, idle others.
//!
//! What is frozen does not run, whatever else is true. Then the order of the talk: throttled time rises: the cap, whatever is idle. It does not, and the CPU
//! is not taken away either: not limited. It is taken away: the share where others are busy, the
//! machine where they are idle. Where waits are counted they take the place of the switches, which
//! tell how often and not how long.

use super::scene::{Facts as Told, Scene, answer as told};
use super::thresholds::{self as bar, shows};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{CloseReading, TaskSwitches};
use dunnage_model::verdict::{Cause, Resource};
use dunnage_model::why::{Answer, Limiter};

mod words;

/// What the decision rests on. Times in seconds of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The window.
    pub(super) seconds: f64,
    /// CPU time that it got.
    pub(super) used: f64,
    /// Frozen when the window opened and when it closed.
    pub(super) frozen: bool,
    /// Held by its own quota.
    pub(super) throttled: f64,
    /// It had all that its own quota allows.
    pub(super) at_quota: bool,
    /// Held by a parent's.
    pub(super) throttled_by_parent: f64,
    /// Forks that were refused for want of room below `pids.max`.
    pub(super) refused_forks: u64,
    /// Waited on run queues, where that is counted.
    pub(super) waited: Option<f64>,
    /// The part of it behind its own threads.
    pub(super) behind_itself: f64,
    /// At least one task stalled for a CPU (PSI).
    pub(super) stalled: Option<f64>,
    /// Context switches that were not its tasks' own wish.
    pub(super) involuntary: Option<u64>,
    /// CPUs of the machine.
    pub(super) cpus: f64,
    /// CPUs that it may use: its cpuset and affinity.
    pub(super) allowed: f64,
    /// Idle on the CPUs that it may use.
    pub(super) idle: f64,
    /// Idle on all CPUs.
    pub(super) host_idle: f64,
    /// Used by others on the CPUs that it may use.
    pub(super) others: f64,
    /// Its part of the time that the hypervisor gave to others.
    pub(super) stolen: f64,
    /// Seconds that a verdict says interrupts and softirqs for others took while it ran.
    pub(super) interrupted: f64,
    /// A verdict names other parties that ran while it waited.
    pub(super) accused: bool,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clue {
    /// Frozen: nothing in it may run.
    Frozen,
    /// Its own quota.
    Quota,
    /// A parent's quota.
    ParentQuota,
    /// `pids.max`.
    Forks,
    /// Steal.
    Steal,
    /// Interrupts and softirqs for others.
    Interrupts,
    /// Fewer CPUs than the machine has, and its own threads on them.
    Cpuset,
    /// Waits behind others.
    Others,
    /// Waits behind its own threads.
    Threads,
    /// Waits, and nobody to be seen who has the CPUs.
    Waits,
    /// It does not wait.
    NoWaits,
    /// Nothing tells whether it waits.
    Blind,
}

/// What limits it.
pub(super) fn decide(facts: &Facts) -> (Limiter, Clue) {
    // What is frozen waits for nothing that is counted.
    if facts.frozen {
        return (Limiter::Cap, Clue::Frozen);
    }
    // Who had all that its quota allows, and was held by it, would have had no more without any wait.
    if facts.at_quota && !facts.accused && shows(facts.throttled, facts.used, facts.seconds) {
        return (Limiter::Cap, Clue::Quota);
    }
    let queued = facts.queued();
    let losses = [
        (facts.throttled, Clue::Quota),
        (facts.throttled_by_parent, Clue::ParentQuota),
        (facts.stolen, Clue::Steal),
        (facts.interrupted, Clue::Interrupts),
        (queued.unwrap_or(0.0), Clue::Waits),
    ];
    let counts = |(lost, clue): &(f64, Clue)| {
        // A verdict has bars of its own, for what others do.
        let named = *clue == Clue::Interrupts || (*clue == Clue::Waits && facts.accused);
        (named && *lost > 0.0) || shows(*lost, facts.used, facts.seconds)
    };
    // The first of equals: the cap.
    let largest = losses.into_iter().filter(counts).rev();
    match largest.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, Clue::Quota)) => (Limiter::Cap, Clue::Quota),
        Some((_, Clue::ParentQuota)) if facts.accused => (Limiter::Share, Clue::ParentQuota),
        Some((_, Clue::ParentQuota)) => (Limiter::Cap, Clue::ParentQuota),
        Some((_, Clue::Steal)) => (Limiter::Hypervisor, Clue::Steal),
        Some((_, Clue::Interrupts)) => (Limiter::Share, Clue::Interrupts),
        Some(_) => facts.behind_whom(),
        None if facts.refused_forks > 0 => (Limiter::Cap, Clue::Forks),
        None if queued.is_none() => (Limiter::Unknown, Clue::Blind),
        None => (Limiter::Nothing, Clue::NoWaits),
    }
}

impl Facts {
    /// Time waited for a CPU: as counted, else by pressure, else as often as the CPU was taken
    /// away; `None` where nothing tells.
    fn queued(&self) -> Option<f64> {
        if self.waited.is_some() {
            return self.waited;
        }
        if let Some(stalled) = self.stalled {
            // A throttled task stalls too.
            let throttled = (self.throttled + self.throttled_by_parent).min(self.seconds);
            let rest = (stalled - throttled).max(0.0);
            return Some(if rest >= bar::CPU_PRESSURE * self.seconds {
                rest
            } else {
                0.0
            });
        }
        let involuntary = self.involuntary?;
        let taken_away = involuntary as f64 >= bar::PREEMPTED * self.used.max(0.1);
        // How long it waited is not known: as long as it ran is what two equals would do.
        Some(if taken_away { self.used } else { 0.0 })
    }

    /// It waits: for whom.
    fn behind_whom(&self) -> (Limiter, Clue) {
        let room = self.allowed * self.seconds;
        let full = self.idle < bar::IDLE * room;
        let behind_others = match self.waited {
            Some(waited) if waited > 0.0 => 1.0 - self.behind_itself / waited,
            _ => 0.0,
        };
        // Others may be busy while it waits behind its own threads nearly all the time.
        let in_the_way = self.waited.is_none() || behind_others >= bar::OTHERS_BUSY;
        let busy_others = self.others >= bar::OTHERS_BUSY * room && in_the_way;
        if self.accused || behind_others >= bar::MOST || (full && busy_others) {
            return (Limiter::Share, Clue::Others);
        }
        let exact = self.waited.is_some();
        let confined = self.allowed < self.cpus;
        let room_elsewhere = self.host_idle >= bar::IDLE * self.cpus * self.seconds;
        match (full || exact, confined && room_elsewhere) {
            (true, true) => (Limiter::Cap, Clue::Cpuset),
            (true, false) => (Limiter::Machine, Clue::Threads),
            (false, _) => (Limiter::Unknown, Clue::Waits),
        }
    }
}

/// The answer for the party of `scene`.
pub(super) fn answer(scene: &Scene<'_>) -> Answer {
    let facts = gather(scene);
    let switches = switches(scene);
    let (limited_by, clue) = decide(&facts);
    let accusing = match clue {
        Clue::Interrupts => scene.interrupted(),
        _ => scene.outrun(),
    };
    let mut all = Told::default();
    all.number("used_seconds", Some(facts.used))
        .number("throttled_seconds", Some(facts.throttled))
        .number(
            "throttled_by_parent_seconds",
            Some(facts.throttled_by_parent),
        )
        .number("runqueue_wait_seconds", facts.waited)
        .number(
            "behind_itself_seconds",
            facts.waited.map(|_| facts.behind_itself),
        )
        .number("stalled_seconds", facts.stalled)
        .number("involuntary_switches", facts.involuntary.map(|n| n as f64))
        .number("voluntary_switches", switches.map(|s| s.voluntary as f64))
        .number("host_idle_seconds", Some(facts.host_idle))
        .number("idle_seconds", Some(facts.idle))
        .number("others_used_seconds", Some(facts.others))
        .number("stolen_seconds", Some(facts.stolen))
        .number("interrupted_seconds", Some(facts.interrupted))
        .number("usable_cpus", Some(facts.allowed))
        .number("forks_refused", Some(facts.refused_forks as f64));
    told(
        Resource::Cpu,
        limited_by,
        words::metric(scene, &facts, clue),
        words::sentences(scene, &facts, limited_by, clue),
        accusing,
        all.take(),
    )
}

fn gather(scene: &Scene<'_>) -> Facts {
    let window = scene.window;
    let seconds = scene.seconds();
    let user = scene.user();
    let cpus = f64::from(window.host.cpus);
    let row = scene.waits();
    let (throttled, throttled_by_parent) = throttled(scene);
    let set = usable(scene);
    let allowed = set.as_ref().map_or(cpus, |set| set.len() as f64);
    let others = others(scene, set.as_ref());
    let used = user.cpu.usage.seconds();
    let host_idle = window.machine.idle.seconds();
    let steal = window.machine.steal.seconds();
    let busy = window.machine.busy().seconds();
    // Better than the machine's sum: the steal of each CPU goes with who ran there.
    let by_cpu = window.stalls.steal.as_ref().map(|steal| {
        let own = steal
            .parties
            .iter()
            .find(|(party, _)| *party == scene.party);
        own.map_or(0.0, |(_, time)| time.seconds())
    });
    let itself = |row: &dunnage_model::usage::PartyWait| {
        let own = row.blame.iter().filter(|(party, _)| *party == scene.party);
        own.map(|(_, time)| time.seconds()).sum()
    };
    Facts {
        seconds,
        used,
        frozen: frozen(scene),
        throttled,
        at_quota: user
            .claim
            .quota_cpus
            .is_some_and(|quota| quota > 0.0 && used >= bar::ALL_OF_QUOTA * quota * seconds),
        throttled_by_parent,
        refused_forks: refused_forks(scene),
        waited: window
            .waits
            .as_ref()
            .map(|_| row.map_or(0.0, |row| row.wait.seconds())),
        behind_itself: row.map_or(0.0, itself),
        stalled: user.pressure.cpu_some.map(|share| share * seconds),
        involuntary: switches(scene).map(|switches| switches.involuntary),
        cpus,
        allowed,
        idle: if allowed < cpus && window.waits.is_some() {
            (allowed * seconds - used - others).max(0.0)
        } else {
            host_idle.min(allowed * seconds)
        },
        host_idle,
        others,
        // Time is stolen from whoever runs.
        stolen: by_cpu.unwrap_or(if busy > 0.0 { steal * used / busy } else { 0.0 }),
        interrupted: scene
            .interrupted()
            .map_or(0.0, |verdict| verdict.harm.seconds()),
        accused: scene.outrun().is_some(),
    }
}

/// Held by its own quota, and by a parent's. The files sum over CPUs; where tasks are counted, what
/// they lost is split as the files have it.
fn throttled(scene: &Scene<'_>) -> (f64, f64) {
    let grew = |level: super::scene::Level<'_>| {
        let limited = level.after.quota_cpus.is_some();
        let nanos = level.grew(|l| l.throttled.as_ref(), |time| time.0);
        nanos.filter(|_| limited).unwrap_or(0) as f64 / 1e9
    };
    let mut levels = scene.levels().map(grew);
    let own = levels.next().unwrap_or(0.0);
    let parent = levels.fold(0.0, f64::max);
    let by_tasks = scene.waits().map_or(0.0, |row| row.throttled.seconds());
    let all = own + parent;
    if by_tasks > 0.0 && all > 0.0 {
        (by_tasks * own / all, by_tasks * parent / all)
    } else if scene.window.waits.is_some() {
        // A parent was throttled while this one's tasks slept.
        (own, 0.0)
    } else {
        (own, parent)
    }
}

/// One that was thawed or frozen in between ran for a part of the window: its waits tell more.
fn frozen(scene: &Scene<'_>) -> bool {
    let is_frozen = |reading: &CloseReading| {
        let own = reading.levels.first();
        own.and_then(|own| own.frozen.as_ref())
            .is_some_and(|frozen| frozen.value)
    };
    is_frozen(&scene.close.before) && is_frozen(&scene.close.after)
}

fn refused_forks(scene: &Scene<'_>) -> u64 {
    let own = scene.own();
    own.and_then(|own| own.grew(|l| l.forks_refused.as_ref(), |count| *count))
        .unwrap_or(0)
}

/// The CPUs it may use, where that is not all.
fn usable(scene: &Scene<'_>) -> Option<CpuSet> {
    let all = scene.window.host.cpus as usize;
    let tasks = scene.close.after.tasks.as_ref();
    let by_tasks = tasks.and_then(|tasks| tasks.allowed.clone());
    let claimed = scene.user().claim.cpuset.clone();
    let smaller = match (by_tasks, claimed) {
        (Some(a), Some(b)) => Some(a.iter().filter(|cpu| b.contains(*cpu)).collect()),
        (a, b) => a.or(b),
    };
    smaller.filter(|set: &CpuSet| !set.is_empty() && set.len() < all)
}

/// What others used on the CPUs that it may use.
fn others(scene: &Scene<'_>, usable: Option<&CpuSet>) -> f64 {
    let Some(set) = usable else {
        return scene.others().map(|user| user.cpu.usage.seconds()).sum();
    };
    let on_set = |user: &dunnage_model::usage::PartyUse| -> f64 {
        let ran = user.cpu.cpus.iter().filter(|on| set.contains(on.cpu));
        ran.map(|on| on.run.seconds()).sum()
    };
    scene.others().map(on_set).sum()
}

/// The context switches of its tasks in the window; those of tasks that ended in it are not in it.
fn switches(scene: &Scene<'_>) -> Option<TaskSwitches> {
    let before = scene.close.before.tasks.as_ref()?;
    let after = scene.close.after.tasks.as_ref()?;
    let mut sum = TaskSwitches::default();
    for (thread, now) in &after.switches {
        let then = before.switches.get(thread).copied().unwrap_or_default();
        sum.voluntary += now.voluntary.saturating_sub(then.voluntary);
        sum.involuntary += now.involuntary.saturating_sub(then.involuntary);
    }
    Some(sum)
}

/// The advice of the verdict on a limit of its own.
fn own_advice(scene: &Scene<'_>, file: &str) -> Option<String> {
    scene
        .own_limit(Resource::Cpu, file)
        .map(|verdict| verdict.advice.clone())
}

/// The advice of the verdict on its own threads.
fn threads_advice(scene: &Scene<'_>) -> Option<String> {
    scene
        .verdict(Resource::Cpu, &[Cause::Itself])
        .filter(|verdict| !verdict.facts.contains_key("limit"))
        .map(|verdict| verdict.advice.clone())
}
