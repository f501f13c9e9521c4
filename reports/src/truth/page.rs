//! The page: the latest session first, then how it came to be so.

use super::plots::{METRICS, MOST_SERIES, calibration, over_sessions};
use super::tables::{
    all_scenarios, amount, latest, resources, sessions as table_of_sessions, share, worst_scenarios,
};
use super::{Figures, PlotError, Session};
use crate::html::escaped;
use std::collections::BTreeSet;
use std::fmt::Write;

/// One self-contained page of all `sessions`, in whatever order they come.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn page(sessions: &[Session]) -> Result<String, PlotError> {
    let mut sessions = sessions.to_vec();
    sessions.sort_by(|a, b| a.started.cmp(&b.started));
    let mut body = String::new();
    match sessions.last() {
        None => body.push_str("<p>There are no runs yet.</p>"),
        Some(last) => {
            let before = sessions.len().checked_sub(2).map(|at| &sessions[at]);
            head(&mut body, last, before);
            over_time(&mut body, &sessions)?;
            section(
                &mut body,
                "The latest run, beside simpler rules",
                &latest(last),
            );
            body.push_str("<div class=\"columns\">\n");
            section(
                &mut body,
                "Calibration of the confidence",
                &confidence(last)?,
            );
            section(&mut body, "The worst scenarios", &worst_scenarios(last));
            body.push_str("</div>\n");
            let _ = writeln!(
                body,
                "<section><details><summary>All {} scenarios of the latest run</summary>{}</details></section>",
                last.scenarios.len(),
                all_scenarios(last)
            );
            section(&mut body, "All runs", &table_of_sessions(&sessions));
        }
    }
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <title>Dunnage: verdicts against the truth</title>\n<style>\n{STYLE}</style></head>\n\
         <body><main>\n<h1>Verdicts against the truth</h1>\n{body}</main></body></html>\n"
    ))
}

const STYLE: &str = include_str!("style.css");

fn section(body: &mut String, title: &str, content: &str) {
    let _ = write!(body, "<section><h2>{title}</h2>\n{content}\n</section>\n");
}

/// The figures over everything, with what changed since the run before.
fn head(body: &mut String, last: &Session, before: Option<&Session>) {
    let _ = writeln!(
        body,
        "<p class=\"sub\">Dunnage {}, {}; {} of the scenarios, begun {}</p>",
        escaped(&last.version),
        escaped(&last.host),
        match last.runs {
            1 => "one run".to_owned(),
            runs => format!("{runs} runs"),
        },
        escaped(&last.started)
    );
    let goals = if last.missed_goals.is_empty() {
        "<p class=\"goals right\">Every goal is met.</p>\n".to_owned()
    } else {
        let missed: Vec<String> = last.missed_goals.iter().map(|goal| escaped(goal)).collect();
        format!(
            "<p class=\"goals wrong\">Goals missed: {}</p>\n",
            missed.join("; ")
        )
    };
    body.push_str(&goals);
    let all = |session: &Session| session.rules.first()?.of("all").cloned();
    let (now, then) = (all(last).unwrap_or_default(), before.and_then(all));
    body.push_str("<div class=\"cards\">");
    for (title, text, change) in [
        card(
            "precision",
            share,
            &now,
            then.as_ref(),
            |f| f.precision,
            100.0,
        ),
        card("recall", share, &now, then.as_ref(), |f| f.recall, 100.0),
        card(
            "error of the shares",
            points,
            &now,
            then.as_ref(),
            |f| f.share_error_points,
            1.0,
        ),
        card(
            "to the right verdict",
            seconds,
            &now,
            then.as_ref(),
            |f| f.seconds_to_right,
            1.0,
        ),
    ] {
        let _ = writeln!(
            body,
            "<div class=\"card\"><small>{title}</small><b>{text}</b><small>{change}</small></div>"
        );
    }
    body.push_str("</div>\n");
}

fn points(value: Option<f64>) -> String {
    amount(value, "points")
}

fn seconds(value: Option<f64>) -> String {
    amount(value, "s")
}

/// Title, figure, and its change since the run before; `scale` makes the figure's unit of it.
fn card(
    title: &'static str,
    text: fn(Option<f64>) -> String,
    now: &Figures,
    then: Option<&Figures>,
    of: fn(&Figures) -> Option<f64>,
    scale: f64,
) -> (&'static str, String, String) {
    let change = match (of(now), then.and_then(of)) {
        (Some(now), Some(then)) => format!("{:+.1} since the run before", (now - then) * scale),
        _ => String::new(),
    };
    (title, text(of(now)), change)
}

/// The metrics over all sessions, with one legend for all.
fn over_time(body: &mut String, sessions: &[Session]) -> Result<(), PlotError> {
    let names: BTreeSet<String> = sessions.iter().flat_map(resources).collect();
    let mut names: Vec<String> = names.into_iter().collect();
    // What sums up comes first, so that it has the first colour whatever else is there.
    names.sort_by_key(|name| name != "all");
    names.truncate(MOST_SERIES);
    let mut content = String::from("<p class=\"legend\">");
    for (at, name) in names.iter().enumerate() {
        let _ = write!(
            content,
            "<span class=\"series{at}\">{}</span>",
            escaped(name)
        );
    }
    content.push_str("<span class=\"goal\">goal</span></p>\n<div class=\"plots\">\n");
    for metric in &METRICS {
        let plot = over_sessions(metric, sessions, &names)?;
        let _ = writeln!(
            content,
            "<figure><figcaption><b>{}</b> <small>{}</small></figcaption>{plot}</figure>",
            metric.title, metric.unit
        );
    }
    content.push_str("</div>");
    section(body, "Over runs", &content);
    Ok(())
}

fn confidence(session: &Session) -> Result<String, PlotError> {
    if session.calibration.is_empty() {
        return Ok("<p>Nobody was accused.</p>".to_owned());
    }
    let brier = session.brier.map_or_else(String::new, |brier| {
        format!(" Brier score {brier:.3}: 0 is perfect, 0.25 a coin.")
    });
    Ok(format!(
        "<figure class=\"square\">{}<figcaption><small>Across: the confidence that was said. Up: the part of these \
         verdicts that was right. On the line it is honest; larger dots are more verdicts.{brier}</small>\
         </figcaption></figure>",
        calibration(&session.calibration)?
    ))
}
