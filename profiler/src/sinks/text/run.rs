//! `dunnage run` for people: the verdict, what was lost to whom, and what else was seen.

use super::blame::resource_name;
use super::{Page, joined, label, wrapped};
use crate::sinks::escape::escaped;
use crate::sinks::quantity::{bytes, percent, seconds};
use crate::sinks::table::{Column, Table};
use dunnage_model::run::{Circumstances, RunLoss, RunReport, RunVerdict, Trust};
use dunnage_model::units::Nanos;
use dunnage_model::verdict::{Cause, Coverage, Resource};

const INDENT: &str = "  ";

/// Less is what roundings leave over.
const WORTH_A_ROW: Nanos = Nanos(1_000);

/// So many of those who took time get a line; the others are added up.
const MOST_ROWS: usize = 6;

/// The report of a run of which `bound` (0 to 1) was allowed to be lost.
#[must_use]
pub fn run(report: &RunReport, bound: f64, page: &Page) -> String {
    let paint = page.paint;
    let line = wrapped(&headline(report, bound), page.width, "");
    let line = line.trim_end();
    let mut out = match report.trust(bound) {
        Trust::Clean => paint.bold(line),
        Trust::Disturbed | Trust::Unknown => paint.bold(&paint.red(line)),
    };
    out.push('\n');
    if !report.losses.is_empty() {
        out.push_str(&takers(report, page));
    }
    for verdict in &report.verdicts {
        out.push_str(&wrapped(
            &sentence(verdict, report.windows),
            page.width,
            INDENT,
        ));
    }
    let seen = circumstances(&report.circumstances);
    if !seen.is_empty() {
        out.push_str(&wrapped(&seen, page.width, INDENT));
    }
    if !report.left.is_empty() {
        let names: Vec<String> = report.left.iter().map(|name| escaped(name)).collect();
        let line = format!(
            "still running, in the caller's cgroup now: {}",
            joined(&names)
        );
        out.push_str(&wrapped(&line, page.width, INDENT));
    }
    let unseen = unseen(report);
    if !unseen.is_empty() {
        out.push_str(&paint.dim(wrapped(&unseen, page.width, INDENT).trim_end()));
        out.push('\n');
    }
    out
}

fn headline(report: &RunReport, bound: f64) -> String {
    let took = format!(
        "{} took {}, {} of CPU time",
        report
            .command
            .first()
            .map_or_else(String::new, |name| escaped(name)),
        seconds(report.length.seconds()),
        seconds(report.ran.seconds())
    );
    let lost = match report.losses.first() {
        Some(loss) => format!(
            "{} lost to others on the {}, {} of its time",
            seconds(loss.lost.seconds()),
            resource_name(loss.resource),
            percent(loss.fraction(report.length))
        ),
        None => "no time lost to others".to_owned(),
    };
    match report.trust(bound) {
        Trust::Clean => format!("Clean: {lost} (up to {} is clean); {took}", percent(bound)),
        Trust::Disturbed => format!(
            "Disturbed by {}: {lost}; {took}",
            percent(report.disturbance())
        ),
        Trust::Unknown => format!("Cannot tell: waits for a CPU could not be seen; {took}"),
    }
}

fn takers(report: &RunReport, page: &Page) -> String {
    let mut table = Table::new(vec![
        Column::text("LOST TO", 12, 0),
        Column::text("KIND", 9, 2),
        Column::text("ON", 7, 0),
        Column::number("TOOK", 1),
        Column::number("OF ITS TIME", 0),
    ]);
    let of_all = |loss: &RunLoss, time: Nanos| percent(loss.part(time, report.length));
    for loss in &report.losses {
        let on = resource_name(loss.resource).to_owned();
        for (party, time) in loss.to.iter().take(MOST_ROWS) {
            table.row(vec![
                label(party),
                party.kind.as_str().to_owned(),
                on.clone(),
                seconds(time.seconds()),
                of_all(loss, *time),
            ]);
        }
        let rest: Nanos = loss.to.iter().skip(MOST_ROWS).map(|(_, time)| *time).sum();
        let others = format!("({} others)", loss.to.len().saturating_sub(MOST_ROWS));
        let unknown = "(nobody known)".to_owned();
        for (who, time) in [(others, rest), (unknown, loss.unexplained)] {
            if time >= WORTH_A_ROW {
                let cells = vec![
                    who,
                    "-".to_owned(),
                    on.clone(),
                    seconds(time.seconds()),
                    of_all(loss, time),
                ];
                table.row(cells);
            }
        }
    }
    table.render(page.width, INDENT.len(), page.paint)
}

fn sentence(verdict: &RunVerdict, windows: usize) -> String {
    let held = if windows > 1 {
        format!(" (held in {} of {windows} windows)", verdict.windows)
    } else {
        String::new()
    };
    let evidence = escaped(&verdict.worst.evidence);
    // What a run does to itself is part of what it measures, and its cgroup is gone with its knobs.
    if verdict.worst.cause == Cause::Itself {
        return format!("{evidence}{held}");
    }
    format!(
        "{evidence}{held}; advice: {}",
        escaped(&verdict.worst.advice)
    )
}

