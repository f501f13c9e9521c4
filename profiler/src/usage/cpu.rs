//! CPU time, adding up to what the kernel says was busy.
//!
//! Living cgroups are charged by their files. The kernel keeps the time of a cgroup that went away
//! in its parent's counter, from where the scheduler's account gives it back to its owner. What is
//! left of the machine's busy time is the root cgroup's: its processes, one by one, and the kernel.

use super::Books;
use super::tree::{Place, Tree};
use dunnage_model::observation::{
    CgroupCpu, CpuTimes, Observation, Owner, OwnerWindow, SchedWindow,
};
use dunnage_model::party::Party;
use dunnage_model::units::Nanos;
use dunnage_model::usage::CpuUse;
use std::collections::HashMap;
use std::sync::Arc;

/// Returns whether the kernel books stolen time as use of whoever was on the CPU.
pub(super) fn charge(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) -> bool {
    let machine = observation
        .after
        .machine
        .cpu
        .since(observation.before.machine.cpu);
    files(tree, books);
    if let Some(sched) = &observation.sched {
        give_back(sched, tree, books);
        per_cpu(sched, books);
    }
    root_processes(observation, books);
    let booked_as_use = without_steal(books, machine.busy(), machine.steal);
    rest(observation.sched.as_ref(), machine, books);
    if machine.steal > Nanos::ZERO {
        let hypervisor = books.account(&Arc::new(Party::hypervisor()));
        add(books, hypervisor, machine.steal);
    }
    books
        .parties
        .iter_mut()
        .for_each(|party| fit_split(&mut party.cpu));
    booked_as_use
}

fn add(books: &mut Books<'_>, index: usize, time: Nanos) {
    if let Some(party) = books.party_mut(index) {
        party.cpu.usage += time;
    }
}

/// What the cgroups' files say.
fn files(tree: &Tree<'_>, books: &mut Books<'_>) {
    let count = books.parties.len();
    let usage = tree.exclusive(count, |place| delta(place, |cpu| Some(cpu.usage)));
    let user = tree.exclusive(count, |place| delta(place, |cpu| cpu.user));
    let system = tree.exclusive(count, |place| delta(place, |cpu| cpu.system));
    for (((party, usage), user), system) in
        books.parties.iter_mut().zip(usage).zip(user).zip(system)
    {
        party.cpu.usage = Nanos(usage.unwrap_or(0));
        party.cpu.user = user.map(Nanos);
        party.cpu.system = system.map(Nanos);
    }
    // A quota inside of a party is its own doing too.
    for place in tree.places() {
        let throttled = delta(place, |cpu| cpu.throttled);
        let now = place.after.cpu.and_then(|cpu| cpu.throttled_periods);
        let then = place
            .before
            .and_then(|b| b.cpu)
            .and_then(|cpu| cpu.throttled_periods);
        let Some(party) = books.party_mut(place.party) else {
            continue;
        };
        if let Some(throttled) = throttled {
            *party.cpu.throttled.get_or_insert_default() += Nanos(throttled);
        }
        if let Some(now) = now {
            let periods = now.saturating_sub(then.unwrap_or(0));
            let sum = party.cpu.throttled_periods.get_or_insert_default();
            *sum = sum.saturating_add(periods);
        }
    }
}

/// What a counter of a cgroup grew by in the window; from zero where it was born in it.
fn delta(place: &Place<'_>, of: impl Fn(&CgroupCpu) -> Option<Nanos>) -> Option<u64> {
    let now = of(place.after.cpu.as_ref()?)?;
    let then = place.before.and_then(|before| of(before.cpu.as_ref()?));
    Some(now.since(then.unwrap_or(Nanos::ZERO)).0)
}

/// Charges who went away, out of what its nearest living ancestor counted.
fn give_back(sched: &SchedWindow, tree: &Tree<'_>, books: &mut Books<'_>) {
    for window in &sched.owners {
        if !matches!(window.owner, Owner::V2(_) | Owner::V1(_)) {
            continue;
        }
        let known = || tree.path_of(window.owner);
        let Some(path) = window.path.clone().or_else(known) else {
            continue;
        };
        let Some(&owner) = books.owners.get(&window.owner) else {
            continue;
        };
        let accounted = tree.accounted(window.owner, &path);
        if accounted.is_some_and(|(place, own)| own || place.party == owner) {
            continue;
        }
        let run = run(window);
        add(books, owner, run);
        if let Some(ancestor) = accounted.and_then(|(place, _)| books.party_mut(place.party)) {
            ancestor.cpu.usage = ancestor.cpu.usage.since(run);
        }
    }
}

fn run(window: &OwnerWindow) -> Nanos {
    window.cpus.iter().map(|cpu| cpu.run).sum()
}

