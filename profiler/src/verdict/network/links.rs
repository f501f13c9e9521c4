//! Who sent how much through each link, and what a victim's wait in its queue consists of.

use super::thresholds::{ABOVE, LEAST_RATE, LOOKS_GUILTY};
use super::{can_lose, cause_by};
use dunnage_model::usage::{LinkStall, WindowUse};
use dunnage_model::verdict::Cause;
use std::collections::BTreeMap;

/// What one link carried.
#[derive(Debug, Default)]
struct Link {
    /// Bytes that went through, by party.
    sent: BTreeMap<usize, f64>,
    /// The same with what the queue dropped: what the party wanted to send.
    offered: BTreeMap<usize, f64>,
    /// All bytes that went through.
    total: f64,
}

/// The links of a window.
pub(super) struct Links<'w> {
    pub(super) window: &'w WindowUse,
    /// The window's length.
    pub(super) seconds: f64,
    by_device: BTreeMap<&'w str, Link>,
}

/// A wait, sorted by what may be said about those whose packets went out meanwhile. In seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Split {
    /// All of it.
    pub(super) wait: f64,
    /// Its own packets went out.
    pub(super) own: f64,
    /// Packets of parties within their share went out, or the kernel's.
    pub(super) within: f64,
    /// Packets of parties above their share went out, by party, with the cause.
    pub(super) accused: Vec<(usize, f64)>,
    causes: Vec<(Cause, f64)>,
    /// The rest.
    pub(super) unexplained: f64,
    /// Packets of its own that went out or were dropped.
    pub(super) packets: u64,
}

impl Split {
    /// Both together.
    pub(super) fn and(mut self, other: &Split) -> Split {
        self.wait += other.wait;
        self.own += other.own;
        self.within += other.within;
        self.accused.extend(&other.accused);
        self.causes.extend(&other.causes);
        self.unexplained += other.unexplained;
        self.packets += other.packets;
        self
    }

    /// What parties whose doing has this cause are accused of.
    pub(super) fn accused_for(&self, cause: Cause) -> f64 {
        self.causes
            .iter()
            .filter(|(other, _)| *other == cause)
            .map(|(_, seconds)| seconds)
            .sum()
    }

    /// The part of the unexplained that goes with `known` seconds.
    pub(super) fn unexplained_with(&self, known: f64) -> f64 {
        let explained = self.wait - self.unexplained;
        if explained > 0.0 {
            self.unexplained * known / explained
        } else {
            0.0
        }
    }
}

impl<'w> Links<'w> {
    pub(super) fn new(window: &'w WindowUse, stalls: &'w [LinkStall]) -> Links<'w> {
        let mut by_device: BTreeMap<&str, Link> = BTreeMap::new();
        for stall in stalls {
            let link = by_device.entry(&stall.device).or_default();
            let bytes = stall.bytes.0 as f64;
            *link.sent.entry(stall.blamed.party).or_default() += bytes;
            *link.offered.entry(stall.blamed.party).or_default() +=
                bytes + stall.dropped_bytes.0 as f64;
            link.total += bytes;
        }
        Links {
            window,
            seconds: window.length.seconds(),
            by_device,
        }
    }

    /// Whether the row is that of a party, and not of packets that nobody can be named for.
    pub(super) fn is_somebody(&self, stall: &LinkStall) -> bool {
        self.window
            .parties
            .get(stall.blamed.party)
            .is_some_and(|user| !user.party.key.starts_with('?'))
    }

    /// The cause when this party does harm; `None` for those who cannot be accused.
    pub(super) fn cause_of(&self, party: usize) -> Option<Cause> {
        let user = self.window.parties.get(party)?;
        // What has no name cannot be accused, and the kernel sends what it was asked to.
        (can_lose(user.party.kind) && !user.party.key.starts_with('?'))
            .then(|| cause_by(user.party.kind))
    }

    /// Bytes that a party sent through a link.
    pub(super) fn sent(&self, device: &str, party: usize) -> f64 {
        let link = self.by_device.get(device);
        link.and_then(|link| link.sent.get(&party))
            .copied()
            .unwrap_or(0.0)
    }

    /// Bytes that a party sent, or wanted to send, through a link.
    fn offered(&self, device: &str, party: usize) -> f64 {
        let link = self.by_device.get(device);
        link.and_then(|link| link.offered.get(&party))
            .copied()
            .unwrap_or(0.0)
    }

    /// The part, 0 to 1, of what the link carried.
    pub(super) fn part(&self, device: &str, party: usize) -> f64 {
        let total = self.by_device.get(device).map_or(0.0, |link| link.total);
        if total > 0.0 {
            self.sent(device, party) / total
        } else {
            0.0
        }
    }

    /// What each that sent through a link would have had of it in equal parts, in bytes.
    pub(super) fn equal_part(&self, device: &str) -> f64 {
        self.by_device
            .get(device)
            .map_or(0.0, |link| link.total / link.sent.len().max(1) as f64)
    }

    /// Whether `other` took what the victim of this row lacks: it offered the link more than an equal
    /// part of what that carries, and more than the victim. What is offered fills the queue, also
    /// where the queue then drops it.
    fn took(&self, victim: &LinkStall, other: usize) -> bool {
        let theirs = self.offered(&victim.device, other);
        let own = self.offered(&victim.device, victim.blamed.party);
        theirs > self.equal_part(&victim.device) && theirs > ABOVE * own
    }

    /// Whether the party of this row had an equal part of the link or more.
    pub(super) fn takes_its_share(&self, stall: &LinkStall) -> bool {
        ABOVE * self.sent(&stall.device, stall.blamed.party) >= self.equal_part(&stall.device)
    }

    /// Whether the party of this row sent a good part of what its link carried.
    pub(super) fn looks_guilty(&self, stall: &LinkStall) -> bool {
        let sent = self.sent(&stall.device, stall.blamed.party);
        self.part(&stall.device, stall.blamed.party) >= LOOKS_GUILTY
            && sent >= LEAST_RATE * self.seconds
    }

    /// What the wait of a row consists of.
    pub(super) fn split(&self, stall: &LinkStall) -> Split {
        let mut split = Split {
            wait: stall.blamed.wait.seconds(),
            own: stall.blamed.own.seconds(),
            unexplained: stall.blamed.unexplained.seconds(),
            packets: stall.packets + stall.dropped,
            ..Split::default()
        };
        for (other, time) in &stall.blamed.blame {
            let seconds = time.seconds();
            match self.cause_of(*other) {
                Some(cause) if self.took(stall, *other) => {
                    split.accused.push((*other, seconds));
                    split.causes.push((cause, seconds));
                }
                Some(_) => split.within += seconds,
                None => split.unexplained += seconds,
            }
        }
        split
    }
}