/// One sentence of what was seen; what could not be seen is not in it.
fn circumstances(seen: &Circumstances) -> String {
    let time = |value: Option<dunnage_model::units::Nanos>, what: &str| {
        let value = value.filter(|time| time.0 > 0)?;
        Some(format!("{what} {}", seconds(value.seconds())))
    };
    let count = |value: Option<u64>, one: &str, many: &str| {
        let value = value?;
        Some(format!("{value} {}", if value == 1 { one } else { many }))
    };
    let size = |value: Option<dunnage_model::units::Bytes>, what: &str| {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let shown = value.map(|value| bytes(value.0 as f64))?;
        Some(format!("{shown} {what}"))
    };
    let megahertz = |hertz: u64| hertz / 1_000_000;
    let parts = [
        time(seen.throttled, "held back by a quota for"),
        time(seen.waited_for_itself, "waited behind its own threads for"),
        time(seen.steal, "the machine's steal was"),
        count(
            seen.involuntary_switches,
            "involuntary switch",
            "involuntary switches",
        ),
        count(seen.migrations, "migration", "migrations"),
        count(seen.major_faults, "major fault", "major faults"),
        size(seen.read_from_disk, "read from disk"),
        size(seen.refaulted.filter(|bytes| bytes.0 > 0), "refaulted"),
        seen.frequency.map(|(lowest, highest)| {
            format!(
                "CPUs ran at {} to {} MHz",
                megahertz(lowest),
                megahertz(highest)
            )
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!("seen: {}", parts.join(", "))
    }
}

fn unseen(report: &RunReport) -> String {
    let of = |resource: Resource| report.coverage.get(&resource).copied();
    let resources = [
        Resource::Cpu,
        Resource::Disk,
        Resource::Memory,
        Resource::Network,
        Resource::Cache,
    ];
    let blind: Vec<&str> = resources
        .into_iter()
        .filter(|resource| of(*resource).is_none_or(|c| c == Coverage::None))
        .map(resource_name)
        .collect();
    let mut parts = Vec::new();
    if of(Resource::Cpu) == Some(Coverage::Correlated) {
        parts.push(
            "behind whom it waited for a CPU is an estimate, and its own threads may be among them"
                .to_owned(),
        );
    }
    if !blind.is_empty() {
        parts.push(format!("not watched: {}", blind.join(", ")));
    }
    parts.extend(
        report
            .gaps
            .iter()
            .map(|gap| format!("no {}", escaped(&gap.what))),
    );
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::text::tests_support::{container, exact_cpu, verdict, window};
    use dunnage_model::gap::Gap;
    use dunnage_model::run::RunEnd;
    use dunnage_model::units::Bytes;

    fn report() -> RunReport {
        let seconds = Nanos::from_seconds;
        RunReport {
            command: vec!["cargo".into(), "bench".into()],
            host: window(Vec::new()).host,
            start_unix: Nanos::ZERO,
            length: seconds(12.0),
            windows: 3,
            end: RunEnd::Exited(0),
            cgroup: Some("/dunnage-run-7".into()),
            ran: seconds(9.0),
            losses: vec![RunLoss {
                resource: Resource::Cpu,
                lost: seconds(1.0),
                had: seconds(9.0),
                to: vec![(container("batch", "jobs").into(), seconds(0.9))],
                unexplained: seconds(0.1),
            }],
            coverage: exact_cpu(),
            verdicts: vec![RunVerdict {
                worst: verdict(Cause::Neighbour),
                harm: seconds(3.51),
                windows: 1,
            }],
            circumstances: Circumstances {
                steal: Some(Nanos::ZERO),
                throttled: Some(seconds(0.5)),
                involuntary_switches: Some(120),
                major_faults: Some(3),
                read_from_disk: Some(Bytes(1 << 20)),
                frequency: Some((1_200_000_000, 3_400_000_000)),
                ..Circumstances::default()
            },
            left: Vec::new(),
            gaps: vec![Gap::new("migrations", "not allowed")],
        }
    }

    #[test]
    fn a_disturbed_run_names_who_took_its_time() {
        let expected = "\
Disturbed by 8.3 %: 1 s lost to others on the CPU, 8.3 % of its time; cargo took 12 s, 9 s of CPU
time
  LOST TO         KIND       ON     TOOK  OF ITS TIME
  batch           container  CPU  900 ms        7.5 %
  (nobody known)  -          CPU  100 ms        0.8 %
  web waited 3.51 s for a CPU in 10 s; batch ran for 2.90 s of it while over its share (held in 1 of
  3 windows); advice: give batch a CPU limit or fewer shares, or move it off CPUs 0-1
  seen: held back by a quota for 500 ms, 120 involuntary switches, 3 major faults, 1Mi read from
  disk, CPUs ran at 1200 to 3400 MHz
  not watched: disk, memory, network, cache; no migrations
";
        assert_eq!(run(&report(), 0.02, &Page::plain(100)), expected);
    }

    #[test]
    fn within_the_bound_it_is_clean_and_blind_it_is_neither() {
        let mut report = report();
        let text = run(&report, 0.2, &Page::plain(100));
        assert!(
            text.starts_with("Clean: 1 s lost to others on the CPU"),
            "{text}"
        );
        report.coverage.clear();
        let text = run(&report, 0.2, &Page::plain(100));
        assert!(text.starts_with("Cannot tell: "), "{text}");
    }

    #[test]
    fn hostile_names_cannot_act_on_a_terminal() {
        let mut report = report();
        report.command = vec!["\x1b[2Jx".into()];
        report.left = vec!["a\nClean".into(), "\u{202e}b".into()];
        report.losses[0].to[0].0 = container("c\r\x1b[A", "i").into();
        report.gaps[0].what = "\x07".into();
        let text = run(&report, 0.02, &Page::plain(60));
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.chars().any(acts), "{text:?}");
        assert!(!text.contains("\nClean"), "{text}");
    }
}
