//! Windows as they were read on a real host, of scenes whose truth was known: what the hand-made ones
//! do not show. A file of `recorded` holds one window: a line for it, and a line a party.

use super::super::judge;
use super::world::{World, accusations};
use dunnage_model::observation::OwnerCpu;
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::usage::WindowUse;
use std::collections::BTreeMap;

/// `key=value` words of a line.
fn words(line: &str) -> BTreeMap<&str, &str> {
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .collect()
}

fn seconds(text: &str) -> Nanos {
    Nanos::from_seconds(text.parse().unwrap())
}

/// `a:b;c:d;` as lists.
fn list(text: Option<&&str>) -> Vec<Vec<String>> {
    let items = text.copied().unwrap_or_default().split(';');
    items
        .filter(|item| !item.is_empty())
        .map(|item| item.split(':').map(str::to_owned).collect())
        .collect()
}

/// The window that a file holds.
fn window(text: &str) -> WindowUse {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let of_window = words(lines.next().unwrap());
    let mut world = World::new(
        of_window["cpus"].parse().unwrap(),
        of_window["seconds"].parse().unwrap(),
    );
    let lines: Vec<&str> = lines.collect();
    let mut numbers = BTreeMap::new();
    for line in &lines {
        let mut front = line.split_whitespace();
        let (kind, name) = (front.next().unwrap(), front.next().unwrap());
        let values = words(line);
        let weights: Vec<f64> = list(values.get("weights"))
            .into_iter()
            .map(|weight| weight[0].parse().unwrap())
            .collect();
        let path = format!("/host{}", "/below".repeat(weights.len().saturating_sub(2)));
        let number = match kind {
            "kernel" => world.kernel(),
            "root" => world.root_command(name),
            kind => {
                let kind = match kind {
                    "container" => PartyKind::Container,
                    "service" => PartyKind::Service,
                    other => panic!("{other}"),
                };
                world.at(kind, name, &format!("{path}/{name}"), &weights)
            }
        };
        numbers.insert(name, number);
    }
    for line in &lines {
        let name = line.split_whitespace().nth(1).unwrap();
        let values = words(line);
        let party = numbers[name];
        let cpu = &mut world.window.parties[party].cpu;
        cpu.usage = seconds(values["got"]);
        for on in list(values.get("on")) {
            cpu.cpus.push(OwnerCpu {
                cpu: on[0].parse().unwrap(),
                run: seconds(&on[1]),
                wait: seconds(&on[2]),
            });
        }
        if let Some(list) = values.get("cpuset") {
            world.cpuset(party, list);
        }
        let row = world.row(party);
        let count = |key| values.get(key).map_or(0, |count| count.parse().unwrap());
        (row.waits, row.wakes) = (count("waits"), count("wakes"));
        let time = |key| values.get(key).map_or(Nanos::ZERO, |time| seconds(time));
        (row.unexplained, row.waking) = (time("unexplained"), time("waking"));
        row.wait = row.unexplained;
        for blame in list(values.get("blame")) {
            let time = seconds(&blame[1]);
            row.wait += time;
            row.blame.push((numbers[blame[0].as_str()], time));
        }
    }
    world.exact()
}

/// Who was accused of harming whom.
fn said(text: &str) -> Vec<String> {
    let mut said: Vec<String> = accusations(&judge(&window(text)))
        .into_iter()
        .flat_map(|(victim, _, culprits)| {
            culprits
                .into_iter()
                .map(move |culprit| format!("{culprit} harms {victim}"))
        })
        .collect();
    said.sort();
    said
}

/// Spinners of equal weight and one of twice that, moved between two CPUs by the scheduler; some were
/// on one of them for the whole window by chance.
#[test]
fn nobody_is_accused_for_where_the_scheduler_put_him() {
    let said = said(include_str!("recorded/four-spinners-on-two-cpus.txt"));
    let named = ["web", "cache", "api", "batch"];
    let between = |said: &&String| {
        let mut parties = said.split(" harms ");
        parties.all(|party| named.contains(&party))
    };
    assert_eq!(said.iter().filter(between).collect::<Vec<_>>(), [""; 0]);
}

/// Most of the CPU is used by one with the weight for it, behind which the victim waits longest; the
/// rest is taken by one without.
#[test]
fn the_entitled_giant_and_its_light_neighbour_are_innocent() {
    assert_eq!(
        said(include_str!("recorded/entitled-giant.txt")),
        ["batch harms giant", "batch harms web"]
    );
}

/// Fifty that come for a tenth of a millisecond wait some 30 ms a second each.
#[test]
fn among_fifty_bystanders_the_culprit_is_found() {
    let said = said(include_str!("recorded/fifty-bystanders.txt"));
    assert!(said.contains(&"batch harms web".to_owned()), "{said:?}");
    assert!(
        !said.iter().any(|said| said.starts_with("light")),
        "{said:?}"
    );
    assert!(!said.iter().any(|said| said.starts_with("web")), "{said:?}");
}
