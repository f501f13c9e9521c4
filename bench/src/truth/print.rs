//! The tables for people.

use super::document::{Figures, Outcome, TruthDocument};
use super::summary::share_error;
use std::fmt::Write as _;

/// One line as soon as a scenario is over.
pub(super) fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    let ratio = outcome
        .felt
        .ratio()
        .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let found = outcome.expected.iter().filter(|e| e.found).count();
    let word = if outcome.void.is_some() {
        "void"
    } else if found == outcome.expected.len() && outcome.wrong.is_empty() {
        if outcome.abstained == Some(true) {
            "abstained"
        } else {
            "right"
        }
    } else {
        "WRONG"
    };
    let _ = writeln!(
        text,
        "{word:<9} {:<34} {:<10} slower {ratio:>6}  found {found}/{}  wrong {}  outside {:.2} CPUs",
        outcome.name,
        outcome.class,
        outcome.expected.len(),
        outcome.wrong.len(),
        outcome.outside_cpus,
    );
    if let Some(reason) = &outcome.void {
        let _ = writeln!(text, "         {reason}");
    }
    for expected in &outcome.expected {
        let far = share_error(expected).is_some_and(|points| points > 10.0);
        if !expected.found || far {
            let _ = writeln!(
                text,
                "         {} by {} ({} {}): named in {} of {} windows, share {} of {}",
                expected.victim,
                expected.culprit,
                expected.resource,
                expected.cause,
                expected.named,
                expected.windows,
                number(expected.share_said, 3),
                number(expected.share, 3),
            );
        }
    }
    for wrong in &outcome.wrong {
        let _ = writeln!(
            text,
            "         wrongly: {} by {} ({} {}) in {} windows, {:.3} s, first {:+.1} s from the onset: {}",
            wrong.victim,
            wrong.culprit,
            wrong.resource,
            wrong.cause,
            wrong.windows,
            wrong.seconds,
            wrong.at,
            wrong.evidence.escape_debug(),
        );
    }
    text
}

/// All tables at the end.
pub(super) fn document(document: &TruthDocument) {
    println!();
    heading("dunnage");
    for (resource, figures) in &document.resources {
        row(resource, figures);
    }
    for (rule, resources) in &document.rules {
        println!();
        heading(rule);
        for (resource, figures) in resources {
            row(resource, figures);
        }
    }
    println!("\nconfidence   verdicts  said   right");
    for bin in &document.calibration {
        println!(
            "{:.1} to {:.1}   {:>8}  {:.3}  {:.3}",
            bin.from, bin.to, bin.verdicts, bin.said, bin.right
        );
    }
    println!("Brier score {}", number(document.brier, 4));
    for missed in &document.missed_goals {
        println!("missed: {missed}");
    }
}

fn heading(who: &str) {
    println!(
        "{who:<20} {:>5} {:>5} {:>6} {:>7} {:>6} {:>10} {:>7} {:>12} {:>12} {:>15}",
        "count",
        "void",
        "right",
        "missed",
        "wrong",
        "precision",
        "recall",
        "share points",
        "(most)",
        "s to right, most"
    );
}

fn row(name: &str, figures: &Figures) {
    println!(
        "{name:<20} {:>5} {:>5} {:>6} {:>7} {:>6} {:>10} {:>7} {:>12} {:>12} {:>15}",
        figures.scenarios,
        figures.void,
        figures.right,
        figures.missed,
        figures.wrong,
        number(figures.precision, 3),
        number(figures.recall, 3),
        number(figures.share_error_mean, 1),
        number(figures.share_error_most, 1),
        number(figures.seconds_to_right_most, 1),
    );
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
