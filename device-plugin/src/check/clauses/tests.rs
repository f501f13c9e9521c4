//! Tests of `clauses`.

use super::*;
use crate::check::image::ImageMeta;
use crate::check::testing::{elf::Elf, facts};

fn clause(verdict: Verdict, matters: bool) -> Clause {
    Clause {
        verdict,
        matters,
        ..Clause::new("x")
    }
}

#[test]
fn the_answer_is_the_worst_of_those_that_matter() {
    use Verdict::{No, Unknown, Yes};
    for (parts, expected) in [
        (&[][..], Yes),
        (&[(Yes, true), (Unknown, true), (No, true)][..], No),
        (&[(Yes, true), (Unknown, true)][..], Unknown),
        (&[(Yes, true), (Unknown, false), (No, false)][..], Yes),
    ] {
        let clauses: Vec<Clause> = parts.iter().map(|&(v, m)| clause(v, m)).collect();
        assert_eq!(verdict(&clauses), expected);
    }
}

fn host() -> HostFacts {
    HostFacts {
        machine: 62,
        architecture: "amd64",
        ..HostFacts::default()
    }
}

fn cuda_image() -> ImageFacts {
    let runtime = Elf {
        soname: Some("libcudart.so.12"),
        ..Elf::default()
    };
    let path = "/usr/lib/libcudart.so.12.4.127";
    facts(&ImageMeta::default(), &[(path, runtime.bytes())])
}

#[test]
fn a_family_that_could_not_be_looked_at_makes_a_no_unknown() {
    let image = cuda_image();
    let mut inventory = Inventory::default();
    let answer =
        |inventory: &Inventory| verdict(&compare(&image, &host(), inventory, None).clauses);
    assert_eq!(answer(&inventory), Verdict::No);
    let gap = dunnage_model::gap::Gap::new("NVML", "it did not answer");
    inventory.gaps.push(gap);
    assert_eq!(answer(&inventory), Verdict::Unknown);
}

#[test]
fn of_several_devices_the_best_answers_unless_one_is_named() {
    use dunnage_inventory::{Health, Kind};
    let image = cuda_image();
    let mut lost = Device::new("lost", "nvidia", Kind::Gpu, "nvidia");
    lost.health = Health::Unhealthy("lost".to_owned());
    let other = Device::new("other", "amd_gpu", Kind::Gpu, "amd");
    let inventory = Inventory {
        devices: vec![other, lost],
        gaps: Vec::new(),
    };
    let outcome = compare(&image, &host(), &inventory, None);
    assert_eq!(outcome.device.map(|device| &*device.id), Some("lost"));
    let named = compare(&image, &host(), &inventory, inventory.find("other"));
    assert_eq!(named.device.map(|device| &*device.id), Some("other"));
    assert_eq!(verdict(&named.clauses), Verdict::No);
}

#[test]
fn every_no_and_every_unknown_that_matters_has_a_remedy() {
    let none = Inventory::default();
    let outcome = compare(&cuda_image(), &host(), &none, None);
    for clause in outcome
        .clauses
        .iter()
        .filter(|c| c.matters && c.verdict != Verdict::Yes)
    {
        assert!(clause.remedy.is_some(), "{clause:?}");
    }
}
