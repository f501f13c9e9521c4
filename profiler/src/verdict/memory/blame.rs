//! Whose doing it is that memory ran out: who took more of it than its claim.
//!
//! What there is of a limit is shared by max-min fairness among those who ask for memory: everybody
//! may have what it wants up to its protection and an equal share of the rest. Whoever stands still
//! keeps what it has and took nothing from anybody. What a party took beyond its claim, to hold it or
//! to stream through it, was found by throwing out others' pages. A victim that did as much itself as
//! its neighbours did is held back by the limit and not by them.
//!
//! Who re-reads what it lost asks for as much as who streams, and within one window both look alike.
//! Time tells them apart: a party most of whose memory is new came to memory that others had. It took
//! from those who were there, and those took nothing from it. Of two that both came lately, one robs
//! the other only of what that one had to read again; and which of them is faster in one window is
//! chance, so that two streamers that are not unequal by far must have been so in the window before too.

use super::thresholds::{
    AMONG_TAKERS, CAME, DEPRIVED, HOLDS_LEAST, MOVES, MOVES_LEAST, PART_OF_DEMAND, READS_AGAIN,
    STREAMS, UNEQUAL, UNEQUAL_BY_FAR, UNKNOWN_LIMIT,
};
use dunnage_model::usage::{LimitKind, MemoryLimit, MemoryShare};

/// Shares of a loss by party; they add up to 1, or there are none.
#[derive(Debug)]
pub(super) struct Guilt {
    pub(super) shares: Vec<(usize, f64)>,
    /// 0 to 1.
    pub(super) trust: f64,
}

impl Guilt {
    /// Nobody can be accused of what nothing is known of.
    pub(super) fn unknown() -> Guilt {
        Guilt {
            shares: Vec::new(),
            trust: UNKNOWN_LIMIT,
        }
    }

    fn of(party: usize) -> Guilt {
        Guilt {
            shares: vec![(party, 1.0)],
            trust: 1.0,
        }
    }

    /// By weights, which must not all be nought.
    fn by(weights: Vec<(usize, f64)>) -> Guilt {
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        Guilt {
            shares: weights
                .into_iter()
                .filter(|(_, weight)| *weight > 0.0)
                .map(|(party, weight)| (party, weight / total))
                .collect(),
            trust: 1.0,
        }
    }
}

/// One party in the contest for what ran out, in bytes.
struct Rival {
    party: usize,
    used: f64,
    /// What it asked for.
    asked: f64,
    /// The same in the window before, where that is known.
    asked_before: Option<f64>,
    /// Of what it asked for it had this before, and lost it.
    read_again: f64,
    claim: f64,
    since: Since,
}

/// Since when a party has had what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// It came lately: most of it is new.
    Now,
    /// It was there before.
    Before,
    /// It has next to nothing, or is gone.
    Unknown,
}

impl Since {
    fn of(limit: &MemoryLimit, share: &MemoryShare) -> Since {
        let (used, grown) = (share.used.0 as f64, share.grown.0 as f64);
        if used.max(grown) < floor(limit) {
            Since::Unknown
        } else if grown >= CAME * used {
            Since::Now
        } else {
            Since::Before
        }
    }
}

impl Rival {
    fn wants(&self) -> f64 {
        self.used + self.asked
    }

    /// Whether most of what it asked for was thrown out from under it.
    fn lost_it(&self) -> bool {
        self.read_again >= self.asked * READS_AGAIN
    }

    /// What it took beyond its claim, if it has this part of its claim. Who has less than that is
    /// getting back what it lost.
    fn beyond(&self, part: f64) -> f64 {
        if self.used < self.claim * part {
            return 0.0;
        }
        (self.wants() - self.claim).max(0.0)
    }
}

/// Who is guilty of what `victim` waited for at `limit`.
pub(super) fn guilty(limit: &MemoryLimit, victim: usize, events: bool) -> Guilt {
    if limit.own == Some(victim) {
        return Guilt::of(victim);
    }
    let rivals = rivals(limit, victim, events);
    let Some(own) = rivals.iter().find(|rival| rival.party == victim) else {
        return Guilt::unknown();
    };
    // It has only just begun, or has ended: nobody can say what it lost.
    if own.used < HOLDS_LEAST {
        return Guilt::unknown();
    }
    let others = rivals.iter().filter(|rival| rival.party != victim);
    let takers: Vec<(&Rival, f64)> = others
        .filter(|rival| match (own.since, rival.since) {
            // Who was there before took nothing from who came, and lost to it as much as it asks for
            // again: however much that is, the two are no equals.
            (Since::Now, Since::Before) => false,
            (Since::Before, Since::Now) => true,
            (Since::Now, Since::Now) => own.lost_it() && !are_equals(own, rival),
            _ => !are_equals(own, rival),
        })
        .map(|rival| {
            // Who has just come holds little yet.
            let part = if rival.since == Since::Now {
                0.0
            } else {
                AMONG_TAKERS
            };
            (rival, rival.beyond(part))
        })
        .collect();
    let lost_it = own.since == Since::Before
        && takers
            .iter()
            .any(|(rival, by)| rival.since == Since::Now && *by > 0.0);
    let itself = if lost_it { 0.0 } else { own.beyond(DEPRIVED) };
    let mut weights: Vec<(usize, f64)> = takers
        .into_iter()
        .map(|(rival, beyond)| (rival.party, beyond))
        .filter(|(_, beyond)| *beyond > itself * UNEQUAL)
        .map(|(party, beyond)| (party, beyond - itself))
        .collect();
    if weights.is_empty() {
        return Guilt::of(victim);
    }
    weights.push((victim, itself));
    Guilt::by(weights)
}

