//! `dunnage why` for people: a block a resource, then where the container's own look misleads it.

use super::blame::resource_name;
use super::{Page, label, wrapped};
use crate::sinks::escape::escaped;
use crate::sinks::quantity::{bytes, percent, seconds};
use dunnage_model::observation::Host;
use dunnage_model::units::Nanos;
use dunnage_model::usage::WindowUse;
use dunnage_model::why::{Answer, Limiter, Metric, Why};

const INDENT: &str = "         ";

/// What limits one party.
#[must_use]
pub fn answers(window: &WindowUse, why: &Why, page: &Page) -> String {
    let paint = page.paint;
    let mut out = wrapped(&title(window, why), page.width, "");
    out = paint.bold(out.trim_end());
    out.push_str("\n\n");
    for answer in &why.answers {
        out.push_str(&block(answer, page));
    }
    if !why.view.is_empty() {
        out.push('\n');
        out.push_str(&paint.bold("Its own look at the machine misleads it"));
        out.push('\n');
    }
    for mismatch in &why.view {
        let told_by = mismatch
            .told_by
            .as_deref()
            .map_or(String::new(), |file| format!(" ({})", escaped(file)));
        let line = format!("{}{told_by}", escaped(&mismatch.evidence));
        out.push_str(&wrapped(&line, page.width, "  "));
    }
    out
}

fn title(window: &WindowUse, why: &Why) -> String {
    let party = &why.party;
    let image = party
        .image
        .as_deref()
        .map_or(String::new(), |image| format!(", {}", escaped(image)));
    let engine = party.engine.as_deref().unwrap_or(party.kind.as_str());
    format!(
        "What limits {} ({}{image}) in {} on {}",
        label(party),
        escaped(engine),
        length(window.length),
        machine(&window.host)
    )
}

fn length(length: Nanos) -> String {
    seconds(length.seconds())
}

fn machine(host: &Host) -> String {
    let many = if host.cpus == 1 { "" } else { "s" };
    format!("{} ({} CPU{many})", escaped(&host.name), host.cpus)
}

/// The resource and the outcome, then how that is known.
fn block(answer: &Answer, page: &Page) -> String {
    let paint = page.paint;
    let name = resource_name(answer.resource);
    let outcome = outcome(answer);
    let painted = match answer.limited_by {
        Limiter::Nothing | Limiter::Unknown => outcome.to_owned(),
        Limiter::Share | Limiter::Hypervisor => paint.bold(&paint.red(outcome)),
        Limiter::Cap | Limiter::Machine => paint.bold(outcome),
    };
    let mut out = format!("{name:<width$}{painted}\n", width = INDENT.len());
    out.push_str(&wrapped(&escaped(&answer.evidence), page.width, INDENT));
    if let Some(metric) = &answer.metric {
        // A path stays in one piece, to be copied.
        let line = format!(
            "{} = {}, read from {}",
            metric.name,
            amount(metric),
            escaped(&metric.read_from)
        );
        out.push_str(
            paint
                .dim(wrapped(&line, page.width, INDENT).trim_end())
                .as_str(),
        );
        out.push('\n');
    }
    let culprits: Vec<String> = answer
        .culprits
        .iter()
        .map(|culprit| format!("{} {}", label(&culprit.party), percent(culprit.share)))
        .collect();
    if !culprits.is_empty() {
        let line = format!("taken by: {}", culprits.join(", "));
        out.push_str(&wrapped(&line, page.width, INDENT));
    }
    if let Some(advice) = &answer.advice {
        out.push_str(&wrapped(
            &format!("advice: {}", escaped(advice)),
            page.width,
            INDENT,
        ));
    }
    out
}

fn outcome(answer: &Answer) -> &'static str {
    match answer.limited_by {
        Limiter::Machine => "limited by the machine",
        Limiter::Cap => "limited by a cap",
        Limiter::Share => "limited by its share beside others",
        Limiter::Hypervisor => "limited by the hypervisor",
        Limiter::Nothing => "not limited",
        Limiter::Unknown => "not known",
    }
}

fn amount(metric: &Metric) -> String {
    match metric.unit {
        "seconds" => seconds(metric.value),
        "bytes" => bytes(metric.value),
        unit if unit.starts_with("of ") => format!("{} {unit}", percent(metric.value)),
        unit => format!("{:.0} {unit}", metric.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::text::tests_support::{container, verdict, window};
    use dunnage_model::verdict::{Cause, Resource};
    use dunnage_model::why::Mismatch;
    use std::collections::BTreeMap;

    fn answer(limited_by: Limiter, resource: Resource) -> Answer {
        Answer {
            resource,
            limited_by,
            metric: Some(Metric {
                name: "throttled_seconds",
                value: 3.2,
                unit: "seconds",
                read_from: "/sys/fs/cgroup/cpu/docker/web/cpu.stat".into(),
            }),
            evidence: "web's own limit of 0.50 CPUs held it for 3.20 s in 10 s".into(),
            advice: Some("raise it".into()),
            culprits: Vec::new(),
            facts: BTreeMap::new(),
        }
    }

    fn why(answers: Vec<Answer>) -> Why {
        Why {
            party: container("web", "shop/web:1.4").into(),
            answers,
            view: vec![Mismatch {
                what: "cpus",
                sees: 8.0,
                seen_in: "/proc/cpuinfo",
                may_use: Some(0.5),
                told_by: Some("/x/cpu.max".into()),
                unit: "CPUs",
                evidence: "it sees 8 CPUs and may use 0.5".into(),
            }],
        }
    }

    #[test]
    fn a_cap_and_a_misleading_view() {
        let text = answers(
            &window(vec![]),
            &why(vec![answer(Limiter::Cap, Resource::Cpu)]),
            &Page::plain(100),
        );
        let expected = "\
What limits web (docker, shop/web:1.4) in 10 s on n1 (2 CPUs)

CPU      limited by a cap
         web's own limit of 0.50 CPUs held it for 3.20 s in 10 s
         throttled_seconds = 3.2 s, read from /sys/fs/cgroup/cpu/docker/web/cpu.stat
         advice: raise it

Its own look at the machine misleads it
  it sees 8 CPUs and may use 0.5 (/x/cpu.max)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_share_names_who_has_more() {
        let mut shared = answer(Limiter::Share, Resource::Disk);
        shared.culprits = verdict(Cause::Neighbour).culprits;
        let text = answers(&window(vec![]), &why(vec![shared]), &Page::plain(100));
        assert!(
            text.contains("disk     limited by its share beside others\n"),
            "{text}"
        );
        assert!(text.contains("taken by: batch 83 %\n"), "{text}");
    }

    #[test]
    fn hostile_names_cannot_act_on_a_terminal() {
        let mut hostile = why(vec![answer(Limiter::Nothing, Resource::Memory)]);
        hostile.party = container("a\x1b[2J\nCPU      limited", "i\u{9b}").into();
        hostile.answers[0].evidence = "x\x07\u{202e}".into();
        hostile.view[0].told_by = Some("/\x1b]0;x".into());
        let text = answers(&window(vec![]), &hostile, &Page::plain(60));
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.chars().any(acts), "{text:?}");
        assert!(!text.contains("\nCPU      limited"));
    }
}
