//! What one party lost to others over many windows. Pure.
//!
//! A verdict asks who is in the wrong, a measurement does not: whoever ran while the command waited
//! for a CPU disturbed it, also within a fair share. So waits with blame count as they were seen,
//! before any judge:
//!
//! - CPU: waits on run queues behind others, interrupts for others, and the command's part of the
//!   machine's steal;
//! - disk: of the time in which the command stood still for I/O (its pressure), the part that others'
//!   requests had in the time of its own;
//! - the rest: what the judges say that others did.

use dunnage_model::gap::Gap;
use dunnage_model::party::Party;
use dunnage_model::run::{Circumstances, RunLoss, RunVerdict};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{PartyUse, PartyWait, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Judgement, Resource, Verdict};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Adds windows up for one party.
#[derive(Debug)]
pub struct Tally {
    /// Whose.
    key: Arc<str>,
    /// CPU time that it got.
    pub ran: Nanos,
    /// How many windows were added.
    pub windows: usize,
    /// How well each resource was watched, in the worst window.
    pub coverage: BTreeMap<Resource, Coverage>,
    /// What was seen beside.
    pub circumstances: Circumstances,
    /// What could not be read, each once.
    pub gaps: Vec<Gap>,
    losses: BTreeMap<Resource, Loss>,
    verdicts: BTreeMap<(Resource, Cause), RunVerdict>,
    exact: bool,
}

/// A loss that is being added up.
#[derive(Debug, Default)]
struct Loss {
    to: BTreeMap<Arc<str>, (Arc<Party>, f64)>,
    unexplained: f64,
    /// What it needed of the resource itself, beside CPU time.
    own: f64,
}

impl Loss {
    fn add(&mut self, party: &Arc<Party>, seconds: f64) {
        if seconds > 0.0 {
            let entry = self.to.entry(party.key.clone());
            let (known, sum) = entry.or_insert_with(|| (party.clone(), 0.0));
            // Names come late: the last one that was told is the best.
            *known = party.clone();
            *sum += seconds;
        }
    }
}

impl Tally {
    /// Of the party with this key.
    #[must_use]
    pub fn new(key: Arc<str>) -> Tally {
        Tally {
            key,
            ran: Nanos::ZERO,
            windows: 0,
            coverage: BTreeMap::new(),
            circumstances: Circumstances::default(),
            gaps: Vec::new(),
            losses: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            exact: true,
        }
    }

    /// Adds a window.
    pub fn add(
        &mut self,
        window: &WindowUse,
        judgement: &Judgement,
        coverage: &BTreeMap<Resource, Coverage>,
    ) {
        self.windows += 1;
        for (resource, coverage) in coverage {
            let worst = self.coverage.entry(*resource).or_insert(*coverage);
            *worst = (*worst).max(*coverage);
        }
        for gap in &window.gaps {
            if !self.gaps.contains(gap) {
                self.gaps.push(gap.clone());
            }
        }
        self.exact &= window.waits.is_some();
        *self.circumstances.steal.get_or_insert_default() += window.machine.steal;
        for verdict in &judgement.verdicts {
            if verdict.victim.key == self.key {
                self.heed(verdict, window);
            }
        }
        let place = window.parties.iter().position(|p| p.party.key == self.key);
        if let Some(place) = place {
            self.add_party(window, place, &window.parties[place]);
        }
    }

