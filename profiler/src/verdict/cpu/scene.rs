//! One window made ready for judgement: who ran, wanted, waited, and who is above its share.
//!
//! What a party wants is what it had and what it waited for. Of one that rests in between, and still
//! waits, that is too much: it had all it asked for, later. Thirty bystanders that wait 5 ms each time
//! they come want no CPU more than they had. So wherever somebody wants more than there is, those who
//! rest are taken to want what they had ([`Scene::full`]); where nobody does, who waits for whom is
//! told by what they wanted while they waited ([`Scene::all`]).
//!
//! Shares are looked at on two scales. Over the whole window, the light party that ticks along gets
//! all it wants and the heavy one gets the rest. That scale is blind to a party that is quiet for
//! most of the window and then takes a CPU for itself; so where the window as a whole had room for
//! everybody, a suspect that comes in bursts is looked at once more within its own bursts. And it is
//! blind to a victim that wants a CPU without a rest for a part of the window only: what ran there
//! before it came was not taken from it, so such a one is looked at within the time that it wanted.

use super::entitlement::{Contest, Settlement};
use super::{can_lose, thresholds};
use dunnage_model::observation::OwnerCpu;
use dunnage_model::party::PartyKind;
use dunnage_model::usage::{CpuClaim, PartyWait, WindowUse};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Claimants looked at one by one; what others run is taken out of the capacity.
const MOST_CLAIMANTS: usize = 256;

/// Parties that take part in one burst.
const MOST_IN_BURST: usize = 32;

/// CPUs without any use that are counted in; the kernel's `NR_CPUS` stops at 8,192.
const MOST_CPUS: u32 = 8_192;

/// A party used a CPU when this part of what it wanted was there.
const OBSERVED: f64 = 0.01;

/// The window with everything that is derived once.
pub(super) struct Scene<'a> {
    /// The window.
    pub(super) window: &'a WindowUse,
    /// Its length.
    pub(super) seconds: f64,
    /// Seconds run, by party.
    ran: Vec<f64>,
    /// The row of each party that waited.
    rows: Vec<Option<&'a PartyWait>>,
    /// Seconds that (victim, culprit) is blamed for.
    blame: FxHashMap<(usize, usize), f64>,
    /// With all that everybody waited as want.
    all: Contested,
    /// The same, in which those who rest want what they had.
    full: Contested,
    /// The number of each party in both contests.
    entries: Vec<Option<usize>>,
    /// Seconds run, by number in the contests.
    used: Vec<f64>,
    /// Seconds in which nobody ran on a claimant's CPUs, by number in the contests.
    idle: Vec<f64>,
}

/// A contest and what it comes to.
#[derive(Default)]
struct Contested {
    contest: Contest,
    settled: Settlement,
}

impl Contested {
    fn new(contest: Contest) -> Contested {
        let settled = contest.settle();
        Contested { contest, settled }
    }

    /// Whether a claimant wants more than its share, by number.
    fn is_heavy(&self, entry: usize) -> bool {
        !self.contest.satisfies(entry, &self.settled)
    }

    fn held_by_quota(&self, who: usize, other: usize) -> bool {
        self.contest.held_by_quota(who, other, &self.settled)
    }
}

