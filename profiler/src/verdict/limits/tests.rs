//! Refused forks: first those of whom nothing is said.

use super::judge;
use crate::tests_support;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::usage::{RefusedForks, Stalls, WindowUse};
use dunnage_model::verdict::{Cause, Fact, Resource, Verdict};

/// One party that used 2.5 s in 10 s, and had so many forks refused below a limit of 20.
fn judged(party: Party, refused: u64) -> Vec<Verdict> {
    let cgroup = party.cgroup.clone().unwrap_or_default();
    let user = tests_support::party_use(party, 2.5);
    let forks = RefusedForks {
        party: 0,
        refused,
        limit: 20,
        cgroup: cgroup.into(),
    };
    judge(&WindowUse {
        stalls: Stalls {
            forks: Some(vec![forks]),
            ..Stalls::default()
        },
        ..tests_support::window(vec![user])
    })
    .verdicts
}

fn container(name: &str) -> Party {
    let mut party = Party::new(format!("/docker/{name}"), PartyKind::Container, name);
    party.engine = Some("docker".into());
    party.cgroup = Some(format!("/docker/{name}"));
    party
}

#[test]
fn nothing_is_said_where_no_fork_was_refused() {
    assert!(judged(container("web"), 0).is_empty());
    assert!(judged(Party::kernel(), 5).is_empty());
}

#[test]
fn refused_forks_are_its_own_limit() {
    let verdicts = judged(container("web"), 3);
    let [verdict] = &verdicts[..] else {
        panic!("{verdicts:?}")
    };
    assert_eq!(
        (verdict.resource, verdict.cause),
        (Resource::Cpu, Cause::Itself)
    );
    assert_eq!(verdict.facts["limit"], Fact::Text("pids.max".into()));
    assert_eq!(verdict.facts["forks_refused"], Fact::Number(3.0));
    assert_eq!(verdict.fraction, 0.8);
    assert_eq!(
        (verdict.culprits.len(), verdict.culprits[0].share),
        (1, 1.0)
    );
    assert_eq!(
        verdict.evidence,
        "3 forks of web were refused in 10 s: it has all the 20 tasks that its limit allows"
    );
    assert!(
        verdict
            .advice
            .contains("(docker update --pids-limit 40 web)"),
        "{}",
        verdict.advice
    );
}

#[test]
fn a_name_that_a_shell_would_read_otherwise_is_in_no_command() {
    let verdicts = judged(container("-rm;x"), 1);
    assert!(
        verdicts[0]
            .advice
            .contains("pids.max of cgroup /docker/-rm;x")
    );
}
