//! Blame whoever ran last: an eBPF program of the bench's own at sched_switch.

use super::super::stage::Played;
use anyhow::Context;
use aya::maps::{HashMap, MapData};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};
use std::collections::BTreeMap;

static LAST: &[u8] = aya::include_bytes_aligned!("../../ebpf/last.bpf.o");

/// The part of a victim's waits from which on the one who ran last is accused.
const NAMED: f64 = 0.1;

/// The loaded program.
pub(in super::super) struct LastProgram {
    ebpf: Ebpf,
}

/// Seconds by (who waited, who ran last), as actors' numbers.
pub(in super::super) type LastRunners = BTreeMap<(usize, usize), f64>;

impl LastProgram {
    /// Loads and attaches it.
    pub(in super::super) fn load() -> anyhow::Result<LastProgram> {
        let btf = Btf::from_sys_fs()?;
        let mut ebpf = EbpfLoader::new().btf(Some(&btf)).load(LAST)?;
        let program: &mut BtfTracePoint = ebpf
            .program_mut("on_switch")
            .context("the object has no program on_switch")?
            .try_into()?;
        program.load("sched_switch", &btf)?;
        program.attach()?;
        Ok(LastProgram { ebpf })
    }

    /// What it has summed up of those who take part. A cgroup's number is not used twice, so a
    /// scenario's own sums begin at nothing.
    pub(in super::super) fn read(&self, played: &Played) -> anyhow::Result<LastRunners> {
        let waits: HashMap<&MapData, [u64; 2], u64> = HashMap::try_from(
            self.ebpf
                .map("waits")
                .context("the object has no map waits")?,
        )?;
        let number = |id: u64| played.actors.iter().position(|actor| actor.id == Some(id));
        let mut sums = LastRunners::new();
        for entry in waits.iter() {
            let ([waited, last], nanos) = entry?;
            if let (Some(waited), Some(last)) = (number(waited), number(last)) {
                *sums.entry((waited, last)).or_default() += nanos as f64 / 1e9;
            }
        }
        Ok(sums)
    }
}

/// Those who ran last before a good part of the victim's waits ended, the victim itself aside.
pub(super) fn named(sums: &LastRunners, victim: usize) -> Vec<usize> {
    let behind = || {
        sums.iter()
            .filter(|((waited, last), _)| *waited == victim && *last != victim)
    };
    let all: f64 = behind().map(|(_, seconds)| seconds).sum();
    behind()
        .filter(|(_, seconds)| **seconds > NAMED * all)
        .map(|((_, last), _)| *last)
        .collect()
}
