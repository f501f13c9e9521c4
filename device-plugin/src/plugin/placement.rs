//! Which of the free devices belong together: by NVLink or XGMI, then by PCIe, then by NUMA node; and
//! away from where there is noise. Pure.
//!
//! The worth of a set is the sum of the worth of its pairs, as NVIDIA's go-gpuallocator and AMD's plugin
//! have it. Sets of up to 16 candidates are all looked at; beyond that the best set is grown from
//! each candidate by whoever adds most, and then improved by swaps, which is not always the best.

use super::advertise::Slot;
use clap::ValueEnum;
use dunnage_inventory::Inventory;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How the slots of shared devices are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// Devices that are in use already before those that are free
    #[default]
    Packed,
    /// Devices with the fewest users first
    Spread,
}

/// Devices up to which every set is looked at.
const ALL_SETS: usize = 16;
/// Rounds of swaps at the most.
const SWAPS: usize = 4;

/// What is known of a candidate: a device with its free slots.
struct Candidate<'a> {
    device: &'a str,
    slots: Vec<&'a str>,
    /// Slots of it that must be included.
    wanted: Vec<&'a str>,
    /// Slots of it that somebody has.
    users: u32,
}

/// What makes devices belong together, and what speaks against one.
#[derive(Clone, Debug, Default)]
pub struct Ties {
    /// They change with the inventory alone, the noise with every window.
    places: Arc<Places>,
    /// What speaks against a device: the noise that verdicts found there.
    noise: BTreeMap<String, f64>,
}

/// Where devices are. What two of them are worth together is computed when it is asked for: a table of
/// all pairs of a thousand virtual functions would be larger than the rest of the program.
#[derive(Clone, Debug, Default)]
struct Places {
    /// By the ids of the inventory.
    index: BTreeMap<String, usize>,
    places: Vec<Place>,
    /// Worth of links between two devices, the smaller index first.
    links: BTreeMap<(usize, usize), u32>,
}

/// Where one device is; what is absent is near nothing.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The bridges at both ends of its path.
    switch: Option<String>,
    root: Option<String>,
    numa_node: Option<u32>,
}

/// Worth of what joins two devices: one link more outweighs any switch, a switch any NUMA node.
const LINK: u32 = 1000;
const SAME_SWITCH: u32 = 100;
const SAME_NUMA_NODE: u32 = 10;

impl Places {
    /// The index of a device, which is nowhere yet where it was not known.
    fn enter(&mut self, id: &str) -> usize {
        if let Some(at) = self.index.get(id) {
            return *at;
        }
        let at = self.places.len();
        self.index.insert(id.to_owned(), at);
        self.places.push(Place::default());
        at
    }

    fn link(&mut self, a: &str, b: &str, worth: u32) {
        let (a, b) = (self.enter(a), self.enter(b));
        let there = self.links.entry((a.min(b), a.max(b))).or_default();
        *there = worth.max(*there);
    }

    fn pair(&self, a: usize, b: usize) -> u32 {
        let (Some(one), Some(other)) = (self.places.get(a), self.places.get(b)) else {
            return 0;
        };
        let mut worth = self
            .links
            .get(&(a.min(b), a.max(b)))
            .copied()
            .unwrap_or_default();
        if one.switch.is_some() && one.switch == other.switch {
            worth += SAME_SWITCH;
        } else if one.root.is_some() && one.root == other.root {
            worth += SAME_SWITCH / 2;
        }
        if one.numa_node.is_some() && one.numa_node == other.numa_node {
            worth += SAME_NUMA_NODE;
        }
        worth
    }
}

impl Ties {
    /// What the inventory tells.
    #[must_use]
    pub fn of(inventory: &Inventory) -> Ties {
        let mut places = Places::default();
        for device in &inventory.devices {
            let path = device.pci.as_ref().map(|pci| &pci.path);
            let at = places.enter(&device.id);
            if let Some(place) = places.places.get_mut(at) {
                *place = Place {
                    switch: path.and_then(|path| path.last().cloned()),
                    root: path.and_then(|path| path.first().cloned()),
                    numa_node: device.numa_node,
                };
            }
        }
        for device in &inventory.devices {
            let mut links: BTreeMap<&str, u32> = BTreeMap::new();
            for peer in device.peers.iter().filter(|peer| peer.over != "pcie") {
                *links.entry(&peer.id).or_default() += peer.links.clamp(1, 32);
            }
            for (other, count) in links {
                places.link(&device.id, other, count * LINK);
            }
        }
        Ties {
            places: Arc::new(places),
            noise: BTreeMap::new(),
        }
    }