    fn add_party(&mut self, window: &WindowUse, place: usize, party: &PartyUse) {
        let on_cpus: Nanos = party.cpu.cpus.iter().map(|on| on.run).sum();
        let ran = if window.waits.is_some() {
            on_cpus
        } else {
            party.cpu.usage
        };
        self.ran += ran;
        let seen = &mut self.circumstances;
        add_up(&mut seen.user, party.cpu.user);
        add_up(&mut seen.system, party.cpu.system);
        let faults = party.memory.and_then(|memory| memory.major_faults);
        if let Some(faults) = faults {
            *seen.major_faults.get_or_insert_default() += faults;
        }
        for disk in party.disk.iter().flatten() {
            let read = seen.read_from_disk.get_or_insert_default();
            *read += disk.read;
        }
        if let Some(memory) = &window.stalls.memory {
            let shares = memory.limits.iter().flat_map(|limit| &limit.sharers);
            // Each limit that was full tells of the same pages.
            let own = shares.filter(|share| share.party == place);
            let refaulted = own.map(|share| share.refaulted).max().unwrap_or_default();
            *seen.refaulted.get_or_insert(Bytes(0)) += refaulted;
        }
        let waits = window.waits.iter().flatten();
        for row in waits.filter(|row| row.party == place) {
            self.add_wait(window, row);
        }
        if window.waits.is_none() {
            add_up(&mut self.circumstances.throttled, party.cpu.throttled);
        }
        self.add_interruptions(window, place);
        self.add_steal(window, place, ran);
        self.add_disk(window, place, party);
    }

    fn add_wait(&mut self, window: &WindowUse, row: &PartyWait) {
        let loss = self.losses.entry(Resource::Cpu).or_default();
        let mut own = Nanos::ZERO;
        for (culprit, time) in &row.blame {
            if *culprit == row.party {
                own += *time;
            } else if let Some(culprit) = window.parties.get(*culprit) {
                loss.add(&culprit.party, time.seconds());
            }
        }
        loss.unexplained += row.unexplained.seconds();
        add_up(&mut self.circumstances.waited_for_itself, Some(own));
        add_up(&mut self.circumstances.throttled, Some(row.throttled));
    }

    fn add_interruptions(&mut self, window: &WindowUse, place: usize) {
        let interrupts = window.stalls.interrupts.iter();
        let rows = interrupts.flat_map(|interrupts| &interrupts.taken);
        for row in rows.filter(|row| row.blamed.party == place) {
            let loss = self.losses.entry(Resource::Cpu).or_default();
            for (culprit, time) in &row.blamed.blame {
                if let Some(culprit) = window.parties.get(*culprit) {
                    loss.add(&culprit.party, time.seconds());
                }
            }
            loss.unexplained += row.blamed.unexplained.seconds();
        }
    }

    /// Steal hits whoever runs: where it was not told CPU by CPU, the party's part of it is its part
    /// of the time that was run.
    fn add_steal(&mut self, window: &WindowUse, place: usize, ran: Nanos) {
        let (steal, busy) = (window.machine.steal.seconds(), window.machine.busy());
        let seconds = match &window.stalls.steal {
            Some(steal) => {
                let own = steal.parties.iter().find(|(party, _)| *party == place);
                own.map_or(0.0, |(_, time)| time.seconds())
            }
            None => steal * (ran.seconds() / busy.seconds().max(1e-9)).min(1.0),
        };
        if seconds > 0.0 {
            let loss = self.losses.entry(Resource::Cpu).or_default();
            loss.add(&Arc::new(Party::hypervisor()), seconds);
        }
    }

    fn add_disk(&mut self, window: &WindowUse, place: usize, party: &PartyUse) {
        let rows = || {
            let all = window.stalls.disk.iter().flatten();
            all.filter(|row| row.blamed.party == place)
        };
        let waited: f64 = rows().map(|row| row.blamed.wait.seconds()).sum();
        if waited <= 0.0 {
            return;
        }
        // Requests wait beside each other, and beside a task that goes on computing: what counts is
        // for how long the party stood still.
        let length = window.length.seconds();
        let stalled = match party.pressure.io_some {
            Some(some) => some * length,
            None => waited.min(length),
        };
        let scale = stalled / waited;
        let loss = self.losses.entry(Resource::Disk).or_default();
        for row in rows() {
            let blamed = &row.blamed;
            let foreign = blamed.wait.since(blamed.own).seconds();
            // A device that does several things at once costs less than the wait behind others: what
            // the requests would have taken alone is no loss.
            let lost = blamed.wait.since(blamed.own.max(row.needed)).seconds();
            let part = if foreign > 0.0 { lost / foreign } else { 0.0 };
            for (culprit, time) in &blamed.blame {
                if let Some(culprit) = window.parties.get(*culprit) {
                    loss.add(&culprit.party, time.seconds() * part * scale);
                }
            }
            loss.unexplained += blamed.unexplained.seconds() * part * scale;
            loss.own += (blamed.wait.seconds() - lost) * scale;
        }
    }

