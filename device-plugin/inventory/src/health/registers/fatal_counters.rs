//! The error counters of Intel's data centre GPUs: `drm/cardN/gt/gtM/error_counter/*`, a file a sort of
//! error, of the i915 that Intel ships outside the kernel (`sysfs_gt_errors.c`). The kernel's own
//! drivers have none.

use super::{History, Reading};
use crate::device::Device;
use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// The most entries of a folder that are looked at; there are some eighty counters.
const ENTRIES_LIMIT: usize = 512;

/// The most graphics engines of a GPU; there are four at most today.
const ENGINES_LIMIT: usize = 16;

/// Reads the counters of the GPU at `directory`.
pub(super) fn read(
    host: &HostRoot,
    directory: &Path,
    device: &Device,
    _: &mut History,
) -> Option<Reading> {
    if device.family != "intel-gpu" {
        return None;
    }
    let drm = directory.join("drm");
    let card = names(host, &drm)
        .into_iter()
        .find(|name| name.starts_with("card"))?;
    let engines = drm.join(card).join("gt");
    let mut faulty = Vec::new();
    let mut counters = 0;
    for engine in names(host, &engines).into_iter().take(ENGINES_LIMIT) {
        let folder = engines.join(&engine).join("error_counter");
        for name in names(host, &folder) {
            let Some(count) = count(host, folder.join(&name)) else {
                continue;
            };
            counters += 1;
            if count > 0 && is_fatal(&name) {
                faulty.push(format!("{count} {name} in {engine}"));
            }
        }
    }
    let ill = (!faulty.is_empty()).then(|| {
        format!(
            "fatal errors since the driver was loaded ({}); reset the GPU or load the driver again",
            faulty.join(", ")
        )
    });
    (counters > 0).then(|| Reading::of(ill))
}

/// Corrected errors and those that the driver recovered from make nobody ill: `correctable_guc`,
/// `sgunit_nonfatal`.
fn is_fatal(name: &str) -> bool {
    name.contains("fatal") && !name.contains("nonfatal")
}

fn count(host: &HostRoot, file: PathBuf) -> Option<u64> {
    host.fact(file)?.parse().ok()
}

fn names(host: &HostRoot, folder: &Path) -> Vec<String> {
    let (names, _) = host.entries(folder, ENTRIES_LIMIT).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect()
}