    /// The same, with what verdicts say of the noise at devices: tasks that stand still, by the
    /// device's id.
    #[must_use]
    pub fn with_noise(&self, noise: BTreeMap<String, f64>) -> Ties {
        Ties {
            places: Arc::clone(&self.places),
            noise,
        }
    }
}

/// The best `size` of the slots that are `available`, with all that `must` be among them; fewer
/// where there are fewer. `all` are the slots of the resource.
#[must_use]
pub fn preferred(
    all: &[Slot],
    available: &[String],
    must: &[String],
    size: usize,
    spread: Spread,
    ties: &Ties,
) -> Vec<String> {
    let candidates = candidates(all, available, must);
    let matrix = Matrix::new(&candidates, ties, spread);
    let fixed: Vec<usize> = (0..candidates.len())
        .filter(|at| {
            candidates
                .get(*at)
                .is_some_and(|one| !one.wanted.is_empty())
        })
        .collect();
    // A container that asks for two wants two devices, and not two slots of one, as long as there are
    // enough.
    let devices = size.max(fixed.len()).min(candidates.len());
    take(&candidates, &matrix.best(&fixed, devices), size)
}

/// Free devices by their own id, in the order of the resource.
fn candidates<'a>(all: &'a [Slot], available: &[String], must: &[String]) -> Vec<Candidate<'a>> {
    let free: BTreeSet<&str> = available.iter().chain(must).map(String::as_str).collect();
    let wanted: BTreeSet<&str> = must.iter().map(String::as_str).collect();
    let mut candidates: BTreeMap<&str, Candidate<'a>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for slot in all {
        let candidate = candidates.entry(&slot.device).or_insert_with(|| {
            order.push(&slot.device);
            Candidate {
                device: &slot.device,
                slots: Vec::new(),
                wanted: Vec::new(),
                users: 0,
            }
        });
        if wanted.contains(slot.id.as_str()) {
            candidate.wanted.push(&slot.id);
        } else if free.contains(slot.id.as_str()) {
            candidate.slots.push(&slot.id);
        } else {
            candidate.users += 1;
        }
    }
    order
        .into_iter()
        .filter_map(|device| candidates.remove(device))
        .filter(|one| !one.slots.is_empty() || !one.wanted.is_empty())
        .collect()
}

/// Worth of pairs by index, and what speaks against each.
struct Matrix {
    count: usize,
    pairs: Vec<u32>,
    own: Vec<Worth>,
}

impl Matrix {
    fn new(candidates: &[Candidate<'_>], ties: &Ties, spread: Spread) -> Matrix {
        let count = candidates.len();
        let mut pairs = Vec::with_capacity(count * count);
        let places = &ties.places;
        let at: Vec<Option<usize>> = candidates
            .iter()
            .map(|one| places.index.get(one.device).copied())
            .collect();
        for a in &at {
            pairs.extend(at.iter().map(|b| match (a, b) {
                (Some(a), Some(b)) if a != b => places.pair(*a, *b),
                _ => 0,
            }));
        }
        let own = |one: &Candidate<'_>| Worth {
            noise: ties.noise.get(one.device).copied().unwrap_or(0.0),
            ties: 0,
            fill: match spread {
                Spread::Packed => i64::from(one.users),
                Spread::Spread => -i64::from(one.users),
            },
        };
        Matrix {
            count,
            pairs,
            own: candidates.iter().map(own).collect(),
        }
    }

    fn pair(&self, a: usize, b: usize) -> u32 {
        self.pairs.get(a * self.count + b).copied().unwrap_or(0)
    }

    /// What a device is worth beside these others.
    fn beside(&self, at: usize, others: &[usize]) -> Worth {
        let ties = others.iter().map(|b| u64::from(self.pair(at, *b))).sum();
        Worth {
            ties,
            ..self.own.get(at).copied().unwrap_or_default()
        }
    }

    fn worth(&self, set: &[usize]) -> Worth {
        let mut sum = Worth::default();
        for (at, a) in set.iter().enumerate() {
            let others = set.get(at + 1..).unwrap_or_default();
            sum = sum.and(self.beside(*a, others));
        }
        sum
    }

    fn best(&self, fixed: &[usize], size: usize) -> Vec<usize> {
        if size >= self.count {
            return (0..self.count).collect();
        }
        if self.count <= ALL_SETS {
            self.every_set(fixed, size)
        } else {
            self.grown(fixed, size)
        }
    }

