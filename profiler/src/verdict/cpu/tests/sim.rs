//! A scheduler in small: tasks with a behaviour, CPUs that are shared by weight in slices of 3 ms,
//! and the accounting that the kernel-side part does. It gives windows whose truth is known.

use super::world::World;
use std::collections::BTreeSet;

/// Seconds in a step.
const STEP: f64 = 0.0005;

/// Steps in a slice.
const SLICE: u32 = 6;

/// Steps in a quota period of 100 ms.
const PERIOD: u32 = 200;

/// What a task does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    /// Runs whenever it may, from this second on.
    Spins(f64),
    /// Wants so many seconds of CPU every so many seconds.
    Ticks(f64, f64),
    /// Runs whenever it may for so many seconds, then sleeps for so many.
    Bursts(f64, f64),
    /// A chain of children from this second on, each of which runs for 2 ms and forks the next.
    Forks(f64),
}

struct Task {
    party: usize,
    cpu: usize,
    does: Does,
    /// Seconds of CPU that it still wants of the present piece of work.
    backlog: f64,
    runnable: bool,
    queued_since: u32,
    ran_in_child: u32,
    /// Times it came to want the CPU, and its party did not want it already.
    wakes: u64,
}

struct Group {
    party: usize,
    weight: f64,
    /// Ahead of everybody, as realtime tasks are.
    first: bool,
    /// Virtual time by CPU.
    virtual_time: Vec<f64>,
    /// Steps left in this period, where it has a quota.
    quota: Option<(u32, u32)>,
    throttled: bool,
}

/// The scheduler.
pub(super) struct Sim {
    tasks: Vec<Task>,
    groups: Vec<Group>,
    cpus: usize,
}

impl Sim {
    pub(super) fn new(cpus: usize) -> Sim {
        Sim {
            tasks: Vec::new(),
            groups: Vec::new(),
            cpus,
        }
    }

    /// Lets a party compete at this weight.
    pub(super) fn group(&mut self, party: usize, weight: f64) {
        let virtual_time = vec![0.0; self.cpus];
        self.groups.push(Group {
            party,
            weight,
            first: false,
            virtual_time,
            quota: None,
            throttled: false,
        });
    }

    /// Lets a party run ahead of all others.
    pub(super) fn realtime(&mut self, party: usize) {
        self.group(party, 100.0);
        self.groups.last_mut().unwrap().first = true;
    }

    /// Holds a party to so many CPUs.
    pub(super) fn quota(&mut self, party: usize, cpus: f64) {
        let steps = whole(cpus * f64::from(PERIOD));
        self.groups
            .iter_mut()
            .find(|g| g.party == party)
            .unwrap()
            .quota = Some((steps, steps));
    }

    /// Adds `count` tasks of a party on one CPU.
    pub(super) fn tasks(&mut self, party: usize, cpu: usize, count: usize, does: Does) {
        if !self.groups.iter().any(|g| g.party == party) {
            self.group(party, 100.0);
        }
        for _ in 0..count {
            let task = Task {
                party,
                cpu,
                does,
                backlog: 0.0,
                runnable: false,
                queued_since: 0,
                ran_in_child: 0,
                wakes: 0,
            };
            self.tasks.push(task);
        }
    }

    /// Runs for `seconds` and writes what happened into `world`.
    pub(super) fn run(&mut self, world: &mut World, seconds: f64) {
        let steps = whole(seconds / STEP);
        let mut current: Vec<Option<(usize, u32)>> = vec![None; self.cpus];
        for step in 0..steps {
            self.wake(step);
            for (cpu, now) in current.iter_mut().enumerate() {
                let before = now.map(|(task, _)| task);
                *now = self.pick(cpu, *now);
                if let Some((task, _)) = now.filter(|(task, _)| before != Some(*task)) {
                    world.row(self.tasks[task].party).waits += 1;
                }
            }
            self.account(step, &current, world);
        }
        for task in &self.tasks {
            world.row(task.party).wakes += task.wakes;
        }
        for group in self.groups.iter().filter(|g| g.quota.is_some()) {
            let cpus = f64::from(group.quota.unwrap().0) / f64::from(PERIOD);
            let periods =
                u64::from(world.row(group.party).throttled.0 > 0) * u64::from(steps / PERIOD);
            let throttled = world.row(group.party).throttled;
            world.held_by_quota(group.party, cpus, 0.0, periods);
            world.window.parties[group.party].cpu.throttled = Some(throttled);
        }
    }

