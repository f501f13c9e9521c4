//! Tests of `device_code`.

use super::*;

fn target(name: &str, ptx_version: u32) -> NvidiaTarget {
    let (ptx, rest) = match name.strip_prefix("compute_") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("sm_").unwrap()),
    };
    let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
    NvidiaTarget {
        ptx,
        arch: digits.parse().unwrap(),
        suffix: rest[digits.len()..].chars().next().unwrap_or(' '),
        ptx_version,
    }
}

#[test]
fn machine_code_runs_within_its_major_capability() {
    for (name, capability, expected) in [
        ("sm_80", 80, Runs::Yes),
        ("sm_80", 86, Runs::Yes),
        ("sm_86", 80, Runs::No),
        ("sm_70", 80, Runs::No),
        ("sm_90a", 90, Runs::Yes),
        ("sm_100a", 103, Runs::No),
        ("sm_100f", 103, Runs::Unknown),
        ("sm_100?", 103, Runs::Unknown),
        ("sm_100?", 120, Runs::No),
    ] {
        assert_eq!(
            runs(&target(name, 0), capability, None),
            expected,
            "{name} on {capability}"
        );
    }
}

#[test]
fn ptx_runs_on_later_gpus_where_the_driver_knows_it() {
    let driver = Version::parse("535.54.03").unwrap();
    for (name, version, capability, expected) in [
        ("compute_70", 70, 86, Runs::Yes),
        ("compute_90", 80, 86, Runs::No),
        ("compute_80", 84, 86, Runs::No),
        ("compute_80", 0, 86, Runs::Unknown),
        ("compute_90a", 80, 100, Runs::No),
        ("compute_90a", 80, 90, Runs::Yes),
        ("compute_90?", 80, 100, Runs::Unknown),
    ] {
        let target = target(name, version);
        assert_eq!(
            runs(&target, capability, Some(&driver)),
            expected,
            "{name} on {capability}"
        );
    }
    assert_eq!(runs(&target("compute_70", 70), 86, None), Runs::Unknown);
    let newest = Version::of(&[9999]);
    assert_eq!(
        runs(&target("compute_70", 99), 86, Some(&newest)),
        Runs::Unknown
    );
}

#[test]
fn amd_code_is_for_one_instruction_set() {
    assert_eq!(amd_runs("gfx90a", "gfx90a"), Runs::Yes);
    assert_eq!(amd_runs("gfx90a:xnack-", "gfx90a"), Runs::Unknown);
    assert_eq!(amd_runs("gfx906", "gfx90a"), Runs::No);
    assert_eq!(amd_runs("gfx10-3-generic", "gfx1032"), Runs::Yes);
}