    /// The best of all sets; the first in the order of the resource where several are equal.
    fn every_set(&self, fixed: &[usize], size: usize) -> Vec<usize> {
        let must = fixed.iter().fold(0_u32, |bits, at| bits | 1 << at);
        let mut best: Option<(Worth, Vec<usize>)> = None;
        let mut set: Vec<usize> = (0..size).collect();
        loop {
            let bits = set.iter().fold(0_u32, |bits, at| bits | 1 << at);
            if bits & must == must {
                let worth = self.worth(&set);
                if best.as_ref().is_none_or(|(there, _)| worth.beats(there)) {
                    best = Some((worth, set.clone()));
                }
            }
            if !next_set(&mut set, self.count) {
                break;
            }
        }
        best.map(|(_, set)| set).unwrap_or_default()
    }

    /// Grown from each candidate, and improved by swaps.
    fn grown(&self, fixed: &[usize], size: usize) -> Vec<usize> {
        let seeds: Vec<Vec<usize>> = if fixed.is_empty() {
            (0..self.count).map(|seed| vec![seed]).collect()
        } else {
            vec![fixed.to_vec()]
        };
        let mut best: Option<(Worth, Vec<usize>)> = None;
        for seed in seeds {
            let set = self.improved(self.grow(seed, size), fixed);
            let worth = self.worth(&set);
            if best.as_ref().is_none_or(|(there, _)| worth.beats(there)) {
                best = Some((worth, set));
            }
        }
        let mut set = best.map(|(_, set)| set).unwrap_or_default();
        set.sort_unstable();
        set
    }

    fn grow(&self, mut set: Vec<usize>, size: usize) -> Vec<usize> {
        let mut worths: Vec<Worth> = (0..self.count).map(|at| self.beside(at, &set)).collect();
        while set.len() < size {
            let free = (0..self.count).filter(|at| !set.contains(at));
            let worth = |at: usize| worths.get(at).copied().unwrap_or_default();
            let Some(next) = free.reduce(|a, b| if worth(b).beats(&worth(a)) { b } else { a })
            else {
                break;
            };
            for (at, worth) in worths.iter_mut().enumerate() {
                worth.ties += u64::from(self.pair(at, next));
            }
            set.push(next);
        }
        set
    }

    fn improved(&self, mut set: Vec<usize>, fixed: &[usize]) -> Vec<usize> {
        for _ in 0..SWAPS {
            let mut changed = false;
            for place in 0..set.len() {
                let Some(&there) = set.get(place) else { break };
                if fixed.contains(&there) {
                    continue;
                }
                let rest: Vec<usize> = set.iter().copied().filter(|at| *at != there).collect();
                let best = (0..self.count)
                    .filter(|at| !set.contains(at))
                    .map(|at| (at, self.beside(at, &rest)))
                    .reduce(|a, b| if b.1.beats(&a.1) { b } else { a });
                if let Some((other, worth)) = best
                    && worth.beats(&self.beside(there, &rest))
                    && let Some(at) = set.get_mut(place)
                {
                    *at = other;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        set
    }
}

/// What a set is worth: less noise goes before nearer devices, and those before how full they are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Worth {
    noise: f64,
    ties: u64,
    fill: i64,
}

impl Worth {
    fn and(self, other: Worth) -> Worth {
        Worth {
            noise: self.noise + other.noise,
            ties: self.ties + other.ties,
            fill: self.fill + other.fill,
        }
    }

    fn beats(&self, other: &Worth) -> bool {
        let order = other.noise.total_cmp(&self.noise);
        let order = order.then(self.ties.cmp(&other.ties));
        order.then(self.fill.cmp(&other.fill)).is_gt()
    }
}

/// The next set of as many of `count`, in lexical order; false after the last.
fn next_set(set: &mut [usize], count: usize) -> bool {
    let size = set.len();
    for place in (0..size).rev() {
        let most = count - size + place;
        if let Some(at) = set.get(place).copied().filter(|at| *at < most) {
            for (step, at_place) in set.iter_mut().skip(place).enumerate() {
                *at_place = at + 1 + step;
            }
            return true;
        }
    }
    false
}

/// Slots of the chosen devices: those that must be, then one of each device, then more of them.
fn take(candidates: &[Candidate<'_>], chosen: &[usize], size: usize) -> Vec<String> {
    let mut taken: Vec<String> = candidates
        .iter()
        .flat_map(|one| one.wanted.iter().map(|id| (*id).to_owned()))
        .collect();
    let mut left: Vec<&Candidate<'_>> =
        chosen.iter().filter_map(|at| candidates.get(*at)).collect();
    // A device of which a slot is taken already comes last.
    left.sort_by_key(|one| one.wanted.len());
    let mut round = 0;
    while taken.len() < size {
        let next: Vec<&&str> = left.iter().filter_map(|one| one.slots.get(round)).collect();
        if next.is_empty() {
            break;
        }
        let room = size - taken.len();
        taken.extend(next.into_iter().take(room).map(|id| (*id).to_owned()));
        round += 1;
    }
    taken
}

#[cfg(test)]
mod tests;