/// Whether two stream alike: each asks for several times what it may have, and the one for not much
/// more than the other: neither by far in this window, nor in this one and the one before. Which of them
/// just holds more is chance.
fn are_equals(victim: &Rival, other: &Rival) -> bool {
    let streams = |rival: &Rival| rival.asked > rival.claim * STREAMS;
    let by_far = other.asked > victim.asked * UNEQUAL_BY_FAR;
    let unequal = other.asked > victim.asked * UNEQUAL;
    let unlike = by_far || unequal && were_unequal(victim, other);
    streams(victim) && streams(other) && !unlike
}

/// Whether two asked for unlike amounts in the window before; where that is not known, this window has
/// to do. Who asked for nothing then has only begun, and was neither.
fn were_unequal(victim: &Rival, other: &Rival) -> bool {
    let (Some(victim), Some(other)) = (victim.asked_before, other.asked_before) else {
        return true;
    };
    let (least, most) = (victim.min(other), victim.max(other));
    least > 0.0 && most > least * UNEQUAL
}

/// Who filled the memory in which a process of `victim` was killed, by growth; the victim too, as far
/// as it did it itself.
pub(super) fn fillers(limit: &MemoryLimit, victim: usize) -> Guilt {
    if limit.own == Some(victim) {
        return Guilt::of(victim);
    }
    let all: f64 = limit.sharers.iter().map(|share| share.grown.0 as f64).sum();
    let least = floor(limit).max(PART_OF_DEMAND * all);
    let grown: Vec<(usize, f64)> = limit
        .sharers
        .iter()
        .map(|share| (share.party, share.grown.0 as f64))
        .filter(|(_, grown)| *grown >= least)
        .collect();
    if grown.is_empty() {
        return Guilt::of(victim);
    }
    Guilt::by(grown)
}

/// Those who ask for memory, and the victim, with what each may have.
fn rivals(limit: &MemoryLimit, victim: usize, events: bool) -> Vec<Rival> {
    let moving = movers(limit, events);
    let (rivals, still): (Vec<&MemoryShare>, Vec<&MemoryShare>) = limit
        .sharers
        .iter()
        .partition(|share| share.party == victim || moving.contains(&share.party));
    let all: f64 = limit.sharers.iter().map(|share| share.used.0 as f64).sum();
    let there_is = limit.bytes.map_or(all, |bytes| bytes.0 as f64);
    let kept: f64 = still.iter().map(|share| share.used.0 as f64).sum();
    let mut rivals: Vec<(Rival, f64)> = rivals
        .into_iter()
        .map(|share| {
            let rival = Rival {
                party: share.party,
                used: share.used.0 as f64,
                asked: asked(limit, share, events),
                asked_before: asked_before(limit, share, events),
                read_again: share.refaulted.0 as f64,
                claim: 0.0,
                since: Since::of(limit, share),
            };
            (rival, share.protected.0 as f64)
        })
        .collect();
    divide(&mut rivals, (there_is - kept).max(0.0));
    rivals.into_iter().map(|(rival, _)| rival).collect()
}

/// Who asked for a part of this memory that counts.
pub(super) fn movers(limit: &MemoryLimit, events: bool) -> Vec<usize> {
    let asked: Vec<(usize, f64)> = limit
        .sharers
        .iter()
        .map(|share| (share.party, asked(limit, share, events)))
        .collect();
    let all: f64 = asked.iter().map(|(_, asked)| asked).sum();
    let least = floor(limit).max(PART_OF_DEMAND * all);
    asked
        .into_iter()
        .filter(|(_, asked)| *asked >= least)
        .map(|(party, _)| party)
        .collect()
}

fn floor(limit: &MemoryLimit) -> f64 {
    let there_is = limit.bytes.map_or(0.0, |bytes| bytes.0 as f64);
    (MOVES * there_is).max(MOVES_LEAST)
}

/// What a party asked for. Where a limit of cgroups is full, each page that somebody asks for has to
/// be found by its own task, and is seen; the machine's memory is freed in the background too.
fn asked(limit: &MemoryLimit, share: &MemoryShare, events: bool) -> f64 {
    let seen = share.freed.max(share.grown);
    let asked = if limit.kind == LimitKind::Machine || !events {
        seen.max(share.taken)
    } else {
        seen
    };
    asked.0 as f64
}

/// What a party asked for in the window before. Only reclaim by its own tasks tells of it.
fn asked_before(limit: &MemoryLimit, share: &MemoryShare, events: bool) -> Option<f64> {
    let tells = limit.kind != LimitKind::Machine && events;
    share
        .freed_before
        .filter(|_| tells)
        .map(|freed| freed.0 as f64)
}

/// Divides what there is: to everybody its protection, and of the rest the smallest wishes first and
/// to the others an equal part.
fn divide(rivals: &mut [(Rival, f64)], there_is: f64) {
    for (rival, protected) in rivals.iter_mut() {
        *protected = protected.min(rival.wants());
    }
    let reserved: f64 = rivals.iter().map(|(_, protected)| protected).sum();
    let wish = |(rival, protected): &(Rival, f64)| rival.wants() - protected;
    rivals.sort_by(|a, b| wish(a).total_cmp(&wish(b)));
    let count = rivals.len();
    let mut left = (there_is - reserved).max(0.0);
    for (at, (rival, protected)) in rivals.iter_mut().enumerate() {
        let part = (left / (count - at) as f64).min(rival.wants() - *protected);
        rival.claim = *protected + part;
        left -= part;
    }
}
