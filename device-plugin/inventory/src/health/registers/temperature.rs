//! The temperatures of a device beside their limits: `hwmon/hwmonN/tempM_input`, and `tempM_emergency` or
//! `tempM_crit`, in thousandths of a degree (`Documentation/hwmon/sysfs-interface.rst`).

use super::{History, Reading};
use crate::device::Device;
use dunnage_host::HostRoot;
use std::path::Path;

/// The most sensors that are looked at, and the most folders of them.
const SENSORS_LIMIT: u32 = 16;
const FOLDERS_LIMIT: usize = 16;

/// The limits, the first that a sensor has: a device that is critical slows itself down and can be
/// used, as long as it has an emergency above that in which it switches itself off.
const LIMITS: [&str; 2] = ["emergency", "crit"];

/// How far below its limit a device is well again where no file says it (`tempM_crit_hyst`), in
/// thousandths of a degree: it would else come and go.
const HYSTERESIS: i64 = 5000;

/// One sensor, in thousandths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sensor {
    now: i64,
    limit: i64,
    /// Below this it is well again.
    well: i64,
}

impl Sensor {
    fn is_too_hot(self, was: bool) -> bool {
        self.now >= if was { self.well } else { self.limit }
    }
}

/// Reads the sensors of the function at `directory` that have a limit.
pub(super) fn read(
    host: &HostRoot,
    directory: &Path,
    _: &Device,
    history: &mut History,
) -> Option<Reading> {
    let monitors = directory.join("hwmon");
    let (folders, _) = host.entries(&monitors, FOLDERS_LIMIT).ok()?;
    let mut sensors = 0;
    let mut hot = Vec::new();
    for folder in folders.iter().map(|name| monitors.join(name)) {
        for number in 1..=SENSORS_LIMIT {
            let Some(sensor) = sensor(host, &folder, number) else {
                continue;
            };
            sensors += 1;
            if sensor.is_too_hot(history.hot) {
                let label = host.fact(folder.join(format!("temp{number}_label")));
                hot.push(format!(
                    "{} °C at {}, the limit is {} °C",
                    sensor.now / 1000,
                    label.unwrap_or_else(|| format!("temp{number}")),
                    sensor.limit / 1000
                ));
            }
        }
    }
    history.hot = !hot.is_empty();
    let ill = history
        .hot
        .then(|| format!("too hot: {}; see to its cooling", hot.join(", ")));
    (sensors > 0).then(|| Reading::of(ill))
}

/// A sensor with a limit above freezing; others say nothing of the device.
fn sensor(host: &HostRoot, folder: &Path, number: u32) -> Option<Sensor> {
    let value = |of: &str| -> Option<i64> {
        host.fact(folder.join(format!("temp{number}_{of}")))?
            .parse()
            .ok()
    };
    let (of, limit) = LIMITS
        .iter()
        .find_map(|of| Some((of, value(of).filter(|limit| *limit > 0)?)))?;
    let well = value(&format!("{of}_hyst")).filter(|well| (1..limit).contains(well));
    Some(Sensor {
        now: value("input")?,
        limit,
        well: well.unwrap_or(limit.saturating_sub(HYSTERESIS)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_hot_is_well_again_when_it_is_clearly_cooler() {
        let at = |now: i64| Sensor {
            now,
            limit: 100_000,
            well: 95_000,
        };
        assert!(!at(99_999).is_too_hot(false) && at(100_000).is_too_hot(false));
        assert!(at(97_000).is_too_hot(true) && !at(94_999).is_too_hot(true));
    }
}
