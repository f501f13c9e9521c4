//! Keeps the kernel's workers to some CPUs, for scenarios about what they take there.

use super::homes::cpu_numbers;
use super::scenario::Cpus;
use anyhow::Context;
use std::fs;

/// The CPUs of the workers that are bound to none.
const FILE: &str = "/sys/devices/virtual/workqueue/cpumask";

/// Gives the workers their CPUs back when dropped.
pub(super) struct Undo {
    before: String,
}

/// Keeps the workers to `cpus`.
pub(super) fn keep_to(cpus: Cpus) -> anyhow::Result<Undo> {
    let before = fs::read_to_string(FILE).with_context(|| format!("reading {FILE}"))?;
    let undo = Undo {
        before: before.trim().to_owned(),
    };
    fs::write(FILE, mask(cpus)?).with_context(|| format!("writing {FILE}"))?;
    Ok(undo)
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = fs::write(FILE, &self.before);
    }
}

/// CPUs as a mask in the kernel's words of 32 bits.
pub(super) fn mask(cpus: Cpus) -> anyhow::Result<String> {
    let mut mask = vec![0_u32; 1];
    for cpu in cpu_numbers(cpus)? {
        mask.resize(mask.len().max(cpu / 32 + 1), 0);
        mask[cpu / 32] |= 1 << (cpu % 32);
    }
    let words: Vec<String> = mask.iter().rev().map(|bits| format!("{bits:x}")).collect();
    Ok(words.join(","))
}
