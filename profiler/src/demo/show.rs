//! The demo's page of text: what was done, the truth, the verdict, and whether they agree.

use super::places::Places;
use super::truth::{Actor, Phase};
use super::{DemoOutcome, check};
use dunnage_model::verdict::Verdict;
use dunnage_tui::visible;
use std::io::{self, Write};

/// Says what is going to happen.
pub(super) fn opening(out: &mut dyn Write, folder: &str, places: Places) -> io::Result<()> {
    let stage = places.stage;
    writeln!(out, "Three cgroups of our own in {folder}:")?;
    writeln!(
        out,
        "  victim     10 ms of work every 25 ms, on CPU {stage}"
    )?;
    writeln!(
        out,
        "  culprit    3 threads that never rest, on CPU {stage}, with equal weight"
    )?;
    match places.aside {
        Some(cpu) => writeln!(
            out,
            "  bystander  1 thread that hardly ever rests, on CPU {cpu}"
        )?,
        None => writeln!(out, "  (no bystander: there is only one CPU to run on)")?,
    }
    writeln!(
        out,
        "For these seconds they go before other work on these CPUs."
    )?;
    writeln!(out)?;
    out.flush()
}

/// One line of what is being done now.
pub(super) fn step(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "{text}")?;
    out.flush()
}

/// The truth beside the verdict.
pub(super) fn result(out: &mut dyn Write, outcome: &DemoOutcome) -> io::Result<()> {
    let truth = &outcome.truth;
    writeln!(out, "\nThe truth, by the clock of each process itself")?;
    writeln!(
        out,
        "  {:<28}{:>12}{:>20}",
        "victim", "alone", "beside the culprit"
    )?;
    let row = |out: &mut dyn Write, name: &str, of: &dyn Fn(&Phase) -> String| {
        let (alone, beside) = (of(&truth.alone), of(&truth.beside));
        writeln!(out, "    {name:<26}{alone:>12}{beside:>20}")
    };
    row(out, "a request takes", &|p| {
        milliseconds(p.mean_latency_seconds)
    })?;
    row(out, "99th percentile", &|p| {
        milliseconds(p.p99_latency_seconds)
    })?;
    row(out, "lost of each second", &|p| {
        milliseconds(p.lost_seconds / p.seconds)
    })?;
    for actor in std::iter::once(&truth.culprit).chain(&truth.bystander) {
        actor_line(out, actor, actor.cpu == truth.victim_cpu)?;
    }
    writeln!(out, "\nWhat Dunnage says")?;
    match check::verdict(&outcome.seen, &outcome.folder) {
        Some(verdict) => verdict_lines(out, verdict, outcome.seen.window.length.seconds())?,
        None => writeln!(out, "  nothing about the victim")?,
    }
    let cleared = &outcome.seen.judgement.cleared;
    let of_demo = |c: &&dunnage_model::verdict::Cleared| {
        check::is_role(&c.party, &outcome.folder, "bystander")
    };
    for cleared in cleared.iter().filter(of_demo) {
        writeln!(
            out,
            "  cleared: {}: {}",
            visible(&cleared.party.name),
            visible(&cleared.why)
        )?;
    }
    writeln!(out)?;
    for check in &outcome.checks {
        let word = if check.right { "yes" } else { "NO " };
        writeln!(out, "  {word}  {} ({})", check.what, visible(&check.said))?;
    }
    writeln!(out, "\n{}", conclusion(outcome))?;
    out.flush()
}

fn actor_line(out: &mut dyn Write, actor: &Actor, beside: bool) -> io::Result<()> {
    let place = if beside {
        "the victim's CPU"
    } else {
        "a CPU of its own"
    };
    let percent = 100.0 * actor.share();
    writeln!(
        out,
        "  {:<11}ran {:.2} s of {:.2} s ({percent:.0} % of CPU {}, {place})",
        actor.name, actor.cpu_seconds, actor.seconds, actor.cpu
    )
}

fn verdict_lines(out: &mut dyn Write, verdict: &Verdict, window: f64) -> io::Result<()> {
    writeln!(
        out,
        "  {} lost {:.2} s of {window:.1} s waiting for a {}, {:.0} % of its time; cause: {}",
        visible(&verdict.victim.name),
        verdict.harm.seconds(),
        verdict.resource.as_str(),
        verdict.fraction * 100.0,
        verdict.cause.as_str(),
    )?;
    for culprit in &verdict.culprits {
        writeln!(
            out,
            "    {:>5.1} %  {}  {:.2} s",
            culprit.share * 100.0,
            visible(&culprit.party.name),
            culprit.time.seconds()
        )?;
    }
    writeln!(
        out,
        "    {:>5.1} %  unexplained",
        verdict.unexplained * 100.0
    )?;
    writeln!(out, "  evidence: {}", visible(&verdict.evidence))?;
    writeln!(out, "  advice: {}", visible(&verdict.advice))
}

fn conclusion(outcome: &DemoOutcome) -> &'static str {
    let exact = outcome.seen.window.waits.is_some();
    match (outcome.right, outcome.truth.disturbed, exact) {
        (true, _, true) => "Dunnage was right: it works on this host.",
        (true, _, false) => {
            "Dunnage was right, but without its eBPF part it only correlates. `dunnage doctor` says what is missing."
        }
        (false, true, _) => {
            "This host is too busy for the demo: others took the victim's CPU, so it proves nothing. Try again in a quieter moment."
        }
        (false, false, true) => "Dunnage was wrong. Please report this page and `dunnage doctor`.",
        (false, false, false) => {
            "Dunnage was wrong: its eBPF part does not run here. `dunnage doctor` says what is missing."
        }
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_page_shows_the_verdict_beside_the_truth() {
        let mut page = Vec::new();
        result(&mut page, &sample::outcome("/dunnage-demo-7")).unwrap();
        let page = String::from_utf8(page).unwrap();
        for line in [
            "a request takes                 3.1 ms              9.8 ms",
            "culprit    ran 3.50 s of 5.00 s (70 % of CPU 0, the victim's CPU)",
            "bystander  ran 4.99 s of 5.00 s (100 % of CPU 1, a CPU of its own)",
            "victim lost 1.70 s of 5.0 s waiting for a cpu, 53 % of its time; cause: neighbour",
            "97.0 %  culprit  1.65 s",
            "cleared: bystander: ran on CPUs that nobody waited for",
            "yes  the culprit is named",
            "Dunnage was right: it works on this host.",
        ] {
            assert!(page.contains(line), "{line:?} is not in\n{page}");
        }
    }
    #[test]
    fn a_busy_host_is_no_fault_of_dunnages() {
        let mut outcome = sample::outcome("/dunnage-demo-7");
        outcome.right = false;
        assert!(conclusion(&outcome).starts_with("Dunnage was wrong."));
        outcome.truth.disturbed = true;
        assert!(conclusion(&outcome).contains("too busy for the demo"));
    }
}
