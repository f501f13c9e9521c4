//! What an operator turns to give a party more or less of the CPUs: the engine's command, else the file of
//! its cgroup.

use crate::verdict::words::{handle, place};
use dunnage_model::observation::CgroupLayout;
use dunnage_model::party::Party;
use dunnage_model::usage::PartyUse;

/// The least limit that is worth advising, in CPUs.
const LEAST_CPUS: f64 = 0.1;

/// The weight of a cgroup to which nobody gave one, as cpu.weight counts.
const DEFAULT_WEIGHT: f64 = 100.0;

/// The most that cpu.weight takes (`CGROUP_WEIGHT_MAX`).
const MOST_WEIGHT: f64 = 10_000.0;

/// The most that cpu.shares takes (`MAX_SHARES`).
const MOST_SHARES: f64 = 262_144.0;

/// The command or the file that limits a party to `cpus`.
pub(in crate::verdict) fn limit_knob(party: &Party, cpus: f64, layout: CgroupLayout) -> String {
    let cpus = (cpus.max(LEAST_CPUS) * 10.0).round() / 10.0;
    if party.pod.is_some() {
        return format!("resources.limits.cpu: \"{cpus}\" in its pod");
    }
    match (party.engine.as_deref(), handle(party)) {
        (Some(engine @ ("docker" | "podman")), Some(handle)) => {
            format!("{engine} update --cpus {cpus} {handle}")
        }
        (Some("systemd"), Some(unit)) => format!(
            "systemctl set-property {unit} CPUQuota={:.0}%",
            cpus * 100.0
        ),
        _ => format!(
            "{} of {}",
            if layout == CgroupLayout::V2 {
                "cpu.max"
            } else {
                "cpu.cfs_quota_us"
            },
            place(party)
        ),
    }
}

/// The command or the file that gives a party twice its weight, or the usual one where it has less than
/// half of that.
pub(in crate::verdict) fn weight_knob(user: &PartyUse, layout: CgroupLayout) -> String {
    let party = &user.party;
    if party.pod.is_some() {
        return "resources.requests.cpu in its pod".to_owned();
    }
    let now = user.claim.weights.last().map(|level| level.weight);
    let more = (2.0 * now.unwrap_or(DEFAULT_WEIGHT)).clamp(DEFAULT_WEIGHT, MOST_WEIGHT);
    match (party.engine.as_deref(), handle(party)) {
        (Some(engine @ ("docker" | "podman")), Some(handle)) => format!(
            "{engine} update --cpu-shares {:.0} {handle}",
            shares(more, layout)
        ),
        (Some("systemd"), Some(unit)) => {
            format!("systemctl set-property {unit} CPUWeight={more:.0}")
        }
        _ => format!(
            "{} of {}",
            if layout == CgroupLayout::V2 {
                "cpu.weight"
            } else {
                "cpu.shares"
            },
            place(party)
        ),
    }
}

/// The shares that an engine turns into `weight`. On version 2 runc spreads 2 to 262,144 shares over
/// weights of 1 to 10,000, so that there 1,024 shares are a weight of 39, less than that of a container
/// to which no shares were given.
fn shares(weight: f64, layout: CgroupLayout) -> f64 {
    let shares = if layout == CgroupLayout::V2 {
        2.0 + (weight - 1.0) * (MOST_SHARES - 2.0) / (MOST_WEIGHT - 1.0)
    } else {
        weight * 10.24
    };
    shares.ceil().min(MOST_SHARES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_model::party::PartyKind;
    use dunnage_model::usage::LevelWeight;

    fn knob(engine: &str, weight: Option<f64>, layout: CgroupLayout) -> String {
        let mut party = Party::new("/docker/web", PartyKind::Container, "web");
        party.engine = Some(engine.to_owned());
        let mut user = PartyUse::new(party);
        user.claim.weights.extend(weight.map(|weight| LevelWeight {
            path: "/docker/web".into(),
            weight,
        }));
        weight_knob(&user, layout)
    }

    #[test]
    fn more_weight_is_more_than_there_is() {
        let v1 = |weight| knob("docker", weight, CgroupLayout::Hybrid);
        assert_eq!(v1(None), "docker update --cpu-shares 2048 web");
        assert_eq!(v1(Some(100.0)), "docker update --cpu-shares 2048 web");
        assert_eq!(v1(Some(400.0)), "docker update --cpu-shares 8192 web");
        assert_eq!(v1(Some(0.2)), "docker update --cpu-shares 1024 web");
        let unit = knob("systemd", Some(10_000.0), CgroupLayout::V2);
        assert_eq!(unit, "systemctl set-property web CPUWeight=10000");
    }

    #[test]
    fn shares_become_the_weight_that_was_meant_on_version_2() {
        let advised = knob("podman", Some(100.0), CgroupLayout::V2);
        let shares = advised
            .strip_prefix("podman update --cpu-shares ")
            .and_then(|rest| rest.strip_suffix(" web"))
            .and_then(|shares| shares.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{advised}"));
        // opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value before version 0.0.5.
        assert_eq!(1 + (shares - 2) * 9999 / 262_142, 200);
    }
}
