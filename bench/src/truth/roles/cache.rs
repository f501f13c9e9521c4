//! Loads on caches and memory bandwidth: one that feels them, one that fills them.

use super::super::clock;
use super::super::part::Part;
use super::size;
use clap::Args;
use std::hint::black_box;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Steps that are timed as one operation.
const STEPS: usize = 200_000;

/// Follows a chain of lines in an order that no prefetcher guesses, and times it.
#[derive(Args, Debug)]
pub(crate) struct Chase {
    /// Memory that it goes through
    #[arg(long, value_parser = size)]
    bytes: u64,
}

impl Chase {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let lines = usize::try_from(self.bytes)? / LINE;
        // A step that has no common divisor with an odd number of lines visits them all.
        let lines = lines.max(3) | 1;
        let stride = (lines / 3 * 2) | 1;
        let mut chain = vec![0_usize; lines * (LINE / size_of::<usize>())];
        let word = |line: usize| line * (LINE / size_of::<usize>());
        let mut line = 0;
        for _ in 0..lines {
            let next = (line + stride) % lines;
            chain[word(line)] = word(next);
            line = next;
        }
        while let Some(end) = part.next_span() {
            let mut at = 0;
            while clock::monotonic() < end {
                let began = clock::monotonic();
                for _ in 0..STEPS {
                    at = chain[at];
                }
                black_box(at);
                part.meter.operation(began, 1);
            }
        }
        Ok(())
    }
}

/// Writes through memory without a rest.
#[derive(Args, Debug)]
pub(crate) struct Overwrite {
    /// Memory that it goes through
    #[arg(long, value_parser = size)]
    bytes: u64,
}

impl Overwrite {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let mut memory = vec![0_u64; usize::try_from(self.bytes)? / size_of::<u64>()];
        while let Some(end) = part.next_span() {
            while clock::monotonic() < end {
                for word in memory.iter_mut().step_by(LINE / size_of::<u64>()) {
                    *word = word.wrapping_add(1);
                }
                black_box(&memory);
                part.meter.done(self.bytes);
            }
        }
        Ok(())
    }
}