impl<'a> Scene<'a> {
    /// Makes the window ready. `waits` are its rows; rows and blame of parties that do not exist
    /// are left out, as is all but the first row of a party.
    pub(super) fn new(window: &'a WindowUse, waits: &'a [PartyWait]) -> Scene<'a> {
        let count = window.parties.len();
        let mut rows: Vec<Option<&PartyWait>> = vec![None; count];
        for row in waits {
            if let Some(place) = rows.get_mut(row.party) {
                place.get_or_insert(row);
            }
        }
        let mut blame = FxHashMap::default();
        blame.reserve(rows.iter().flatten().map(|row| row.blame.len()).sum());
        for row in rows.iter().flatten() {
            for (culprit, time) in row.blame.iter().filter(|(culprit, _)| *culprit < count) {
                *blame.entry((row.party, *culprit)).or_default() += time.seconds();
            }
        }
        let mut scene = Scene {
            window,
            seconds: window.length.seconds(),
            ran: window.parties.iter().map(|p| ran(&p.cpu)).collect(),
            rows,
            blame,
            all: Contested::default(),
            full: Contested::default(),
            entries: vec![None; count],
            used: Vec::new(),
            idle: Vec::new(),
        };
        scene.settle();
        scene
    }

    /// The row of a party, where it waited.
    pub(super) fn row(&self, party: usize) -> Option<&'a PartyWait> {
        self.rows.get(party).copied().flatten()
    }

    /// Seconds that `victim` waited while `culprit` ran.
    pub(super) fn blame(&self, victim: usize, culprit: usize) -> f64 {
        self.blame.get(&(victim, culprit)).copied().unwrap_or(0.0)
    }

    /// Seconds that a party ran, by the best source there is.
    pub(super) fn ran(&self, party: usize) -> f64 {
        self.ran[party]
    }

    /// Seconds that a party got, as its cgroup's files say.
    pub(super) fn got(&self, party: usize) -> f64 {
        self.window.parties[party].cpu.usage.seconds()
    }

    /// What a party lost and got in all, when quotas held it back for `throttled` seconds.
    pub(super) fn loss(&self, party: usize, throttled: f64) -> thresholds::Loss {
        let queued = self.row(party).map_or(0.0, |row| row.wait.seconds());
        thresholds::Loss {
            waited: queued + throttled,
            got: self.got(party),
            seconds: self.seconds,
        }
    }

    /// Seconds that a party was entitled to; `None` for those that have no entitlement.
    pub(super) fn fair(&self, party: usize) -> Option<f64> {
        self.entries[party].map(|entry| self.all.settled.fair[entry])
    }

    /// Seconds of CPU that a party wanted: ran, waited for others and was throttled. Where several
    /// of its tasks waited at once they count as one, and so does waiting for each other: one CPU
    /// would have served them.
    fn want(&self, party: usize) -> f64 {
        let Some(row) = self.row(party) else {
            return self.ran[party];
        };
        self.wanted(party, row) + row.throttled.seconds() / self.at_once(party)
    }

    /// The same without what was throttled.
    fn wanted(&self, party: usize, row: &PartyWait) -> f64 {
        let others = (row.wait.seconds() - self.blame(party, party)).max(0.0);
        self.ran[party] + others / self.at_once(party)
    }

    /// Whether `victim` is at or above its share and wanted more than that.
    pub(super) fn at_its_share(&self, victim: usize) -> bool {
        let Some(entry) = self.entries[victim] else {
            return false;
        };
        let fair = self.all.settled.fair[entry];
        self.all.is_heavy(entry) && self.ran[victim] >= thresholds::AMONG_TAKERS * fair
    }

    /// Whether `victim` had all that its own quota allows, which is no more than its share.
    pub(super) fn at_its_quota(&self, victim: usize) -> bool {
        let quota = self.window.parties[victim].claim.quota_cpus;
        let allowed = quota.unwrap_or(0.0) * self.seconds;
        let fair = self.fair(victim).unwrap_or(0.0);
        allowed > 0.0
            && fair >= thresholds::SATISFIED * allowed
            && self.ran[victim] >= thresholds::AMONG_TAKERS * allowed
    }

    /// Seconds that the hypervisor took from all CPUs.
    pub(super) fn stolen(&self) -> f64 {
        self.window.machine.steal.seconds()
    }

    /// What each claimant ran on the CPUs on which `victim` waited, by number in the contest.
    pub(super) fn at_stake(&self, victim: usize) -> Vec<f64> {
        let waited = |on: &&OwnerCpu| on.wait.0 > 0;
        let cpus: BTreeSet<u32> = self.window.parties[victim]
            .cpu
            .cpus
            .iter()
            .filter(waited)
            .map(|on| on.cpu)
            .collect();
        if cpus.is_empty() {
            return self.used.clone();
        }
        let mut at_stake = vec![0.0; self.used.len()];
        for (party, entry) in self.entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let there = self.window.parties[party]
                .cpu
                .cpus
                .iter()
                .filter(|on| cpus.contains(&on.cpu));
            at_stake[*entry] = there.map(|on| on.run.seconds()).sum();
        }
        at_stake
    }

    /// Whether `suspect` ran with what `victim` was entitled to. `at_stake` is the victim's.
    pub(super) fn took_from(&self, victim: usize, suspect: usize, at_stake: &[f64]) -> bool {
        let (Some(v), Some(s)) = (self.entries[victim], self.entries[suspect]) else {
            return false;
        };
        let took = if self.crowded(&self.full, victim, v) {
            self.took_of_full(v, s, at_stake)
        } else {
            let over = took(&self.all, (&self.used, at_stake), v, s);
            // Whoever is held by a quota is within its claim, burst or not.
            let bursts = || !self.crowded(&self.all, victim, v) && !self.all.held_by_quota(s, v);
            over || (bursts() && self.took_in_bursts(victim, suspect))
        };
        took && !self.shared_while_wanted(victim, suspect)
    }

    /// The same where somebody wants more than there is. What a light victim lost is the doing of those
    /// who do; and who had no more than it asked for is not among them.
    fn took_of_full(&self, v: usize, s: usize, at_stake: &[f64]) -> bool {
        if self.full.is_heavy(v) {
            return took(&self.full, (&self.used, at_stake), v, s);
        }
        let (of_victim, of_suspect) = self.full.contest.use_for_weight(v, s, &self.used, at_stake);
        // Where nobody ran, nobody wanted: one that left a moment before the window's end lacks nothing.
        let there_was = self.full.settled.fair[s] - self.idle[s];
        self.full.is_heavy(s)
            && !self.full.held_by_quota(s, v)
            && of_suspect > thresholds::ABOVE * of_victim
            && self.used[s] >= thresholds::AMONG_TAKERS * there_was
    }

    /// Whether a victim that wanted the CPU in a few stretches, or long ones, had its share of each,
    /// beside a suspect that wanted it throughout: one that joined another in the middle of the window.
    fn shared_while_wanted(&self, victim: usize, suspect: usize) -> bool {
        let Some(of_victim) = self.stretch(victim) else {
            return false;
        };
        let wakes = self.row(victim).map_or(0.0, |row| row.wakes as f64);
        let few = wakes > 0.0 && wakes <= thresholds::FEW_STRETCHES * self.at_once(victim);
        let long = wakes > 0.0 && of_victim >= thresholds::LONG_STRETCH;
        if !long && (!few || of_victim < thresholds::BURST) {
            return false;
        }
        let beside = self.row(victim).map_or(&[][..], |row| &row.blame);
        let mut present = vec![(victim, self.ran[victim]), (suspect, 0.0)];
        present[1].1 = self.ran_while(victim, suspect);
        let others = beside.iter().map(|(party, _)| *party).filter(|party| {
            *party != suspect
                && *party != victim
                && self.entries.get(*party).is_some_and(Option::is_some)
        });
        present.extend(others.map(|party| (party, self.ran_while(victim, party))));
        present[2..].sort_by(|a, b| b.1.total_cmp(&a.1));
        present.truncate(MOST_IN_BURST);

        let length: f64 = present.iter().map(|(_, used)| used).sum();
        let mut contest = Contest::in_stretches(length, self.seconds);
        for (party, used) in &present {
            let throughout = *party == victim || *party == suspect;
            let want = if throughout { 2.0 * length } else { *used };
            let claim = &self.window.parties[*party].claim;
            contest.enter(claim, want, self.tasks(*party), None);
        }
        let fair = contest.settle().fair[0];
        self.ran[victim] >= thresholds::DEPRIVED * fair - thresholds::SLICES
    }

    /// Whether more was wanted than there was, where the victim waited.
    fn crowded(&self, of: &Contested, victim: usize, entry: usize) -> bool {
        let beside = self.row(victim).map_or(&[][..], |row| &row.blame);
        of.is_heavy(entry)
            || beside
                .iter()
                .filter_map(|(party, _)| self.entries.get(*party).copied().flatten())
                .any(|other| of.is_heavy(other) && !of.held_by_quota(other, entry))
    }

    /// The same question, asked for the time in which the suspect wanted the CPU.
    fn took_in_bursts(&self, victim: usize, suspect: usize) -> bool {
        let (Some(of_suspect), Some(of_victim)) = (self.stretch(suspect), self.stretch(victim))
        else {
            return false;
        };
        if of_suspect < thresholds::BURST || of_suspect < thresholds::BURST_RATIO * of_victim {
            return false;
        }
        let mut present = vec![
            (suspect, self.ran[suspect]),
            (victim, self.ran_while(suspect, victim)),
        ];
        let others = self.row(suspect).map_or(&[][..], |row| &row.blame);
        let others = others.iter().map(|(party, _)| *party).filter(|party| {
            *party != suspect
                && *party != victim
                && self.entries.get(*party).is_some_and(Option::is_some)
        });
        present.extend(others.map(|party| (party, self.ran_while(suspect, party))));
        present[2..].sort_by(|a, b| b.1.total_cmp(&a.1));
        present.truncate(MOST_IN_BURST);

        let length: f64 = present.iter().map(|(_, used)| used).sum();
        let mut contest = Contest::in_stretches(length, self.seconds);
        for (party, used) in &present {
            let waited = self.blame(*party, suspect) / self.at_once(*party);
            let want = if *party == suspect {
                2.0 * length
            } else {
                used + waited
            };
            let claim = &self.window.parties[*party].claim;
            contest.enter(claim, want, self.tasks(*party), None);
        }
        let used: Vec<f64> = present.iter().map(|(_, used)| *used).collect();
        took(&Contested::new(contest), (&used, &used), 1, 0)
    }

    /// Seconds of one CPU that `party` ran while `waiting` wanted it.
    fn ran_while(&self, waiting: usize, party: usize) -> f64 {
        (self.blame(waiting, party) / self.at_once(waiting)).min(self.ran[party])
    }

    /// How many of a party's tasks wanted one CPU at once, from how much they waited for each other.
    fn at_once(&self, party: usize) -> f64 {
        if self.ran[party] > 0.0 {
            1.0 + self.blame(party, party) / self.ran[party]
        } else {
            1.0
        }
    }

    /// Tasks that competed for CPUs at once, on average.
    fn tasks(&self, party: usize) -> f64 {
        let waited = self.row(party).map_or(0.0, |row| row.wait.seconds());
        ((self.ran[party] + waited) / self.seconds).round().max(1.0)
    }

    /// For how long a party wanted a CPU each time it came, with however many tasks: a storm of short
    /// ones that follow each other is one stretch. `None` where that was not told.
    fn stretch(&self, party: usize) -> Option<f64> {
        let row = self.row(party).filter(|row| row.waits > 0)?;
        Some(self.wanted(party, row) / row.wakes.max(1) as f64)
    }

    /// Who is entitled to what over the whole window.
    fn settle(&mut self) {
        let machine = Cpus::of(self.window, self.seconds);
        let mut claimants: Vec<usize> = (0..self.window.parties.len())
            .filter(|i| can_lose(self.window.parties[*i].party.kind) && self.want(*i) > 0.0)
            .collect();
        claimants.sort_by(|a, b| self.want(*b).total_cmp(&self.want(*a)));
        claimants.truncate(MOST_CLAIMANTS);
        let is_claimant: BTreeSet<usize> = claimants.iter().copied().collect();

        let without = (0..self.window.parties.len()).filter(|i| !is_claimant.contains(i));
        let mut contest = Contest::new(machine.capacity(self.window, without), self.seconds);
        let idle = machine.capacity(self.window, 0..self.window.parties.len());
        for party in claimants {
            let allowed = self.allowed(party, &machine);
            let may = |cpu: &usize| allowed.as_ref().is_none_or(|may| may[*cpu]);
            let its = (0..idle.len()).filter(may).map(|cpu| idle[cpu]);
            self.idle.push(its.sum());
            let claim: &CpuClaim = &self.window.parties[party].claim;
            self.entries[party] =
                Some(contest.enter(claim, self.want(party), self.tasks(party), allowed));
            self.used.push(self.ran[party]);
        }
        let had = &self.used;
        let full = contest.wanting(|who| {
            if contest.rests(who) {
                had[who]
            } else {
                contest.want(who)
            }
        });
        self.full = Contested::new(full);
        self.all = Contested::new(contest);
    }

    /// The CPUs a party competed for: those on which it was seen to run or wait. Affinity shows in no
    /// file of its cgroup, and what the scheduler did not move in a whole window was as good as
    /// pinned. Without that knowledge, its cpuset.
    fn allowed(&self, party: usize, machine: &Cpus) -> Option<Vec<bool>> {
        let of = &self.window.parties[party];
        let wanted = |on: &OwnerCpu| on.run.seconds() + on.wait.seconds();
        let want: f64 = of.cpu.cpus.iter().map(wanted).sum();
        let seen: BTreeSet<u32> = of
            .cpu
            .cpus
            .iter()
            .filter(|on| wanted(on) > OBSERVED * want)
            .map(|on| on.cpu)
            .collect();
        let among =
            |may: &dyn Fn(u32) -> bool| Some(machine.numbers.iter().map(|cpu| may(*cpu)).collect());
        if !seen.is_empty() {
            return among(&|cpu| seen.contains(&cpu));
        }
        let cpuset = of.claim.cpuset.as_ref().filter(|set| !set.is_empty())?;
        among(&|cpu| cpuset.contains(cpu))
    }
}

