//! Reclaim and out-of-memory kills, accounted in the kernel at their events (`memory.bpf.c`).
//!
//! Tasks in direct reclaim wait until memory is found for them. The program adds up how long, for
//! which limit, and how much was thrown out on whose behalf. What a task loses by reading again what
//! was thrown out has no event: pressure tells that.

mod kills;

use super::owner::owner_of_key;
use super::resources::{Context, Opened, Source};
use super::sched::Names;
use super::tracepoint::{AttachError, attach};
use crate::causes::chain;
use crate::sources::cgroup::Controller;
use crate::sources::table::{TableError, mapped};
use crate::sys::MappedArray;
use aya::Ebpf;
use aya::EbpfError;
use aya::maps::{HashMap as BpfHashMap, MapData};
use dunnage_model::gap::Gap;
use dunnage_model::observation::{Limit, MemoryWindow, Owner, Reclaim, ResourceWindows};
use dunnage_model::units::{Bytes, Nanos};
use kills::Kills;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("memory.bpf.o");

/// `counts` of the C file.
const COUNT_RECLAIMS: usize = 0;
const COUNT_LOST: usize = 1;
const COUNT_KSWAPD: usize = 2;
const COUNT_KILLS: usize = 3;
const COUNTS: usize = 4;

/// `LIMIT_HIGH` of the C file.
const LIMIT_HIGH: u64 = 1 << 59;

/// Cells that did not move for this many windows are given back to the kernel's table.
const IDLE_WINDOWS: u32 = 60;

/// `struct cell` of the C file: stall, times, pages, command.
type Cell = [u64; 5];

