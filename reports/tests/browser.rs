//! The report page of the bench of truth in a real browser: nothing is loaded, nothing fails, and no
//! label of a plot lies on another. Left out where there is no Chromium.

use anyhow::{Context, Result, ensure};
use dunnage_reports::truth::{Bin, Figures, Outcome, Rule, Scenario, Session, page};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the page is asked in the browser; the answer stands in its body.
const QUESTION: &str = "<script>addEventListener('load',()=>{
const boxes=[...document.querySelectorAll('svg')].map(s=>[...s.querySelectorAll('text')].map(t=>t.getBoundingClientRect()));
let over=0;for(const b of boxes)for(let i=0;i<b.length;i++)for(let j=0;j<i;j++)
if(b[i].left<b[j].right&&b[j].left<b[i].right&&b[i].top<b[j].bottom&&b[j].top<b[i].bottom)over++;
const wide=document.documentElement.scrollWidth-document.documentElement.clientWidth;
document.body.textContent='ANSWER plots '+boxes.length+' overlapping '+over+' wider '+wide+
' loaded '+performance.getEntriesByType('resource').length+' END'})</script>";

#[test]
fn the_report_page_in_a_browser() -> Result<()> {
    let Some(browser) = browser() else {
        eprintln!("LEFT OUT: no chromium is installed");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    for sessions in [1, 4, 30] {
        let text = page(&(0..sessions).map(session).collect::<Vec<_>>())?;
        // The page's policy forbids scripts, the test's own as well.
        let asked = text
            .replacen(
                "http-equiv=\"Content-Security-Policy\"",
                "name=\"policy\"",
                1,
            )
            .replacen("</body>", &format!("{QUESTION}</body>"), 1);
        let file = folder.path().join("page.html");
        fs::write(&file, asked)?;
        for width in [1200, 420] {
            let answer = ask(&browser, &file, folder.path(), width)?;
            ensure!(
                answer == "plots 5 overlapping 0 wider 0 loaded 0",
                "{sessions} sessions, {width} pixels wide: {answer}"
            );
        }
    }
    Ok(())
}

fn browser() -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    names.into_iter().find(found).map(str::to_owned)
}

fn ask(browser: &str, file: &Path, folder: &Path, width: u32) -> Result<String> {
    let output = Command::new("timeout")
        .args(["60", browser, "--headless", "--no-sandbox", "--disable-gpu"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--disable-sync",
            "--no-first-run",
            "--disable-quic",
            "--dump-dom",
        ])
        .arg(format!("--window-size={width},2000"))
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .with_context(|| format!("starting {browser}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = text
        .split_once("ANSWER ")
        .and_then(|(_, rest)| rest.split_once(" END"));
    let (answer, _) = answer.with_context(|| {
        format!(
            "the browser ended with {} and no answer: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    Ok(answer.to_owned())
}

fn session(number: usize) -> Session {
    let step = number as f64 / 40.0;
    let figures = |offset: f64| Figures {
        scenarios: 20,
        precision: Some((0.6 + step + offset).min(1.0)),
        recall: Some((0.4 + step + offset).min(1.0)),
        share_error_points: Some(30.0 - 20.0 * step + offset),
        seconds_to_right: Some(1.0 + 10.0 * offset),
        ..Figures::default()
    };
    let names = [
        "cpu",
        "disk",
        "memory",
        "network",
        "interrupts",
        "mixed",
        "all",
    ];
    let resources = |offset: f64| {
        let each = names.iter().enumerate();
        each.map(|(at, name)| ((*name).to_owned(), figures(at as f64 * offset)))
            .collect()
    };
    let rule = |name: &str, offset| Rule {
        name: name.to_owned(),
        resources: resources(offset),
    };
    Session {
        started: format!("2026-11-21T{number:02}:00:00Z"),
        version: "0.1.0".to_owned(),
        host: "Linux 6.18, 2 CPUs".to_owned(),
        runs: 3,
        missed_goals: vec!["recall of disk is 0.91, below 0.95".to_owned()],
        rules: vec![rule("dunnage", 0.03), rule("sort by use", 0.01)],
        calibration: vec![
            Bin {
                said: 0.5,
                right: 0.4,
                verdicts: 3,
            },
            Bin {
                said: 0.95,
                right: 0.97,
                verdicts: 90,
            },
        ],
        brier: Some(0.05),
        scenarios: vec![Scenario {
            name: "a name <b>of another's choice</b> that goes on".repeat(5),
            resource: "disk".to_owned(),
            class: "neighbour".to_owned(),
            outcome: Outcome::Missed,
            latency: Some((0.002, 0.02)),
            share_error_points: Some(31.0),
            seconds_to_right: None,
            notes: vec!["a-word-without-any-place-to-break-it".repeat(12)],
        }],
    }
}