/// Whether, as the contest came out, `suspect` used what `victim` was entitled to.
///
/// A light victim is entitled to all it wants: what it lacks was taken by those who got the rest of
/// the CPU. A heavy victim is entitled to its share: what it lacks was taken by whoever is above. Where
/// nothing confines that one to the CPUs on which it waited, the scheduler put it there: then only who
/// had more than it on those CPUs took anything from it.
fn took(of: &Contested, (used, at_stake): (&[f64], &[f64]), victim: usize, suspect: usize) -> bool {
    let Contested { contest, settled } = of;
    let (fair_victim, fair_suspect) = (settled.fair[victim], settled.fair[suspect]);
    if used[victim] >= thresholds::DEPRIVED * fair_victim {
        return false;
    }
    let (of_victim, of_suspect) = contest.use_for_weight(victim, suspect, used, at_stake);
    if of_suspect <= thresholds::ABOVE * of_victim {
        return false;
    }
    if !of.is_heavy(victim) && of.is_heavy(suspect) && !of.held_by_quota(suspect, victim) {
        return used[suspect] >= thresholds::AMONG_TAKERS * fair_suspect;
    }
    if of.is_heavy(victim) && !contest.confined(victim) {
        let (victims, suspects) = contest.use_for_weight_there(victim, suspect, at_stake);
        if suspects <= thresholds::ABOVE * victims {
            return false;
        }
    }
    // Where a suspect stayed on one CPU by chance, it could have been moved like the others.
    let moves = contest.on_several(suspect) || !contest.confined(suspect);
    let moved = of.is_heavy(victim) && contest.on_several(victim) && moves;
    if moved && contest.is_placement(suspect, used[suspect], fair_suspect) {
        return false;
    }
    let above = if moved {
        thresholds::ABOVE_ON_SEVERAL
    } else if contest.rests(suspect) {
        thresholds::ABOVE_WITH_RESTS
    } else {
        thresholds::ABOVE
    };
    let margin = (above - 1.0) * fair_suspect + thresholds::SLICES;
    // What a victim leaves of its share goes to all others, to each a little.
    let several = contest.on_several(victim) && contest.on_several(suspect);
    let left = fair_victim - used[victim];
    let margin = if !several && left >= thresholds::MUCH_LEFT * fair_victim {
        margin.min(thresholds::PART_OF_LEFT * left)
    } else {
        margin
    };
    used[suspect] > fair_suspect + margin
}

