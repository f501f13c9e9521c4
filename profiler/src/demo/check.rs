//! The verdict beside the truth: was Dunnage right? Pure.

use super::truth::Truth;
use super::{Check, Seen};
use dunnage_model::party::Party;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Resource, Verdict};

/// How far Dunnage's measure of the loss may lie from the truth: the window and the reports of the
/// victim do not begin and end at the same moment.
const TOLERANCE: f64 = 0.15;
/// The same in seconds, for short demos.
const SLACK: f64 = 0.1;

/// Whether `party` is the role `name` of the demo in `folder`.
pub(super) fn is_role(party: &Party, folder: &str, name: &str) -> bool {
    party.key.ends_with(&format!("{folder}/{name}"))
}

/// The verdict about the demo's victim and its CPU.
pub(super) fn verdict<'a>(seen: &'a Seen, folder: &str) -> Option<&'a Verdict> {
    let about = |v: &&Verdict| v.resource == Resource::Cpu && is_role(&v.victim, folder, "victim");
    let all = || seen.judgement.verdicts.iter().filter(about);
    all()
        .find(|v| v.cause == Cause::Neighbour)
        .or_else(|| all().next())
}

/// Compares what was said with what was so.
pub(super) fn checks(truth: &Truth, seen: &Seen, folder: &str) -> Vec<Check> {
    let mut checks = vec![culprit_named(seen, folder)];
    if truth.bystander.is_some() {
        checks.push(bystander_spared(seen, folder));
    }
    checks.extend(loss_agrees(truth, &seen.window, folder));
    checks
}

fn culprit_named(seen: &Seen, folder: &str) -> Check {
    let what = "the culprit is named";
    let Some(verdict) = verdict(seen, folder) else {
        return Check::new(what, false, "no verdict about the victim");
    };
    let first = verdict.culprits.first();
    let right = verdict.cause == Cause::Neighbour
        && first.is_some_and(|c| is_role(&c.party, folder, "culprit"));
    let said = match first {
        Some(first) => format!(
            "cause {}, first {} with {:.0} %",
            verdict.cause.as_str(),
            first.party.name,
            first.share * 100.0
        ),
        None => format!("cause {}, nobody named", verdict.cause.as_str()),
    };
    Check::new(what, right, said)
}

fn bystander_spared(seen: &Seen, folder: &str) -> Check {
    let share: f64 = verdict(seen, folder)
        .map(|v| {
            v.culprits
                .iter()
                .filter(|c| is_role(&c.party, folder, "bystander"))
        })
        .map_or(0.0, |culprits| culprits.map(|c| c.share).sum());
    let cleared = seen
        .judgement
        .cleared
        .iter()
        .any(|c| is_role(&c.party, folder, "bystander"));
    let said = match (share > 0.0, cleared) {
        (true, _) => format!("blamed for {:.1} %", share * 100.0),
        (false, true) => "cleared".to_owned(),
        (false, false) => "not blamed".to_owned(),
    };
    // A spinner that the scheduler had to squeeze past the victim for a tick is no accusation.
    Check::new("the busy bystander is not accused", share < 0.02, said)
}

/// `None` where Dunnage did not measure waits (without its eBPF part), or the kernel does not.
fn loss_agrees(truth: &Truth, window: &WindowUse, folder: &str) -> Option<Check> {
    let real = truth.beside.run_delay_seconds?;
    let row = window.waits.as_ref()?.iter().find(|row| {
        window
            .parties
            .get(row.party)
            .is_some_and(|p| is_role(&p.party, folder, "victim"))
    });
    let measured = row.map_or(0.0, |row| row.wait.seconds());
    let near = (measured - real).abs() <= (real * TOLERANCE).max(SLACK);
    let said = format!("{measured:.2} s; the kernel counts {real:.2} s");
    Some(Check::new("the loss is measured right", near, said))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const FOLDER: &str = "/dunnage-demo-7";

    fn passed(checks: &[Check]) -> Vec<bool> {
        checks.iter().map(|c| c.right).collect()
    }

    #[test]
    fn a_right_verdict_passes_every_check() {
        let (truth, seen) = sample::right(FOLDER);
        assert_eq!(passed(&checks(&truth, &seen, FOLDER)), [true, true, true]);
    }

    #[test]
    fn silence_is_wrong_where_there_was_harm() {
        let (truth, mut seen) = sample::right(FOLDER);
        seen.judgement.verdicts.clear();
        assert_eq!(passed(&checks(&truth, &seen, FOLDER)), [false, true, true]);
    }

    #[test]
    fn the_bystander_must_not_be_accused() {
        let (truth, mut seen) = sample::right(FOLDER);
        seen.judgement.verdicts[0].culprits[0].party = sample::party(FOLDER, "bystander");
        assert_eq!(passed(&checks(&truth, &seen, FOLDER)), [false, false, true]);
    }

    #[test]
    fn a_wrong_amount_is_wrong() {
        let (mut truth, seen) = sample::right(FOLDER);
        truth.beside.run_delay_seconds = Some(4.0);
        assert_eq!(passed(&checks(&truth, &seen, FOLDER)), [true, true, false]);
    }

    #[test]
    fn without_exact_waits_the_amount_is_not_judged() {
        let (truth, mut seen) = sample::right(FOLDER);
        seen.window.waits = None;
        assert_eq!(checks(&truth, &seen, FOLDER).len(), 2);
    }
}
