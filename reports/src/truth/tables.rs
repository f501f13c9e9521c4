//! The tables of the page.

use super::worst::worst;
use super::{Figures, Outcome, Rule, Scenario, Session};
use crate::html::{escaped, row};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Of 0 to 1, as people say it; a dash where there is nothing.
pub(super) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), |v| format!("{:.1} %", v * 100.0))
}

/// A number with one decimal and its unit.
pub(super) fn amount(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| DASH.to_owned(), |v| format!("{v:.1} {unit}"))
}

const DASH: &str = "<span class=\"none\">–</span>";

/// The resources of a session, `all` last.
pub(super) fn resources(session: &Session) -> Vec<String> {
    let rules = session.rules.first();
    let names: BTreeSet<&String> = rules
        .into_iter()
        .flat_map(|rule| rule.resources.iter().map(|(name, _)| name))
        .collect();
    let mut names: Vec<String> = names.into_iter().cloned().collect();
    names.sort_by_key(|name| name == "all");
    names
}

/// Dunnage's figures by resource, and beside them what the simpler rules reach on the same data.
pub(super) fn latest(session: &Session) -> String {
    let Some((dunnage, others)) = session.rules.split_first() else {
        return "<p>Nothing was scored.</p>".to_owned();
    };
    let mut out =
        String::from("<div class=\"wide\"><table><thead><tr><th rowspan=\"2\">resource</th>");
    let _ = write!(out, "<th colspan=\"7\">{}</th>", escaped(&dunnage.name));
    for rule in others {
        let name = escaped(&rule.name);
        let _ = write!(out, "<th class=\"other\">{name}</th>");
    }
    out.push_str("</tr>\n<tr>");
    for head in [
        "scenarios",
        "precision",
        "recall",
        "wrong",
        "missed",
        "share error",
        "time",
    ] {
        let _ = write!(out, "<th>{head}</th>");
    }
    for _ in others {
        out.push_str("<th class=\"other\">precision, recall</th>");
    }
    out.push_str("</tr></thead>\n<tbody>");
    for resource in resources(session) {
        let Some(figures) = dunnage.of(&resource) else {
            continue;
        };
        let mut cells = vec![escaped(&resource), scenarios(figures)];
        cells.extend([share(figures.precision), share(figures.recall)]);
        cells.extend([figures.wrong.to_string(), figures.missed.to_string()]);
        cells.push(amount(figures.share_error_points, "points"));
        cells.push(amount(figures.seconds_to_right, "s"));
        let others = others.iter().map(|rule| of_rule(rule, &resource));
        let cells: Vec<String> = cells
            .iter()
            .map(|cell| format!("<td>{cell}</td>"))
            .collect();
        let others: Vec<String> = others
            .map(|cell| format!("<td class=\"other\">{cell}</td>"))
            .collect();
        let _ = writeln!(out, "<tr>{}{}</tr>", cells.concat(), others.concat());
    }
    out.push_str("</tbody></table></div>");
    out
}

fn of_rule(rule: &Rule, resource: &str) -> String {
    let figures = rule.of(resource);
    match figures.map(|f| (f.precision, f.recall)) {
        None | Some((None, None)) => DASH.to_owned(),
        Some((precision, recall)) => format!("{}, {}", share(precision), share(recall)),
    }
}

fn scenarios(figures: &Figures) -> String {
    let mut text = figures.scenarios.to_string();
    let mut parts = Vec::new();
    if figures.abstained > 0 {
        parts.push(format!("{} abstained", figures.abstained));
    }
    if figures.void > 0 {
        parts.push(format!("{} void", figures.void));
    }
    if !parts.is_empty() {
        let _ = write!(text, " <small>({})</small>", parts.join(", "));
    }
    text
}