/// Seconds run, from the kernel-side part where it is there, else from the cgroup's files.
fn ran(cpu: &dunnage_model::usage::CpuUse) -> f64 {
    let seen: f64 = cpu.cpus.iter().map(|c| c.run.seconds()).sum();
    if seen > 0.0 {
        seen
    } else {
        cpu.usage.seconds()
    }
}

/// The machine's CPUs.
struct Cpus {
    /// Their numbers, ascending.
    numbers: Vec<u32>,
    /// Seconds that each has in the window.
    seconds: f64,
}

impl Cpus {
    fn of(window: &WindowUse, seconds: f64) -> Cpus {
        let seen = window
            .parties
            .iter()
            .flat_map(|p| &p.cpu.cpus)
            .map(|c| c.cpu);
        let numbers: BTreeSet<u32> = (0..window.host.cpus.clamp(1, MOST_CPUS))
            .chain(seen)
            .collect();
        Cpus {
            numbers: numbers.into_iter().collect(),
            seconds,
        }
    }

    /// What is left on each CPU when `parties` ran as they did. The hypervisor's time is not the
    /// machine's; time of which the CPU is not known is taken from all alike.
    fn capacity(&self, window: &WindowUse, parties: impl Iterator<Item = usize>) -> Vec<f64> {
        let mut left = vec![self.seconds; self.numbers.len()];
        let mut anywhere = 0.0;
        for party in parties
            .map(|i| &window.parties[i])
            .filter(|p| p.party.kind != PartyKind::Hypervisor)
        {
            if party.cpu.cpus.is_empty() {
                anywhere += party.cpu.usage.seconds();
            }
            for on in &party.cpu.cpus {
                if let Ok(place) = self.numbers.binary_search(&on.cpu) {
                    left[place] -= on.run.seconds();
                }
            }
        }
        let each = anywhere / left.len().max(1) as f64;
        left.iter()
            .map(|seconds| (seconds - each).max(0.0))
            .collect()
    }
}
