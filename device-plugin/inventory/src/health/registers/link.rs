//! The link of a PCIe function: `current_link_speed` and `current_link_width`
//! (`Documentation/ABI/testing/sysfs-bus-pci`).
//!
//! Below its best it is no illness by itself: a slot may have fewer lanes than the card, and GPUs that
//! have nothing to do give up speed and lanes to save power. So a link is measured by the most lanes
//! that it ever had while this program watched; and a GPU's only while the GPU is busy.

use super::{History, Reading};
use crate::device::{Device, Kind};
use dunnage_host::HostRoot;
use std::path::Path;

/// The most lanes that PCIe knows. A function that is gone reads as all ones, which is more.
const MOST_LANES: u32 = 32;

/// Reads the link of the function at `directory`; virtual functions and those inside the processor have
/// none.
pub(super) fn read(
    host: &HostRoot,
    directory: &Path,
    device: &Device,
    history: &mut History,
) -> Option<Reading> {
    let fact = |name: &str| host.fact(directory.join(name));
    let speed = fact("current_link_speed")?;
    let lanes: u32 = fact("current_link_width")?.parse().ok()?;
    let is_down = speed.starts_with("Unknown") || lanes == 0 || lanes > MOST_LANES;
    if is_down {
        // What never had a link has not lost it.
        let lost = (history.widest > 0)
            .then(|| format!("its PCIe link is down ({lanes} lanes, speed {speed})"));
        return lost.map(|why| Reading::of(Some(why)));
    }
    let widest = history.widest.max(lanes);
    history.widest = widest;
    let is_at_work = device.kind != Kind::Gpu
        || fact("gpu_busy_percent").is_some_and(|busy| !busy.is_empty() && busy != "0");
    let narrow = (lanes < widest && is_at_work).then(|| {
        format!(
            "its PCIe link runs on {lanes} of {widest} lanes: reset the device, or seat it anew"
        )
    });
    Some(Reading::of(narrow))
}