/// The worst scenarios, each with what was said and should not have been, or the reverse.
pub(super) fn worst_scenarios(session: &Session) -> String {
    let told = worst(session);
    if told.is_empty() {
        return "<p class=\"good\">None: every scenario that counts came out as labelled, in time and with its shares.</p>".to_owned();
    }
    let mut out = String::from("<ol class=\"worst\">");
    for told in told {
        let scenario = told.worst;
        let _ = write!(
            out,
            "<li><p>{} <b>{}</b> <small>{}, {}; in {} of {} runs</small></p>",
            badge(scenario.outcome),
            escaped(&scenario.name),
            escaped(&scenario.resource),
            escaped(&scenario.class),
            told.bad,
            told.runs
        );
        let mut notes = vec![measured(scenario)];
        notes.extend(scenario.notes.iter().map(|note| escaped(note)));
        notes.retain(|note| !note.is_empty());
        if !notes.is_empty() {
            let _ = write!(out, "<ul><li>{}</li></ul>", notes.join("</li><li>"));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ol>");
    out
}

fn measured(scenario: &Scenario) -> String {
    let mut parts = Vec::new();
    if let Some((calm, disturbed)) = scenario.latency {
        parts.push(format!("the victim measured {}", latency(calm, disturbed)));
    }
    if let Some(points) = scenario.share_error_points {
        parts.push(format!("shares wrong by up to {points:.0} points"));
    }
    if let Some(seconds) = scenario.seconds_to_right {
        parts.push(format!("right after {seconds:.1} s"));
    }
    parts.join("; ")
}

fn latency(calm: f64, disturbed: f64) -> String {
    format!("{:.2} → {:.2} ms", calm * 1e3, disturbed * 1e3)
}

fn badge(outcome: Outcome) -> String {
    let word = outcome.as_str();
    format!("<span class=\"badge {word}\">{word}</span>")
}

/// Every scenario of every run.
pub(super) fn all_scenarios(session: &Session) -> String {
    let mut out = String::from("<div class=\"wide\"><table><thead>");
    let heads = [
        "scenario",
        "resource",
        "label",
        "outcome",
        "victim's latency",
        "share error",
        "time",
        "notes",
    ];
    out.push_str(&row("th", &heads.map(str::to_owned)));
    out.push_str("</thead><tbody>\n");
    for scenario in &session.scenarios {
        let felt = scenario
            .latency
            .map_or_else(|| DASH.to_owned(), |(calm, with)| latency(calm, with));
        let notes: Vec<String> = scenario.notes.iter().map(|note| escaped(note)).collect();
        out.push_str(&row(
            "td",
            &[
                escaped(&scenario.name),
                escaped(&scenario.resource),
                escaped(&scenario.class),
                badge(scenario.outcome),
                felt,
                amount(scenario.share_error_points, "points"),
                amount(scenario.seconds_to_right, "s"),
                notes.join("<br>"),
            ],
        ));
    }
    out.push_str("</tbody></table></div>");
    out
}

/// Which number in the plots is which session.
pub(super) fn sessions(sessions: &[Session]) -> String {
    let mut out = String::from("<div class=\"wide\"><table><thead>");
    let heads = [
        "",
        "begun",
        "version",
        "host",
        "runs",
        "precision",
        "recall",
        "share error",
        "time",
        "goals",
    ];
    out.push_str(&row("th", &heads.map(str::to_owned)));
    out.push_str("</thead><tbody>\n");
    for (at, session) in sessions.iter().enumerate().rev() {
        let all = session.rules.first().and_then(|rule| rule.of("all"));
        let figure = |of: fn(&Figures) -> Option<f64>| all.and_then(of);
        let goals = if session.missed_goals.is_empty() {
            "<span class=\"badge right\">met</span>".to_owned()
        } else {
            let missed = session.missed_goals.len();
            format!("<span class=\"badge wrong\">{missed} missed</span>")
        };
        out.push_str(&row(
            "td",
            &[
                (at + 1).to_string(),
                escaped(&session.started),
                escaped(&session.version),
                escaped(&session.host),
                session.runs.to_string(),
                share(figure(|f| f.precision)),
                share(figure(|f| f.recall)),
                amount(figure(|f| f.share_error_points), "points"),
                amount(figure(|f| f.seconds_to_right), "s"),
                goals,
            ],
        ));
    }
    out.push_str("</tbody></table></div>");
    out
}