    fn wake(&mut self, step: u32) {
        let now = f64::from(step) * STEP;
        let mut there: BTreeSet<(usize, usize)> = self
            .tasks
            .iter()
            .filter(|task| task.runnable)
            .map(|task| (task.party, task.cpu))
            .collect();
        for (i, task) in self.tasks.iter_mut().enumerate() {
            // Each starts at a time of its own, so that the tasks do not move in step.
            let phase = now + i as f64 * 0.0037;
            let begins = |every: f64| phase % every < STEP;
            let was = task.runnable;
            match task.does {
                Does::Spins(from) | Does::Forks(from) => task.runnable = now >= from,
                Does::Ticks(work, every) if begins(every) => {
                    // Work that comes while the last piece is not done is dropped, as a queue would.
                    task.backlog = (task.backlog + work).min(2.0 * work);
                    task.runnable = true;
                }
                Does::Bursts(on, off) => task.runnable = now % (on + off) < on,
                Does::Ticks(..) => {}
            }
            if task.runnable && !was {
                task.wakes += u64::from(there.insert((task.party, task.cpu)));
                task.queued_since = step;
            }
        }
        for group in 0..self.groups.len() {
            for cpu in 0..self.cpus {
                let runs = |task: &&Task| {
                    task.party == self.groups[group].party && task.cpu == cpu && task.runnable
                };
                if !self.tasks.iter().any(|task| runs(&task)) {
                    // A sleeper comes back at the present virtual time: it saves nothing up.
                    let present = self.least_virtual_time(cpu);
                    let own = &mut self.groups[group].virtual_time[cpu];
                    *own = own.max(present);
                }
            }
            let group = &mut self.groups[group];
            if let Some((full, left)) = &mut group.quota {
                if step.is_multiple_of(PERIOD) {
                    *left = *full;
                }
                group.throttled = *left == 0;
            }
        }
    }

    fn least_virtual_time(&self, cpu: usize) -> f64 {
        let busy = |g: &&Group| {
            self.tasks
                .iter()
                .any(|t| t.party == g.party && t.cpu == cpu && t.runnable)
        };
        let least = self
            .groups
            .iter()
            .filter(busy)
            .map(|g| g.virtual_time[cpu])
            .fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }

    /// Keeps the running task until its slice is over, else takes the group that is most behind.
    fn pick(&self, cpu: usize, now: Option<(usize, u32)>) -> Option<(usize, u32)> {
        let group = |task: &Task| self.groups.iter().find(|g| g.party == task.party).unwrap();
        let ready = |task: &Task| task.cpu == cpu && task.runnable && !group(task).throttled;
        let rank = |i: usize| {
            let task = &self.tasks[i];
            let of = group(task);
            (!of.first, of.virtual_time[cpu], task.queued_since)
        };
        if let Some((task, steps)) = now {
            let of = &self.tasks[task];
            let child_ends = matches!(of.does, Does::Forks(_)) && of.ran_in_child >= 4;
            let others_first =
                self.tasks.iter().any(|t| ready(t) && group(t).first) && !group(of).first;
            if ready(of) && steps < SLICE && !child_ends && !others_first {
                return Some((task, steps + 1));
            }
        }
        let next = (0..self.tasks.len())
            .filter(|i| ready(&self.tasks[*i]))
            .min_by(|a, b| {
                let (a, b) = (rank(*a), rank(*b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
            });
        next.map(|task| (task, 1))
    }

    fn account(&mut self, step: u32, current: &[Option<(usize, u32)>], world: &mut World) {
        for (cpu, now) in current.iter().enumerate() {
            let runs = now.map(|(task, _)| task);
            let runner = runs.map(|task| self.tasks[task].party);
            for i in (0..self.tasks.len())
                .filter(|i| self.tasks[*i].cpu == cpu && self.tasks[*i].runnable)
            {
                let party = self.tasks[i].party;
                let throttled = self.groups.iter().any(|g| g.party == party && g.throttled);
                if Some(i) == runs {
                    world.ran(party, u32::try_from(cpu).unwrap(), STEP);
                } else if throttled {
                    world.row(party).throttled += dunnage_model::units::Nanos::from_seconds(STEP);
                } else if let Some(runner) = runner {
                    world.waited(party, runner, u32::try_from(cpu).unwrap(), STEP);
                }
            }
            if let Some(task) = runs {
                self.charge(task, cpu, step);
            }
        }
    }

    fn charge(&mut self, task: usize, cpu: usize, step: u32) {
        let of = &mut self.tasks[task];
        of.queued_since = step + 1;
        of.ran_in_child = if of.ran_in_child >= 4 {
            1
        } else {
            of.ran_in_child + 1
        };
        if let Does::Ticks(..) = of.does {
            of.backlog -= STEP;
            of.runnable = of.backlog > STEP / 2.0;
        }
        let group = self
            .groups
            .iter_mut()
            .find(|g| g.party == of.party)
            .unwrap();
        group.virtual_time[cpu] += STEP / group.weight;
        if let Some((_, left)) = &mut group.quota {
            *left = left.saturating_sub(1);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some thousands of steps"
)]
fn whole(steps: f64) -> u32 {
    steps.round() as u32
}
