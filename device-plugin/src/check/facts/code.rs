//! Code for accelerators inside ELF files, found by its marks as the file streams by: NVIDIA's fat
//! binaries (cubin and PTX) and the offload bundles of AMD's compilers.

mod bundle;
mod fatbin;

use super::elf::Head;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// `EM_CUDA`.
const MACHINE_CUDA: u16 = 190;
/// `EM_AMDGPU`.
const MACHINE_AMDGPU: u16 = 224;
/// Different targets in one file; the largest libraries have some tens.
const MAX_TARGETS: usize = 256;

/// What NVIDIA's code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NvidiaTarget {
    /// PTX, that the driver compiles; else machine code.
    pub ptx: bool,
    /// 86 is compute capability 8.6.
    pub arch: u32,
    /// The letter behind the number: `a` for this chip alone, `f` for its family. A space where it
    /// is known that there is none, a question mark where that is not known.
    pub suffix: char,
    /// The PTX version, 84 for 8.4; 0 where there is none or it is not known.
    pub ptx_version: u32,
}

/// The code in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// NVIDIA's.
    pub nvidia: BTreeSet<NvidiaTarget>,
    /// AMD's, as the compilers name them: `gfx90a:sramecc+:xnack-`.
    pub amd: BTreeSet<String>,
    /// A bundle was there that could not be read to its end.
    pub unread: bool,
}

impl Targets {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nvidia.is_empty() && self.amd.is_empty() && !self.unread
    }

    fn add_nvidia(&mut self, target: NvidiaTarget) {
        if self.nvidia.len() < MAX_TARGETS {
            self.nvidia.insert(target);
        }
    }

    fn add_amd(&mut self, target: &str) {
        if self.amd.len() < MAX_TARGETS {
            self.amd.insert(target.to_owned());
        }
    }
}

/// Something whose length is known and that is collected while the file passes.
enum State {
    Searching { from: u64 },
    Fatbin(fatbin::Walk),
    Bundle(bundle::Collect),
}

/// Finds device code in a file that is fed to it piece by piece. The pieces follow each other and all
/// but the last have a multiple of 8 bytes: the marks are aligned.
pub struct Scanner {
    state: State,
    targets: Targets,
    /// How much was fed.
    fed: u64,
}

/// What a state wants after a piece.
enum Next {
    /// The piece is used up.
    More,
    /// Go on searching from this offset.
    From(u64),
}

impl Scanner {
    /// A scanner for a file with this head; code that stands alone shows in it.
    #[must_use]
    pub fn new(head: Option<&Head>) -> Scanner {
        let mut targets = Targets::default();
        match head {
            Some(head) if head.machine == MACHINE_CUDA => {
                targets.add_nvidia(fatbin::of_flags(head.flags));
            }
            Some(head) if head.machine == MACHINE_AMDGPU => match bundle::of_flags(head.flags) {
                Some(name) => targets.add_amd(&name),
                None => targets.unread = true,
            },
            _ => {}
        }
        Scanner {
            state: State::Searching { from: 0 },
            targets,
            fed: 0,
        }
    }

    /// The next piece, which begins at `offset` of the file.
    pub fn feed(&mut self, offset: u64, piece: &[u8]) {
        let end = offset + piece.len() as u64;
        self.fed = end;
        loop {
            let next = match &mut self.state {
                State::Searching { from } => {
                    let Some(state) = search(offset, piece, *from) else {
                        return;
                    };
                    self.state = state;
                    continue;
                }
                State::Fatbin(walk) => walk.feed(offset, piece, &mut self.targets),
                State::Bundle(collect) => collect.feed(offset, piece, &mut self.targets),
            };
            match next {
                Next::More => return,
                Next::From(from) => {
                    self.state = State::Searching { from };
                    if from >= end {
                        return;
                    }
                }
            }
        }
    }

    /// What was found, the file having ended.
    #[must_use]
    pub fn finish(mut self) -> Targets {
        match self.state {
            // A container that says it goes on behind the end of the file.
            State::Searching { from } => self.targets.unread |= from > self.fed,
            State::Fatbin(_) => self.targets.unread = true,
            State::Bundle(collect) => collect.finish(&mut self.targets),
        }
        self.targets
    }
}

/// The first mark in a piece, not before `from`.
fn search(offset: u64, piece: &[u8], from: u64) -> Option<State> {
    let skip = usize::try_from(from.saturating_sub(offset)).ok()?;
    let skip = skip.checked_next_multiple_of(8)?;
    let rest = piece.get(skip..)?;
    for (index, word) in rest.chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(word.try_into().ok()?);
        if !(word == fatbin::MARK
            || word == bundle::MARK
            || word & 0xffff_ffff == bundle::COMPRESSED_MARK)
        {
            continue;
        }
        let at = offset + (skip + index * 8) as u64;
        if word == fatbin::MARK {
            return Some(State::Fatbin(fatbin::Walk::new(at)));
        }
        if word == bundle::MARK || bundle::is_compressed(word) {
            return Some(State::Bundle(bundle::Collect::new(at)));
        }
    }
    None
}

#[cfg(test)]
mod tests;
