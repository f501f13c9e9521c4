//! `dunnage blame` for people: one block a verdict, then who is cleared.

use super::{Page, joined, label, wrapped};
use crate::sinks::escape::escaped;
use crate::sinks::quantity::{percent, seconds};
use crate::sinks::table::{Column, Table};
use dunnage_model::observation::Fidelity;
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{
    Cause, Cleared, Coverage, Culprit, Fact, Judgement, Resource, Verdict,
};
use std::collections::BTreeMap;

const INDENT: &str = "  ";

/// A part that would be shown as 0 % is no row: what sums of shares leave over is not even that.
const WORTH_A_ROW: f64 = 0.0005;

/// The verdicts of one window, who is cleared, and how well it was watched.
#[must_use]
pub fn verdicts(
    window: &WindowUse,
    judgement: &Judgement,
    coverage: &BTreeMap<Resource, Coverage>,
    page: &Page,
) -> String {
    let mut out = String::new();
    for verdict in &judgement.verdicts {
        out.push_str(&block(verdict, window.length, page));
        out.push('\n');
    }
    for cleared in &judgement.cleared {
        out.push_str(&wrapped(&cleared_line(cleared), page.width, ""));
    }
    if judgement.verdicts.is_empty() {
        out.push_str(&page.paint.bold(acquittal(coverage)));
        out.push('\n');
    }
    out.push_str(
        &page
            .paint
            .dim(wrapped(&coverage_line(window, coverage), page.width, "").trim_end()),
    );
    out.push('\n');
    out
}

/// One line: who waits for what, whose doing it is, and how much is lost.
#[must_use]
pub fn headline(verdict: &Verdict, length: Nanos) -> String {
    let loss = format!(
        "{} lost in {}, {} of its time",
        seconds(verdict.harm.seconds()),
        seconds(length.seconds()),
        percent(verdict.fraction)
    );
    let named: f64 = verdict.culprits.iter().map(|culprit| culprit.share).sum();
    match verdict.cause {
        Cause::Itself => format!("{} ({loss})", own_doing(verdict)),
        Cause::Neighbour | Cause::Host | Cause::Hypervisor => {
            format!("{} ({} of {loss})", others_doing(verdict), percent(named))
        }
    }
}

fn own_doing(verdict: &Verdict) -> String {
    let victim = label(&verdict.victim);
    let resource = resource_name(verdict.resource);
    match text_fact(verdict, "limit").as_deref() {
        Some("cpu.weight") => format!("{victim} has its share of the full CPUs and wants more"),
        Some(limit) => format!("{victim} is held back by its own limit {limit}"),
        None => format!(
            "{victim} waits for {resource} behind {}",
            own_load(verdict.resource)
        ),
    }
}

/// What of a party's own stands in its way.
fn own_load(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu | Resource::Cache => "its own threads",
        Resource::Disk => "its own requests",
        Resource::Memory => "its own pages",
        Resource::Network => "its own packets",
        Resource::Gpu | Resource::Fpga => "its own work",
    }
}

fn others_doing(verdict: &Verdict) -> String {
    let victim = label(&verdict.victim);
    let resource = resource_name(verdict.resource);
    let names: Vec<String> = verdict
        .culprits
        .iter()
        .map(|culprit| label(&culprit.party))
        .collect();
    let many = names.len() > 1;
    let culprits = if verdict.cause == Cause::Hypervisor && names.is_empty() {
        "the hypervisor".to_owned()
    } else {
        joined(&names)
    };
    match text_fact(verdict, "limit_cgroup") {
        Some(parent) => {
            let use_up = if many { "use" } else { "uses" };
            let limit = match verdict.resource {
                Resource::Cpu => "quota",
                _ => "limit",
            };
            format!("{victim} waits for {resource}: {culprits} {use_up} up the {limit} of {parent}")
        }
        None => {
            let take = if many { "take" } else { "takes" };
            format!("{victim} waits for {resource}: {culprits} {take} it")
        }
    }
}

fn text_fact(verdict: &Verdict, name: &str) -> Option<String> {
    match verdict.facts.get(name) {
        Some(Fact::Text(text)) => Some(escaped(text)),
        _ => None,
    }
}

fn block(verdict: &Verdict, length: Nanos, page: &Page) -> String {
    let paint = page.paint;
    let mut out = String::new();
    let first = wrapped(&headline(verdict, length), page.width, "");
    let first = first.trim_end();
    out.push_str(&match verdict.cause {
        Cause::Itself => paint.bold(first),
        _ => paint.bold(&paint.red(first)),
    });
    out.push('\n');
    out.push_str(&wrapped(&escaped(&verdict.evidence), page.width, INDENT));
    out.push_str(&wrapped(
        &format!("advice: {}", escaped(&verdict.advice)),
        page.width,
        INDENT,
    ));
    out.push_str(&wrapped(
        &format!("confidence: {}", percent(verdict.confidence)),
        page.width,
        INDENT,
    ));
    if verdict.cause != Cause::Itself {
        out.push_str(&culprits(verdict, page));
    }
    out
}

