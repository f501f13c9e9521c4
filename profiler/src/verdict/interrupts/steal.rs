//! What the hypervisor took, by who ran on the CPUs that it took.

use super::{thresholds, words};
use crate::verdict::accusation::{Accusation, can_lose};
use crate::verdict::confidence::Grounds;
use dunnage_model::party::PartyKind;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Fact, Judgement, Resource};
use std::collections::BTreeMap;

pub(super) fn judge(window: &WindowUse) -> Judgement {
    let mut judgement = Judgement::default();
    let seconds = window.length.seconds();
    let by = |party: &dunnage_model::usage::PartyUse| party.party.kind == PartyKind::Hypervisor;
    let (Some(steal), Some(hypervisor)) =
        (&window.stalls.steal, window.parties.iter().position(by))
    else {
        return judgement;
    };
    for &(victim, time) in &steal.parties {
        let Some(user) = window.parties.get(victim) else {
            continue;
        };
        let (lost, got) = (time.seconds(), user.cpu.usage.seconds());
        if !can_lose(user.party.kind) || !thresholds::STEAL.passed(lost, got, seconds) {
            continue;
        }
        let booked = if steal.booked_as_use {
            "run time"
        } else {
            "steal alone"
        };
        let facts = BTreeMap::from([
            ("steal_seconds", Fact::Number(lost)),
            (
                "machine_steal_seconds",
                Fact::Number(window.machine.steal.seconds()),
            ),
            ("used_seconds", Fact::Number(got)),
            ("steal_is_booked_as", Fact::Text(booked.to_owned())),
        ]);
        let case = Accusation {
            victim,
            resource: Resource::Cpu,
            cause: Cause::Hypervisor,
            culprits: vec![(hypervisor, lost)],
            unexplained: 0.0,
            got,
            grounds: Grounds::of(thresholds::TRUST_STEAL)
                .margin(thresholds::STEAL.margin(lost, got, seconds)),
            facts,
        };
        let evidence = words::stolen(window, victim, lost);
        let advice = words::STEAL_ADVICE.to_owned();
        judgement
            .verdicts
            .push(case.verdict(window, evidence, advice));
    }
    judgement
}
