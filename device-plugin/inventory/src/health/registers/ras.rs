//! The error counters of an AMD GPU's RAS blocks (`Documentation/gpu/amdgpu/ras.rst`).

use super::{History, Reading};
use crate::device::Device;
use dunnage_host::HostRoot;
use std::path::Path;

/// The most RAS blocks that are looked at; there are some twenty.
const BLOCKS_LIMIT: usize = 64;

/// The most entries of the folder that are looked at.
const ENTRIES_LIMIT: usize = 1024;

/// The most that is read of the list of bad pages, in bytes.
const PAGES_LIMIT: usize = 1 << 20;

/// Errors that one block counted since the driver was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Errors {
    uncorrectable: u64,
    correctable: u64,
}

/// Reads the counters of the GPU at `directory`. GPUs without RAS have none.
pub(super) fn read(
    host: &HostRoot,
    directory: &Path,
    device: &Device,
    _: &mut History,
) -> Option<Reading> {
    if device.family != "amd-gpu" {
        return None;
    }
    let ras = directory.join("ras");
    let (names, _) = host.entries(&ras, ENTRIES_LIMIT).ok()?;
    let mut reading = Reading::default();
    let mut sum = Errors::default();
    let mut faulty = Vec::new();
    let mut counters_read = 0;
    let blocks = names.iter().filter_map(|name| {
        let name = name.to_str()?;
        Some((name, name.strip_suffix("_err_count")?))
    });
    for (file, block) in blocks.take(BLOCKS_LIMIT) {
        let Some(errors) = host.fact(ras.join(file)).and_then(|text| counters(&text)) else {
            continue;
        };
        counters_read += 1;
        sum.uncorrectable = sum.uncorrectable.saturating_add(errors.uncorrectable);
        sum.correctable = sum.correctable.saturating_add(errors.correctable);
        if errors.uncorrectable > 0 {
            faulty.push(format!("{} in {block}", errors.uncorrectable));
        }
    }
    let attributes = &mut reading.attributes;
    if counters_read > 0 {
        attributes.push(("ras.uncorrectable", sum.uncorrectable.to_string()));
        attributes.push(("ras.correctable", sum.correctable.to_string()));
    }
    if let Ok(bytes) = host.read(ras.join("gpu_vram_bad_pages"), PAGES_LIMIT) {
        let pages = bad_pages(&String::from_utf8_lossy(&bytes));
        attributes.push(("ras.bad_pages", pages.to_string()));
    }
    if !faulty.is_empty() {
        reading.ill = Some(format!(
            "uncorrectable errors since the driver was loaded ({}); reset the GPU or load the driver again",
            faulty.join(", ")
        ));
    }
    (reading != Reading::default()).then_some(reading)
}

/// `ue: 0\nce: 3\n`, on newer kernels with `de:` behind it.
fn counters(text: &str) -> Option<Errors> {
    let value = |name: &str| -> Option<u64> {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(name)?.trim().parse().ok())
    };
    Some(Errors {
        uncorrectable: value("ue:")?,
        correctable: value("ce:").unwrap_or(0),
    })
}

/// How many pages are listed: `0x00000001 : 0x00001000 : R` each.
fn bad_pages(text: &str) -> usize {
    text.lines()
        .filter(|line| line.trim_start().starts_with("0x") && line.contains(':'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counters_are_read_in_both_forms() {
        let errors = Errors {
            uncorrectable: 1,
            correctable: 3,
        };
        assert_eq!(counters("ue: 1\nce: 3\n"), Some(errors));
        assert_eq!(counters("ue: 1\nce: 3\nde: 9\n"), Some(errors));
        assert_eq!(counters("Query currently inaccessible\n"), None);
    }

    #[test]
    fn bad_pages_are_counted() {
        assert_eq!(
            bad_pages("0x00000001 : 0x00001000 : R\n0x00000002 : 0x00001000 : P\n"),
            2
        );
        assert_eq!(bad_pages(""), 0);
    }

    proptest! {
        #[test]
        fn any_counter_file_can_be_read(text in "\\PC{0,200}") {
            let _ = counters(&text);
            let _ = bad_pages(&text);
        }
    }
}
