//! A hundred pairs of an image and a host, each with what is right and why (`pairs.tsv`), and what the
//! check says of them. No yes may be wrong; at most two noes may.
//!
//! Pairs of real packages run where `DUNNAGE_PIECES` names the folder that
//! `tests/setup/check-pieces.sh` filled; the others always run.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build what it needs has failed"
)]

#[path = "../images/build.rs"]
#[expect(dead_code, reason = "the tests of images use the rest")]
mod build;
#[path = "../elf/mod.rs"]
mod elf;
mod forms;
mod hosts;
mod images;
mod pieces;

use dunnage_device_plugin::check::clauses::{Verdict, compare, verdict};
use dunnage_device_plugin::check::facts::{Collector, ImageFacts};
use dunnage_device_plugin::check::host::HostFacts;
use dunnage_device_plugin::check::image::{self, Source};
use pieces::Pieces;
use std::path::Path;

const PAIRS: &str = include_str!("pairs.tsv");
/// Wrong noes that are allowed.
const WRONG_NOES: usize = 2;

struct Pair {
    image: &'static str,
    host: &'static str,
    label: Verdict,
    why: &'static str,
}

fn pairs() -> Vec<Pair> {
    let lines = PAIRS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split('\t').collect();
            let [image, host, label, why] = parts[..] else {
                panic!("not four columns: {line}");
            };
            let label = match label {
                "yes" => Verdict::Yes,
                "no" => Verdict::No,
                "unknown" => Verdict::Unknown,
                other => panic!("no label is {other}"),
            };
            Pair {
                image,
                host,
                label,
                why,
            }
        })
        .collect()
}

fn facts(image: &images::Built) -> ImageFacts {
    let mut collector = Collector::new(&image.meta);
    let source = Source::RootFs(image.dir.path().to_path_buf());
    image::open(&source, None)
        .unwrap()
        .walk(&mut collector)
        .unwrap();
    collector.finish()
}

#[test]
fn the_answers_to_a_hundred_pairs() {
    let pieces = Pieces::at_hand();
    let all = pairs();
    assert!(all.len() >= 100, "only {} pairs", all.len());
    let (mut run, mut right, mut wrong_yes, mut wrong_no) = (0, 0, Vec::new(), Vec::new());
    for pair in &all {
        let Some(image) = images::build(pair.image, &pieces) else {
            continue;
        };
        let Some(host) = hosts::build(pair.host, &pieces) else {
            continue;
        };
        run += 1;
        let facts = facts(&image);
        let here = HostFacts::read(&host.root(), &host.inventory, &facts, Path::new("/"));
        let outcome = compare(&facts, &here, &host.inventory, None);
        let answer = verdict(&outcome.clauses);
        let told = || {
            let deciding = outcome
                .clauses
                .iter()
                .filter(|c| c.matters && c.verdict == answer);
            let deciding: Vec<String> = deciding.map(|c| format!("    {c:?}")).collect();
            format!(
                "{} on {}: {answer:?}, and {:?} is right: {}\n{}",
                pair.image,
                pair.host,
                pair.label,
                pair.why,
                deciding.join("\n")
            )
        };
        if answer == pair.label {
            right += 1;
        } else if answer == Verdict::Yes {
            wrong_yes.push(told());
        } else if answer == Verdict::No {
            wrong_no.push(told());
        } else {
            println!("cannot tell: {}", told());
        }
    }
    println!(
        "{run} of {} pairs: {right} right, {} wrong yes, {} wrong no, {} not told",
        all.len(),
        wrong_yes.len(),
        wrong_no.len(),
        run - right - wrong_yes.len() - wrong_no.len()
    );
    if pieces.are_there() {
        assert_eq!(
            run,
            all.len(),
            "every pair runs where the packages are there"
        );
    }
    assert!(run >= 50, "too few pairs run without packages");
    assert!(wrong_yes.is_empty(), "wrong yes:\n{}", wrong_yes.join("\n"));
    assert!(
        wrong_no.len() <= WRONG_NOES,
        "wrong no:\n{}",
        wrong_no.join("\n")
    );
}
