//! Scenes with a known truth, played by the scheduler in small: what is said, and of whom nothing.

use super::sim::{Does, Sim};
use super::world::{World, accusations, verdict, why};
use crate::verdict::judge;
use dunnage_model::party::PartyKind;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Judgement};

/// A request-like victim: 30 % of a CPU.
const REQUESTS: Does = Does::Ticks(0.003, 0.010);

/// A light neighbour: 5 % of a CPU.
const LIGHT: Does = Does::Ticks(0.001, 0.020);

const SPINS: Does = Does::Spins(0.0);

/// One accusation: victim, cause, culprits with most harm first.
type Said = (&'static str, Cause, &'static [&'static str]);

struct Label {
    name: &'static str,
    play: fn() -> WindowUse,
    /// All accusations of others, in any order.
    said: &'static [Said],
    /// Parties that must be among the cleared.
    cleared: &'static [&'static str],
}

fn play(cpus: u32, cast: fn(&mut World, &mut Sim)) -> WindowUse {
    let mut world = World::new(cpus, 10.0);
    let mut sim = Sim::new(cpus as usize);
    cast(&mut world, &mut sim);
    sim.run(&mut world, 10.0);
    world.exact()
}

use Cause::{Host, Neighbour};

const LABELS: &[Label] = &[
    Label {
        name: "victim and culprit on one CPU, a bystander that uses more on the other",
        play: || {
            play(2, |w, s| {
                let (web, batch, cache) = (
                    w.container("web"),
                    w.container("batch"),
                    w.container("cache"),
                );
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(batch, 0, 1, SPINS);
                s.tasks(cache, 1, 1, SPINS);
            })
        },
        said: &[("web", Neighbour, &["batch"])],
        cleared: &["cache"],
    },
    Label {
        name: "a culprit with three threads",
        play: || {
            play(2, |w, s| {
                let (web, batch, cache) = (
                    w.container("web"),
                    w.container("batch"),
                    w.container("cache"),
                );
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(batch, 0, 3, SPINS);
                s.tasks(cache, 1, 1, SPINS);
            })
        },
        said: &[("web", Neighbour, &["batch"])],
        cleared: &["cache"],
    },
    Label {
        name: "everybody on both CPUs",
        play: || {
            play(2, |w, s| {
                let (web, batch) = (w.container("web"), w.container("batch"));
                for cpu in 0..2 {
                    s.tasks(web, cpu, 1, REQUESTS);
                    s.tasks(batch, cpu, 2, SPINS);
                }
            })
        },
        said: &[("web", Neighbour, &["batch"])],
        cleared: &[],
    },
    Label {
        name: "a light neighbour that ran meanwhile is innocent",
        play: || {
            play(1, |w, s| {
                let (web, batch, light) = (
                    w.container("web"),
                    w.container("batch"),
                    w.container("light"),
                );
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(batch, 0, 1, SPINS);
                s.tasks(light, 0, 1, LIGHT);
            })
        },
        said: &[
            ("web", Neighbour, &["batch"]),
            ("light", Neighbour, &["batch"]),
        ],
        cleared: &[],
    },
    Label {
        name: "two culprits, one with twice the weight",
        play: || {
            play(1, |w, s| {
                let web = w.container("web");
                let big = w.at(PartyKind::Container, "big", "/big", &[200.0]);
                let small = w.container("small");
                s.tasks(web, 0, 1, Does::Ticks(0.001, 0.010));
                s.group(big, 200.0);
                s.tasks(big, 0, 2, SPINS);
                s.tasks(small, 0, 2, SPINS);
            })
        },
        said: &[("web", Neighbour, &["big", "small"])],
        cleared: &[],
    },
    Label {
        name: "a culprit that forks all the time",
        play: || {
            play(1, |w, s| {
                let (web, forks) = (w.container("web"), w.container("forks"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(forks, 0, 4, Does::Forks(0.0));
            })
        },
        said: &[("web", Neighbour, &["forks"])],
        cleared: &[],
    },
    Label {
        name: "a storm of forks that begins in the middle of the window",
        play: || {
            play(1, |w, s| {
                let (web, forks) = (w.container("web"), w.container("forks"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(forks, 0, 4, Does::Forks(5.0));
            })
        },
        said: &[("web", Neighbour, &["forks"])],
        cleared: &[],
    },
    Label {
        name: "one chain of forks for the last third of the window",
        play: || {
            play(1, |w, s| {
                let (web, forks) = (w.container("web"), w.container("forks"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(forks, 0, 1, Does::Forks(6.7));
            })
        },
        said: &[("web", Neighbour, &["forks"])],
        cleared: &[],
    },
    Label {
        name: "a server whose four threads come at about the same time for a moment each",
        play: || {
            play(1, |w, s| {
                let (web, api) = (w.container("web"), w.container("api"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(api, 0, 4, Does::Ticks(0.002, 0.040));
            })
        },
        said: &[],
        cleared: &[],
    },
    Label {
        name: "bursts of one thread, 50 ms each second",
        play: || {
            play(1, |w, s| {
                let (web, bursts) = (w.container("web"), w.container("bursts"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(bursts, 0, 1, Does::Bursts(0.05, 0.95));
            })
        },
        said: &[("web", Neighbour, &["bursts"])],
        cleared: &[],
    },
    Label {
        name: "bursts of four threads, 50 ms each second",
        play: || {
            play(1, |w, s| {
                let (web, bursts) = (w.container("web"), w.container("bursts"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(bursts, 0, 4, Does::Bursts(0.05, 0.95));
            })
        },
        said: &[("web", Neighbour, &["bursts"])],
        cleared: &[],
    },
    Label {
        name: "long bursts, 300 ms each second",
        play: || {
            play(1, |w, s| {
                let (web, bursts) = (w.container("web"), w.container("bursts"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(bursts, 0, 2, Does::Bursts(0.3, 0.7));
            })
        },
        said: &[("web", Neighbour, &["bursts"])],
        cleared: &[],
    },
    Label {
        name: "a culprit that begins in the middle of the window",
        play: || {
            play(1, |w, s| {
                let (web, late) = (w.container("web"), w.container("late"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(late, 0, 2, Does::Spins(5.0));
            })
        },
        said: &[("web", Neighbour, &["late"])],
        cleared: &[],
    },
    Label {
        name: "a spinner that joins another near the end of the window",
        play: || {
            play(1, |w, s| {
                let (web, late) = (w.container("web"), w.container("late"));
                s.tasks(web, 0, 1, SPINS);
                s.tasks(late, 0, 1, Does::Spins(8.0));
            })
        },
        said: &[],
        cleared: &[],
    },
    Label {
        name: "three threads that join a spinner for the last moment of the window",
        play: || {
            play(1, |w, s| {
                let (web, late) = (w.container("web"), w.container("late"));
                s.tasks(web, 0, 1, SPINS);
                s.tasks(late, 0, 3, Does::Spins(9.7));
            })
        },
        said: &[],
        cleared: &[],
    },
    Label {
        name: "a host service is the culprit",
        play: || {
            play(1, |w, s| {
                let (web, backup) = (w.container("web"), w.service("backup"));
                s.tasks(web, 0, 1, REQUESTS);
                s.tasks(backup, 0, 1, SPINS);
            })
        },
        said: &[("web", Host, &["backup"])],
        cleared: &[],
    },
    Label {
        name: "a command of the root cgroup is the culprit",
        play: || {
            play(1, |w, s| {
                let (web, make) = (w.container("web"), w.root_command("make"));
                s.tasks(web, 0, 1, Does::Ticks(0.002, 0.010));
                s.group(make, 200.0);
                s.tasks(make, 0, 2, SPINS);
            })
        },
        said: &[("web", Host, &["make"])],
        cleared: &[],
    },
    Label {
        name: "a service is harmed by a container, and a service by a service",
        play: || {
            play(2, |w, s| {
                let (sshd, batch) = (w.service("sshd"), w.container("batch"));
                let (dns, backup) = (w.service("dns"), w.service("backup"));
                s.tasks(sshd, 0, 1, REQUESTS);
                s.tasks(batch, 0, 1, SPINS);
                s.tasks(dns, 1, 1, REQUESTS);
                s.tasks(backup, 1, 1, SPINS);
            })
        },
        said: &[("sshd", Neighbour, &["batch"]), ("dns", Host, &["backup"])],
        cleared: &[],
    },
    Label {
        name: "a container and a service are culprits of one victim",
        play: || {
            play(1, |w, s| {
                let (web, batch, backup) = (
                    w.container("web"),
                    w.container("batch"),
                    w.service("backup"),
                );
                s.tasks(web, 0, 1, Does::Ticks(0.002, 0.010));
                s.tasks(batch, 0, 1, SPINS);
                s.tasks(backup, 0, 1, SPINS);
            })
        },
        said: &[("web", Neighbour, &["batch"]), ("web", Host, &["backup"])],
        cleared: &[],
    },
    Label {
        name: "two equal spinners share a CPU",
        play: || {
            play(1, |w, s| {
                let (a, b) = (w.container("a"), w.container("b"));
                s.tasks(a, 0, 1, SPINS);
                s.tasks(b, 0, 1, SPINS);
            })
        },
        said: &[],
        cleared: &["a", "b"],
    },
    Label {
        name: "three spinners with weights 1, 2 and 4 that each have their share",
        play: || {
            play(1, |w, s| {
                for (name, weight) in [("a", 50.0), ("b", 100.0), ("c", 200.0)] {
                    let party = w.at(PartyKind::Container, name, &format!("/{name}"), &[weight]);
                    s.group(party, weight);
                    s.tasks(party, 0, 1, SPINS);
                }
            })
        },
        said: &[],
        cleared: &["a", "b", "c"],
    },
    Label {
        name: "one thread beside ten of an equal: the weights make them equals",
        play: || {
            play(1, |w, s| {
                let (a, b) = (w.container("a"), w.container("b"));
                s.tasks(a, 0, 1, SPINS);
                s.tasks(b, 0, 10, SPINS);
            })
        },
        said: &[],
        cleared: &["a", "b"],
    },
    Label {
        name: "two light parties on one CPU meet now and then",
        play: || {
            play(1, |w, s| {
                let (a, b) = (w.container("a"), w.container("b"));
                s.tasks(a, 0, 1, REQUESTS);
                s.tasks(b, 0, 1, Does::Ticks(0.0035, 0.0117));
            })
        },
        said: &[],
        cleared: &["a", "b"],
    },
    Label {
        name: "a quiet host",
        play: || {
            play(2, |w, s| {
                let web = w.container("web");
                s.tasks(web, 0, 1, Does::Ticks(0.001, 0.020));
                for (name, cpu) in [("journal", 0), ("cron", 1), ("sshd", 0), ("agent", 1)] {
                    let party = w.service(name);
                    s.tasks(party, cpu, 1, Does::Ticks(0.002, 0.5));
                }
            })
        },
        said: &[],
        cleared: &["web"],
    },
    Label {
        name: "a busy host on which nobody meets",
        play: || {
            play(4, |w, s| {
                for (cpu, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
                    let party = w.container(name);
                    s.tasks(party, cpu, 1, SPINS);
                }
            })
        },
        said: &[],
        cleared: &["a", "b", "c", "d"],
    },
    Label {
        name: "held back by its own quota beside a busy neighbour on another CPU",
        play: || {
            play(2, |w, s| {
                let (web, batch) = (w.container("web"), w.container("batch"));
                s.tasks(web, 0, 1, SPINS);
                s.quota(web, 0.3);
                s.tasks(batch, 1, 1, SPINS);
            })
        },
        said: &[],
        cleared: &["batch", "web"],
    },
    Label {
        name: "held back by its own quota beside a neighbour that leaves it its share",
        play: || {
            play(1, |w, s| {
                let (web, batch) = (w.container("web"), w.container("batch"));
                s.tasks(web, 0, 1, SPINS);
                s.quota(web, 0.2);
                s.tasks(batch, 0, 1, LIGHT);
            })
        },
        said: &[],
        cleared: &["web"],
    },
    Label {
        name: "a neighbour at its quota harms nobody who has the rest",
        play: || {
            play(1, |w, s| {
                let (web, held) = (w.container("web"), w.container("held"));
                s.tasks(web, 0, 1, Does::Ticks(0.002, 0.010));
                s.tasks(held, 0, 1, SPINS);
                s.quota(held, 0.2);
            })
        },
        said: &[],
        cleared: &["held"],
    },
    Label {
        name: "a realtime task takes the CPU",
        play: || {
            play(1, |w, s| {
                let (web, audio) = (w.container("web"), w.container("audio"));
                s.tasks(web, 0, 1, REQUESTS);
                s.realtime(audio);
                s.tasks(audio, 0, 1, Does::Ticks(0.040, 0.050));
            })
        },
        said: &[("web", Neighbour, &["audio"])],
        cleared: &[],
    },
    Label {
        name: "a victim pinned beside a hog while the other CPU idles",
        play: || {
            play(2, |w, s| {
                let (web, batch) = (w.container("web"), w.container("batch"));
                s.tasks(web, 0, 1, Does::Ticks(0.004, 0.010));
                s.tasks(batch, 0, 1, SPINS);
            })
        },
        said: &[("web", Neighbour, &["batch"])],
        cleared: &[],
    },
    Label {
        name: "own threads only",
        play: || {
            play(1, |w, s| {
                let web = w.container("web");
                s.tasks(web, 0, 6, SPINS);
            })
        },
        said: &[],
        cleared: &["web"],
    },
];

fn sorted(mut said: Vec<(String, Cause, Vec<String>)>) -> Vec<(String, Cause, Vec<String>)> {
    said.sort();
    said
}

#[test]
fn each_labelled_scene_is_judged_as_it_is() {
    let mut wrong = Vec::new();
    for label in LABELS {
        let judgement = judge(&(label.play)());
        let expected = label.said.iter().map(|(victim, cause, culprits)| {
            (
                (*victim).to_owned(),
                *cause,
                culprits.iter().map(|name| (*name).to_owned()).collect(),
            )
        });
        let expected = sorted(expected.collect());
        let said = sorted(accusations(&judgement));
        if said != expected {
            wrong.push(format!(
                "{}: expected {expected:?}, said {said:?}",
                label.name
            ));
        }
        for name in label
            .cleared
            .iter()
            .filter(|name| why(&judgement, name).is_none())
        {
            wrong.push(format!(
                "{}: {name} is not cleared: {:?}",
                label.name, judgement.cleared
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judged(name: &str) -> Judgement {
    judge(&(LABELS
        .iter()
        .find(|label| label.name == name)
        .unwrap()
        .play)())
}

#[test]
fn two_culprits_have_the_shares_of_their_weights() {
    let judgement = judged("two culprits, one with twice the weight");
    let verdict = verdict(&judgement, "web", Neighbour);
    let ratio = verdict.culprits[0].share / verdict.culprits[1].share;
    assert!((1.6..2.5).contains(&ratio), "{ratio}");
}

#[test]
fn the_bystander_ran_where_nobody_waited() {
    let judgement =
        judged("victim and culprit on one CPU, a bystander that uses more on the other");
    assert_eq!(
        why(&judgement, "cache"),
        Some("ran on CPUs that nobody waited for")
    );
}

#[test]
fn spinners_within_their_share_are_cleared_for_it_and_told_about_their_weight() {
    let judgement = judged("two equal spinners share a CPU");
    assert_eq!(
        why(&judgement, "a"),
        Some("stayed within its share while b waited")
    );
    let verdict = verdict(&judgement, "a", Cause::Itself);
    assert_eq!(super::world::text(verdict, "limit"), Some("cpu.weight"));
}

#[test]
fn a_party_at_its_quota_is_cleared_for_that() {
    let judgement = judged("a neighbour at its quota harms nobody who has the rest");
    assert_eq!(
        why(&judgement, "held"),
        Some("was itself held back by its quota")
    );
}

#[test]
fn own_threads_are_the_party_s_own_doing() {
    let judgement = judged("own threads only");
    let verdict = verdict(&judgement, "web", Cause::Itself);
    assert_eq!(verdict.culprits[0].party.name, "web");
    assert!(
        verdict.evidence.contains("behind its own threads"),
        "{}",
        verdict.evidence
    );
}

#[test]
fn a_quiet_host_has_no_verdict_at_all() {
    assert!(judged("a quiet host").verdicts.is_empty());
}