fn culprits(verdict: &Verdict, page: &Page) -> String {
    let mut table = Table::new(vec![
        Column::text("CULPRIT", 12, 0),
        Column::text("KIND", 9, 2),
        Column::text("ENGINE", 6, 3),
        Column::text("IMAGE", 10, 4),
        Column::number("TOOK", 1),
        Column::number("SHARE", 0),
    ]);
    for culprit in &verdict.culprits {
        table.row(culprit_cells(culprit));
    }
    if verdict.unexplained >= WORTH_A_ROW {
        let absent = || "-".to_owned();
        let time = seconds(verdict.harm.seconds() * verdict.unexplained);
        let nobody = "(nobody known)".to_owned();
        table.row(vec![
            nobody,
            absent(),
            absent(),
            absent(),
            time,
            percent(verdict.unexplained),
        ]);
    }
    table.render(page.width, INDENT.len(), page.paint)
}

fn culprit_cells(culprit: &Culprit) -> Vec<String> {
    let text = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), escaped);
    vec![
        label(&culprit.party),
        culprit.party.kind.as_str().to_owned(),
        text(&culprit.party.engine),
        text(&culprit.party.image),
        seconds(culprit.time.seconds()),
        percent(culprit.share),
    ]
}

fn cleared_line(cleared: &Cleared) -> String {
    let kind = match cleared.party.kind {
        PartyKind::Service => "service ",
        PartyKind::Container | PartyKind::Kernel | PartyKind::Hypervisor => "",
    };
    format!(
        "Cleared: {kind}{} of {}: {}",
        label(&cleared.party),
        resource_name(cleared.of),
        escaped(&cleared.why)
    )
}

/// Nobody is called harmless by somebody who did not look.
fn acquittal(coverage: &BTreeMap<Resource, Coverage>) -> &'static str {
    if coverage.values().any(|c| *c != Coverage::None) {
        "Nobody is harmed."
    } else {
        "No verdict: nothing could be watched."
    }
}

fn coverage_line(window: &WindowUse, coverage: &BTreeMap<Resource, Coverage>) -> String {
    let watched: Vec<String> = coverage
        .iter()
        .filter_map(|(r, c)| watched(window, *r, *c))
        .collect();
    let is_blind = |r: &Resource| coverage.get(r).is_none_or(|c| *c == Coverage::None);
    let blind: Vec<&str> = Resource::LISTED
        .into_iter()
        .filter(is_blind)
        .map(resource_name)
        .collect();
    let mut line = String::new();
    if !watched.is_empty() {
        line.push_str(&format!("Watched: {}. ", watched.join(", ")));
    }
    if !blind.is_empty() {
        line.push_str(&format!("Not watched: {}.", blind.join(", ")));
    }
    line
}

fn watched(window: &WindowUse, resource: Resource, coverage: Coverage) -> Option<String> {
    let name = resource_name(resource);
    match coverage {
        Coverage::None => None,
        Coverage::Exact => Some(format!("{name} (every event)")),
        Coverage::Sampled if resource == Resource::Network => {
            let interrupts = window.stalls.interrupts.as_ref().map(|all| all.fidelity);
            let queues = match window.stalls.network {
                Some(_) => ", queues by every event",
                None => "",
            };
            let time = of_the_time(interrupts);
            Some(format!(
                "{name} (what packets take of CPUs sampled{time}{queues})"
            ))
        }
        Coverage::Sampled => Some(format!(
            "{name} (sampled{}, which keeps it cheap)",
            of_the_time(Some(window.fidelity))
        )),
        Coverage::Correlated => Some(format!(
            "{name} (only totals that rise and fall together: shares are estimates)"
        )),
    }
}

/// For what part of the time was watched.
fn of_the_time(fidelity: Option<Fidelity>) -> String {
    match fidelity {
        Some(Fidelity::Sampled(share)) => format!(" {} of the time", percent(share)),
        Some(Fidelity::Exact) | None => String::new(),
    }
}