/// Where each party ran and waited.
fn per_cpu(sched: &SchedWindow, books: &mut Books<'_>) {
    for window in &sched.owners {
        let Some(&index) = books.owners.get(&window.owner) else {
            continue;
        };
        let Some(party) = books.party_mut(index) else {
            continue;
        };
        let waited = party.cpu.runqueue_wait.get_or_insert_default();
        for cpu in &window.cpus {
            *waited += cpu.wait;
            let cpus = &mut party.cpu.cpus;
            // Most parties are one owner, whose CPUs come in order.
            match cpus.binary_search_by_key(&cpu.cpu, |known| known.cpu) {
                Ok(place) => {
                    cpus[place].run += cpu.run;
                    cpus[place].wait += cpu.wait;
                }
                Err(place) => cpus.insert(place, *cpu),
            }
        }
    }
}

/// The processes of the root cgroup: by the scheduler's account where there is one, which also
/// knows those that came and went within the window; else by their own counters.
fn root_processes(observation: &Observation, books: &mut Books<'_>) {
    if let Some(sched) = &observation.sched {
        for window in &sched.owners {
            if let (Owner::RootCommand(_), Some(&index)) =
                (window.owner, books.owners.get(&window.owner))
            {
                add(books, index, run(window));
            }
        }
    }
    let most = Nanos(
        super::length(observation)
            .0
            .saturating_mul(observation.host.cpus.into()),
    );
    let then: HashMap<(u32, u64), Nanos> = observation
        .before
        .root_processes
        .iter()
        .map(|p| ((p.pid, p.start_ticks), p.cpu))
        .collect();
    for process in &observation.after.root_processes {
        let index = books.account_of_command(&process.command);
        if observation.sched.is_none() {
            let then = then.get(&(process.pid, process.start_ticks)).copied();
            // One that moved here meanwhile brings its whole past along.
            let used = process.cpu.since(then.unwrap_or(Nanos::ZERO)).min(most);
            add(books, index, used);
        }
        if let Some(party) = books.party_mut(index) {
            let count = party.processes.get_or_insert_default();
            *count = count.saturating_add(1);
            let threads = party.threads.get_or_insert_default();
            *threads = threads.saturating_add(process.threads);
        }
    }
}

/// What nobody was charged with is the kernel's, but for what the scheduler saw without being able
/// to name its owner. Without its account, processes of the root cgroup that came and went leave
/// no trace but time in user mode, where the kernel's own threads never are.
fn rest(sched: Option<&SchedWindow>, machine: CpuTimes, books: &mut Books<'_>) {
    let mut left = machine
        .busy()
        .since(books.parties.iter().map(|party| party.cpu.usage).sum());
    let owners = || sched.into_iter().flat_map(|sched| &sched.owners);
    let kernel: Nanos = owners().filter(|w| w.owner == Owner::Kernel).map(run).sum();
    for window in owners() {
        let Some(&index) = books.owners.get(&window.owner) else {
            continue;
        };
        let nameless = books
            .parties
            .get(index)
            .is_some_and(|p| p.party.key.starts_with('?'));
        if nameless && !matches!(window.owner, Owner::RootCommand(_)) {
            let time = run(window).min(left.since(kernel));
            add(books, index, time);
            left = left.since(time);
        }
    }
    if sched.is_none() {
        let known = books
            .parties
            .iter()
            .map(|party| party.cpu.user.unwrap_or(party.cpu.usage));
        let vanished = machine.user.since(known.sum()).min(left);
        if vanished > Nanos::ZERO {
            let index = books.account_of_nobody("vanished processes");
            add(books, index, vanished);
            left = left.since(vanished);
        }
    }
    add(books, books.kernel, left);
}

/// Kernels without `CONFIG_PARAVIRT_TIME_ACCOUNTING` book time that the hypervisor took as run time
/// of whoever was on the CPU, while `/proc/stat` keeps it apart: what the parties have too much,
/// and steal explains, is taken from each in proportion. Returns whether this kernel does so.
fn without_steal(books: &mut Books<'_>, busy: Nanos, steal: Nanos) -> bool {
    let sum: Nanos = books.parties.iter().map(|party| party.cpu.usage).sum();
    let excess = sum.since(busy).min(steal);
    if excess == Nanos::ZERO {
        return false;
    }
    let mut taken = Nanos::ZERO;
    for party in &mut books.parties {
        let usage = party.cpu.usage;
        let part = u128::from(usage.0) * u128::from(excess.0) / u128::from(sum.0.max(1));
        let part = Nanos(u64::try_from(part).unwrap_or(0));
        party.cpu.usage = usage.since(part);
        taken += part;
    }
    // What rounding left over, nanoseconds, comes from the largest.
    if let Some(largest) = books.parties.iter_mut().max_by_key(|party| party.cpu.usage) {
        largest.cpu.usage = largest.cpu.usage.since(excess.since(taken));
    }
    // Ticks err by a little in either direction.
    excess.0 > steal.0 / 2
}

/// User and system time stay within the use they are parts of, though that was corrected.
fn fit_split(cpu: &mut CpuUse) {
    let (Some(user), Some(system)) = (cpu.user, cpu.system) else {
        return;
    };
    let sum = user + system;
    if sum > cpu.usage {
        let part = u128::from(cpu.usage.0) * u128::from(user.0) / u128::from(sum.0.max(1));
        let user = Nanos(u64::try_from(part).unwrap_or(u64::MAX));
        cpu.user = Some(user);
        cpu.system = Some(cpu.usage.since(user));
    }
}
