//! The ring of out-of-memory kills that the program writes.

use super::{Told, command, limit_of_key};
use crate::sources::owner::owner_of_key;
use crate::sys::MappedArray;
use dunnage_model::observation::{OomKill, Owner};
use dunnage_model::units::Bytes;

/// Places in the ring (`KILLS` of the C file).
pub(super) const KILLS: usize = 64;

/// Words of `struct kill`: owner, limit, held, asker, what the asker held, and three
/// commands of two words.
pub(super) const WORDS: usize = 11;

/// The ring and how far it was read.
pub(super) struct Kills {
    ring: MappedArray,
    read: u64,
}

impl Kills {
    pub(super) fn new(ring: MappedArray) -> Kills {
        Kills { ring, read: 0 }
    }

    /// The kills up to number `now`, and how many were overwritten before they were read.
    pub(super) fn since(&mut self, now: u64, page: u64, told: &mut Told) -> (Vec<OomKill>, u64) {
        let kept = now.saturating_sub(KILLS as u64).max(self.read);
        let lost = kept - self.read;
        let kills = (kept..now)
            .filter_map(|number| {
                let at = usize::try_from(number % KILLS as u64).ok()?;
                self.kill(at, page, told)
            })
            .collect();
        self.read = now;
        (kills, lost)
    }

    fn kill(&self, at: usize, page: u64, told: &mut Told) -> Option<OomKill> {
        let word = |word| self.ring.load(at, word);
        let victim = owner_of_key(word(0))?;
        let asker = owner_of_key(word(3)).unwrap_or(Owner::Unknown);
        told.command(victim, [word(7), word(8)]);
        told.command(asker, [word(9), word(10)]);
        Some(OomKill {
            victim,
            command: command([word(5), word(6)]),
            limit: limit_of_key(word(1)),
            held: Bytes(word(2).saturating_mul(page)),
            asker,
            asker_held: Bytes(word(4).saturating_mul(page)),
        })
    }
}