    fn heed(&mut self, verdict: &Verdict, window: &WindowUse) {
        let entry = self.verdicts.entry((verdict.resource, verdict.cause));
        let known = entry.or_insert_with(|| RunVerdict {
            worst: verdict.clone(),
            harm: Nanos::ZERO,
            windows: 0,
        });
        known.windows += 1;
        known.harm += verdict.harm;
        if verdict.harm > known.worst.harm {
            known.worst = verdict.clone();
        }
        let seen_raw = match verdict.resource {
            Resource::Cpu => window.waits.is_some(),
            Resource::Disk => window.stalls.disk.is_some(),
            _ => false,
        };
        if verdict.cause != Cause::Itself && !seen_raw {
            let loss = self.losses.entry(verdict.resource).or_default();
            for culprit in &verdict.culprits {
                loss.add(&culprit.party, culprit.time.seconds());
            }
            loss.unexplained += verdict.harm.seconds() * verdict.unexplained;
        }
    }

    /// Where waits were not seen at the scheduler: `waited` for a CPU is what the kernel counted for
    /// its tasks. Who ran meanwhile stays an estimate, and its own threads are in it.
    pub fn correct_waits(&mut self, waited: Nanos) {
        if self.exact && self.windows > 0 {
            return;
        }
        let loss = self.losses.entry(Resource::Cpu).or_default();
        let waited = waited.seconds();
        let named: f64 = loss.to.values().map(|(_, seconds)| seconds).sum();
        if named > waited {
            for (_, seconds) in loss.to.values_mut() {
                *seconds *= waited / named;
            }
        }
        loss.unexplained = (waited - named).max(0.0);
        let coverage = self.coverage.entry(Resource::Cpu).or_insert(Coverage::None);
        *coverage = (*coverage).min(Coverage::Correlated);
    }

    /// The losses of a run of this `length`, the largest fraction first, each of its parties as `named` knows it now; and the
    /// verdicts, most harm first.
    #[must_use]
    pub fn close(
        self,
        length: Nanos,
        named: &dyn Fn(&Arc<Party>) -> Arc<Party>,
    ) -> (Vec<RunLoss>, Vec<RunVerdict>) {
        let ran = self.ran;
        let mut losses: Vec<RunLoss> = self
            .losses
            .into_iter()
            .map(|(resource, loss)| loss.closed(resource, ran, named))
            .filter(|loss| loss.lost > Nanos::ZERO)
            .collect();
        losses.sort_by(|a, b| b.fraction(length).total_cmp(&a.fraction(length)));
        let mut verdicts: Vec<RunVerdict> = self.verdicts.into_values().collect();
        verdicts
            .sort_by_key(|verdict| (verdict.worst.cause == Cause::Itself, Reverse(verdict.harm)));
        (losses, verdicts)
    }
}

impl Loss {
    fn closed(
        self,
        resource: Resource,
        ran: Nanos,
        named: &dyn Fn(&Arc<Party>) -> Arc<Party>,
    ) -> RunLoss {
        let mut to: Vec<(Arc<Party>, Nanos)> = self
            .to
            .into_values()
            .map(|(party, seconds)| (named(&party), Nanos::from_seconds(seconds)))
            .collect();
        to.sort_by_key(|(_, time)| Reverse(*time));
        let unexplained = Nanos::from_seconds(self.unexplained);
        RunLoss {
            resource,
            lost: to.iter().map(|(_, time)| *time).sum::<Nanos>() + unexplained,
            had: ran + Nanos::from_seconds(self.own),
            to,
            unexplained,
        }
    }
}

fn add_up(sum: &mut Option<Nanos>, time: Option<Nanos>) {
    if let Some(time) = time {
        *sum.get_or_insert_default() += time;
    }
}

#[cfg(test)]
mod tests;