pub(super) fn resource_name(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "CPU",
        Resource::Cache => "cache",
        Resource::Disk => "disk",
        Resource::Memory => "memory",
        Resource::Network => "network",
        Resource::Gpu => "GPU",
        Resource::Fpga => "FPGA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::text::tests_support::{
        container, exact_cpu, judgement, service, verdict, window,
    };
    use dunnage_model::usage::Interrupts;

    #[test]
    fn a_neighbour_with_culprits_and_a_cleared_bystander() {
        let text = verdicts(
            &window(vec![]),
            &judgement(),
            &exact_cpu(),
            &Page::plain(100),
        );
        let expected = "\
web waits for CPU: batch takes it (83 % of 3.51 s lost in 10 s, 35 % of its time)
  web waited 3.51 s for a CPU in 10 s; batch ran for 2.90 s of it while over its share
  advice: give batch a CPU limit or fewer shares, or move it off CPUs 0-1
  confidence: 97 %
  CULPRIT         KIND       ENGINE  IMAGE    TOOK  SHARE
  batch           container  docker  jobs    2.9 s   83 %
  (nobody known)  -          -       -      611 ms   17 %

Cleared: cache of CPU: ran on CPUs that nobody waited for
Watched: CPU (every event). Not watched: cache, disk, memory, network, GPU.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_sums_leave_over_is_no_row() {
        let said = |unexplained: f64| {
            let mut verdict = verdict(Cause::Neighbour);
            verdict.unexplained = unexplained;
            block(&verdict, Nanos::from_seconds(10.0), &Page::plain(100))
        };
        assert!(!said(1e-16).contains("nobody known"));
        assert!(said(0.001).contains("nobody known"));
    }

    #[test]
    fn a_quiet_host_harms_nobody() {
        let text = verdicts(
            &window(vec![]),
            &Judgement::default(),
            &exact_cpu(),
            &Page::plain(100),
        );
        assert!(text.starts_with("Nobody is harmed.\n"), "{text}");
    }

    #[test]
    fn what_of_the_network_was_sampled_is_said() {
        let mut window = window(vec![]);
        window.stalls.interrupts = Some(Interrupts {
            fidelity: Fidelity::Sampled(0.12),
            ..Interrupts::default()
        });
        let said = |window: &WindowUse| watched(window, Resource::Network, Coverage::Sampled);
        let packets = "network (what packets take of CPUs sampled 12 % of the time)";
        assert_eq!(said(&window).unwrap(), packets);
        window.stalls.network = Some(Vec::new());
        let both =
            "network (what packets take of CPUs sampled 12 % of the time, queues by every event)";
        assert_eq!(said(&window).unwrap(), both);
    }

    #[test]
    fn a_host_that_was_not_watched_is_not_acquitted() {
        let text = verdicts(
            &window(vec![]),
            &Judgement::default(),
            &BTreeMap::new(),
            &Page::plain(100),
        );
        assert!(!text.contains("harmed"), "{text}");
        assert!(
            text.contains("Not watched: CPU, cache, disk, memory, network, GPU."),
            "{text}"
        );
    }

    #[test]
    fn headlines_by_cause() {
        let length = Nanos::from_seconds(10.0);
        let mut own = verdict(Cause::Itself);
        own.facts.insert("limit", Fact::Text("cpu.max".into()));
        assert_eq!(
            headline(&own, length),
            "web is held back by its own limit cpu.max (3.51 s lost in 10 s, 35 % of its time)"
        );
        own.facts.insert("limit", Fact::Text("cpu.weight".into()));
        assert!(
            headline(&own, length)
                .starts_with("web has its share of the full CPUs and wants more (")
        );
        own.facts.clear();
        assert!(headline(&own, length).starts_with("web waits for CPU behind its own threads ("));

        for (resource, words) in [
            (
                Resource::Disk,
                "web waits for disk behind its own requests (",
            ),
            (
                Resource::Network,
                "web waits for network behind its own packets (",
            ),
        ] {
            own.resource = resource;
            assert!(headline(&own, length).starts_with(words));
        }

        let mut host = verdict(Cause::Host);
        host.culprits[0].party = service("backup.service").into();
        host.culprits.push(Culprit {
            party: container("b", "i").into(),
            ..host.culprits[0].clone()
        });
        assert!(
            headline(&host, length)
                .starts_with("web waits for CPU: backup.service and b take it (")
        );
        host.facts
            .insert("limit_cgroup", Fact::Text("/shop".into()));
        assert!(headline(&host, length).contains("use up the quota of /shop"));
        host.resource = Resource::Memory;
        assert!(headline(&host, length).contains("use up the limit of /shop"));
    }

    #[test]
    fn hostile_names_and_sentences_cannot_act_on_a_terminal() {
        let mut judgement = judgement();
        judgement.verdicts[0].victim = container("web\x1b]0;owned\x07", "i").into();
        judgement.verdicts[0].evidence = "a\x1b[2Jb\nCleared: x".into();
        judgement.verdicts[0].advice = "\u{202e}evil".into();
        judgement.cleared[0].party = container("c\r\x1b[A", "i\u{9b}").into();
        let text = verdicts(&window(vec![]), &judgement, &exact_cpu(), &Page::plain(60));
        assert!(
            !text
                .chars()
                .any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')),
            "{text:?}"
        );
        assert!(!text.contains("\nCleared: x"));
    }
}