/// Why reclaim is not accounted for.
#[derive(Debug, thiserror::Error)]
enum MemoryError {
    /// The object was refused.
    #[error("loading the program for memory reclaim failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The kernel refused the program at its tracepoint.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A map is missing from the object.
    #[error("the program for memory reclaim has no map {0}")]
    Missing(&'static str),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A cell at the last look.
#[derive(Clone, Copy, Default)]
struct Seen {
    cell: Cell,
    idle: u32,
    /// Pages freed up to the read number `read`.
    pages: u64,
    read: u64,
}

impl Seen {
    /// Pages freed in the window that a read closed, as far as that is the last one in which any were.
    fn pages_at(&self, read: u64) -> u64 {
        if self.read == read { self.pages } else { 0 }
    }
}

/// The loaded program.
struct Memory {
    cells: BpfHashMap<MapData, [u64; 2], Cell>,
    counts: MappedArray,
    kills: Option<Kills>,
    seen: HashMap<[u64; 2], Seen>,
    last: [u64; COUNTS],
    /// Reads; the first one opens the first window.
    reads: u64,
    page: u64,
    notices: Vec<Gap>,
    _ebpf: Ebpf,
}

/// Loads and attaches the program.
///
/// # Errors
/// Where the kernel refuses it (CAP_BPF and CAP_PERFMON are needed).
pub(super) fn open(context: &Context<'_>) -> Opened {
    Ok(Box::new(Memory::load(context)?))
}

impl Memory {
    fn load(context: &Context<'_>) -> Result<Memory, MemoryError> {
        let v1_memory = u32::from(context.mounts.of(Controller::Memory).is_some());
        let mut ebpf = context
            .loader()
            .override_global("v1_memory", &v1_memory, true)
            .load(OBJECT)
            .map_err(|e| MemoryError::Load(Box::new(e)))?;
        for (program, tracepoint) in [
            ("on_limit_end", "mm_vmscan_memcg_reclaim_end"),
            ("on_limit_begin", "mm_vmscan_memcg_reclaim_begin"),
            ("on_machine_end", "mm_vmscan_direct_reclaim_end"),
            ("on_machine_begin", "mm_vmscan_direct_reclaim_begin"),
            ("on_kswapd", "mm_vmscan_kswapd_wake"),
        ] {
            attach(&mut ebpf, context.btf, program, tracepoint)?;
        }
        let mut notices = Vec::new();
        let killed = match attach(&mut ebpf, context.btf, "on_kill", "mark_victim") {
            Ok(()) => true,
            // Before Linux 6.8 the tracepoint tells a number alone.
            Err(error) => {
                let why = format!(
                    "{}; kills are taken from the files of cgroups",
                    chain(&error)
                );
                notices.push(Gap::new("who filled the memory at a kill", why));
                false
            }
        };
        let counts = mapped(&ebpf, "counts", COUNTS, 1)?;
        let kills = mapped(&ebpf, "kills", kills::KILLS, kills::WORDS)?;
        let cells = ebpf
            .take_map("cells")
            .and_then(|map| BpfHashMap::try_from(map).ok())
            .ok_or(MemoryError::Missing("cells"))?;
        Ok(Memory {
            cells,
            counts,
            kills: killed.then(|| Kills::new(kills)),
            seen: HashMap::new(),
            last: [0; COUNTS],
            reads: 0,
            page: super::page_size().0,
            notices,
            _ebpf: ebpf,
        })
    }

    /// What the cells gained. Nothing is read where nothing was reclaimed.
    fn reclaims(&mut self, names: &mut Told) -> Vec<Reclaim> {
        let mut reclaims = Vec::new();
        let mut idle = Vec::new();
        for (key, cell) in self.cells.iter().flatten() {
            let seen = self.seen.entry(key).or_default();
            let [stall, times, pages] = std::array::from_fn(|at| gain(&cell, &seen.cell, at));
            if times == 0 && stall == 0 {
                seen.idle += 1;
                if seen.idle >= IDLE_WINDOWS {
                    idle.push(key);
                }
                continue;
            }
            let before = seen.pages_at(self.reads.saturating_sub(1));
            *seen = Seen {
                cell,
                idle: 0,
                pages,
                read: self.reads,
            };
            let Some(owner) = owner_of_key(key[0]) else {
                continue;
            };
            names.command(owner, [cell[3], cell[4]]);
            reclaims.push(Reclaim {
                owner,
                limit: limit_of_key(key[1]),
                stall: Nanos(stall),
                times,
                freed: Bytes(pages.saturating_mul(self.page)),
                freed_before: (self.reads > 2).then(|| Bytes(before.saturating_mul(self.page))),
            });
        }
        for key in idle {
            // An event in just this moment is lost with its cell; it was the first in a minute.
            let _ = self.cells.remove(&key);
            self.seen.remove(&key);
        }
        reclaims
    }
}

impl Source for Memory {
    fn window(&mut self, names: &dyn Names, windows: &mut ResourceWindows) {
        let now: [u64; COUNTS] = std::array::from_fn(|at| self.counts.load(at, 0));
        let gained: [u64; COUNTS] = std::array::from_fn(|at| now[at].saturating_sub(self.last[at]));
        self.last = now;
        self.reads += 1;
        let mut told = Told::default();
        let mut window = MemoryWindow {
            background: gained[COUNT_KSWAPD],
            lost: gained[COUNT_LOST],
            ..MemoryWindow::default()
        };
        if gained[COUNT_RECLAIMS] > 0 {
            window.reclaims = self.reclaims(&mut told);
        }
        if let Some(kills) = &mut self.kills {
            let (list, lost) = kills.since(now[COUNT_KILLS], self.page, &mut told);
            window.kills = list;
            window.lost += lost;
        }
        let limits = window.reclaims.iter().filter_map(|r| r.limit.owner());
        let killed = window
            .kills
            .iter()
            .flat_map(|kill| [Some(kill.victim), Some(kill.asker), kill.limit.owner()]);
        let owners = window.reclaims.iter().map(|r| r.owner);
        let all: Vec<Owner> = owners.chain(limits).chain(killed.flatten()).collect();
        for owner in all {
            if let Some(path) = names.path(owner) {
                told.names.insert(owner, path);
            }
        }
        window.names = told.names.into_iter().collect();
        windows.memory = Some(window);
    }

    fn notices(&self) -> Vec<Gap> {
        self.notices.clone()
    }
}

/// Names that the window tells of its owners.
#[derive(Default)]
struct Told {
    names: BTreeMap<Owner, Arc<str>>,
}

impl Told {
    /// Learns the command of a command of the root cgroup.
    fn command(&mut self, owner: Owner, words: [u64; 2]) {
        if matches!(owner, Owner::RootCommand(_)) {
            self.names.insert(owner, command(words));
        }
    }
}

/// `comm` as the kernel keeps it: 16 bytes, filled with zeros.
fn command(words: [u64; 2]) -> Arc<str> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    Arc::from(String::from_utf8_lossy(
        bytes.get(..end).unwrap_or_default(),
    ))
}

/// What stands in the C file for a limit.
fn limit_of_key(key: u64) -> Limit {
    if key == 0 {
        return Limit::Machine;
    }
    let high = key & LIMIT_HIGH != 0;
    match owner_of_key(key & !LIMIT_HIGH) {
        Some(owner @ (Owner::V2(_) | Owner::V1Memory(_))) if high => Limit::High(owner),
        Some(owner @ (Owner::V2(_) | Owner::V1Memory(_))) => Limit::Max(owner),
        _ => Limit::Unknown,
    }
}

fn gain(now: &Cell, then: &Cell, at: usize) -> u64 {
    match (now.get(at), then.get(at)) {
        (Some(now), Some(then)) => now.saturating_sub(*then),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_limit_is_the_machines_or_of_a_cgroup() {
        let v1 = 7 | 1 << 60;
        assert_eq!(limit_of_key(0), Limit::Machine);
        assert_eq!(limit_of_key(1), Limit::Unknown);
        assert_eq!(limit_of_key(7), Limit::Max(Owner::V2(7)));
        assert_eq!(limit_of_key(v1), Limit::Max(Owner::V1Memory(7)));
        assert_eq!(limit_of_key(7 | LIMIT_HIGH), Limit::High(Owner::V2(7)));
        // A command has no memory limit.
        assert_eq!(limit_of_key(7 | 1 << 62), Limit::Unknown);
    }

    #[test]
    fn a_command_ends_at_its_first_zero() {
        let words = [u64::from_ne_bytes(*b"stress\0x"), 0];
        assert_eq!(&*command(words), "stress");
    }

    proptest! {
        #[test]
        fn no_key_and_no_command_panics(key: u64, words: [u64; 2]) {
            let _ = (limit_of_key(key), command(words));
        }
    }
}
