//! The documents of several runs as the values that the report page draws.

use super::document::{ExpectedOutcome, Figures, Outcome, TruthDocument};
use anyhow::{Context, ensure};
use dunnage_reports::truth as page;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A run of all scenarios takes some 300 KiB.
const MOST_BYTES: u64 = 64 << 20;

/// Makes the page of all runs that lie in `store`.
pub(crate) fn write(store: &Path, to: &Path) -> anyhow::Result<()> {
    let sessions = read(store)?;
    let text = page::page(&sessions)?;
    fs::write(to, text).with_context(|| format!("writing {}", to.display()))?;
    println!("{}: {} runs", to.display(), sessions.len());
    Ok(())
}

/// Every document in a folder; what is none is said and passed over.
fn read(store: &Path) -> anyhow::Result<Vec<page::Session>> {
    let entries = fs::read_dir(store).with_context(|| {
        format!(
            "reading {}: `dunnage-bench truth --json FILE` writes a run there",
            store.display()
        )
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let mut sessions = Vec::new();
    for file in files {
        match document(&file) {
            Ok(document) => sessions.push(session(&document)),
            Err(why) => eprintln!("dunnage-bench: passing over {}: {why:#}", file.display()),
        }
    }
    Ok(sessions)
}

fn document(file: &Path) -> anyhow::Result<TruthDocument> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= MOST_BYTES,
        "it is larger than {MOST_BYTES} bytes"
    );
    let document: TruthDocument =
        serde_json::from_slice(&bytes).context("it is no document of the bench of truth")?;
    ensure!(
        document.schema == "dunnage.truth/1",
        "its schema is {:?}",
        document.schema
    );
    Ok(document)
}

fn session(document: &TruthDocument) -> page::Session {
    let rule = |name: &str, resources: &_| page::Rule {
        name: name.to_owned(),
        resources: figures(resources),
    };
    let mut rules = vec![rule("dunnage", &document.resources)];
    rules.extend(document.rules.iter().map(|(name, by)| rule(name, by)));
    page::Session {
        started: document.started.clone(),
        version: document.dunnage.trim_start_matches("dunnage ").to_owned(),
        host: format!("Linux {}, {} CPUs", document.kernel, document.cpus),
        runs: document.runs.len(),
        missed_goals: document.missed_goals.clone(),
        rules,
        calibration: document
            .calibration
            .iter()
            .filter(|bin| bin.verdicts > 0)
            .map(|bin| page::Bin {
                said: bin.said,
                right: bin.right,
                verdicts: bin.verdicts,
            })
            .collect(),
        brier: document.brier,
        scenarios: document.runs.iter().flatten().map(scenario).collect(),
    }
}

fn figures(by: &std::collections::BTreeMap<String, Figures>) -> Vec<(String, page::Figures)> {
    by.iter()
        .map(|(resource, figures)| {
            let figures = page::Figures {
                scenarios: figures.scenarios,
                void: figures.void,
                abstained: figures.abstained,
                wrong: figures.wrong,
                missed: figures.missed,
                precision: figures.precision,
                recall: figures.recall,
                share_error_points: figures.share_error_mean,
                seconds_to_right: figures.seconds_to_right_median,
            };
            (resource.clone(), figures)
        })
        .collect()
}

fn scenario(outcome: &Outcome) -> page::Scenario {
    let share_error =
        |expected: &ExpectedOutcome| Some((expected.share_said? - expected.share?).abs() * 100.0);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.max_by(f64::total_cmp);
    let felt = &outcome.felt;
    page::Scenario {
        name: outcome.name.clone(),
        resource: outcome.resource.clone(),
        class: outcome.class.clone(),
        outcome: came_out(outcome),
        latency: felt
            .ratio()
            .map(|_| (felt.calm_seconds, felt.disturbed_seconds)),
        share_error_points: largest(&mut outcome.expected.iter().filter_map(share_error)),
        seconds_to_right: largest(&mut outcome.expected.iter().filter_map(|e| e.seconds_to_right)),
        notes: notes(outcome),
    }
}

fn came_out(outcome: &Outcome) -> page::Outcome {
    if outcome.void.is_some() {
        page::Outcome::Void
    } else if !outcome.wrong.is_empty() || outcome.abstained == Some(false) {
        page::Outcome::Wrong
    } else if outcome.expected.iter().any(|expected| !expected.found) {
        page::Outcome::Missed
    } else if outcome.abstained == Some(true) {
        page::Outcome::Abstained
    } else {
        page::Outcome::Right
    }
}

/// What went otherwise than labelled, a sentence each.
fn notes(outcome: &Outcome) -> Vec<String> {
    let mut notes: Vec<String> = outcome.void.iter().cloned().collect();
    for wrong in &outcome.wrong {
        notes.push(format!(
            "accused {} of harming {} ({}, {}) in {} windows, of {:.2} s, first {:.1} s after the onset: {}",
            wrong.culprit,
            wrong.victim,
            wrong.resource,
            wrong.cause,
            wrong.windows,
            wrong.seconds,
            wrong.at,
            wrong.evidence
        ));
    }
    for expected in &outcome.expected {
        if !expected.found {
            notes.push(format!(
                "{} loses {} to {} ({}): named in {} of {} windows",
                expected.victim,
                expected.resource,
                expected.culprit,
                expected.cause,
                expected.named,
                expected.windows
            ));
        } else if let (Some(said), Some(share)) = (expected.share_said, expected.share) {
            notes.push(format!(
                "{}: {:.0} % said, {:.0} % true",
                expected.culprit,
                said * 100.0,
                share * 100.0
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::document::WrongOutcome;

    #[test]
    fn the_worse_word_wins() {
        let missed = ExpectedOutcome::default();
        let mut outcome = Outcome {
            expected: vec![missed],
            ..Outcome::default()
        };
        assert_eq!(came_out(&outcome), page::Outcome::Missed);
        outcome.wrong = vec![WrongOutcome::default()];
        assert_eq!(came_out(&outcome), page::Outcome::Wrong);
        outcome.void = Some("the victim was not harmed".to_owned());
        assert_eq!(came_out(&outcome), page::Outcome::Void);
        assert_eq!(came_out(&Outcome::default()), page::Outcome::Right);
    }

    #[test]
    fn files_that_are_no_documents_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "{\"schema\":1}").unwrap();
        fs::write(folder.path().join("b.txt"), "not looked at").unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        let to = folder.path().join("page.html");
        write(folder.path(), &to).unwrap();
        assert!(fs::read_to_string(to).unwrap().contains("no runs yet"));
        assert!(read(&folder.path().join("absent")).is_err());
    }
}
