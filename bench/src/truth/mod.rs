//! The bench of truth: labelled situations on real cgroups, and how often Dunnage is right.
//!
//! A scenario is played on this host by workloads that measure themselves. One `dunnage blame
//! --watch` looks on. What it says is held against the label; whether the label came true is told by
//! the victim's own latencies, so that the truth does not come from the judge.

mod clock;
mod containers;
mod document;
mod heard;
mod homes;
mod links;
mod meter;
mod part;
mod print;
pub(crate) mod report;
mod roles;
mod rules;
mod scenario;
mod scenarios;
mod score;
mod softirqs;
mod stage;
mod summary;
mod watch;
mod workers;

pub(crate) use part::{PartArguments, play};
pub(crate) use roles::burn;

use crate::figures::Output;
use anyhow::{Context, ensure};
use clap::Args;
use document::{FeltOutcome, Outcome, TruthDocument};
use rules::last::LastProgram;
use scenario::{SETTLE, Scenario};
use stage::{Played, Stage};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use summary::By;
use watch::Watch;

/// Seconds at the start of the disturbed phase that count for neither: the change itself.
const CHANGE: f64 = 0.2;

/// Exit code where a goal is missed.
const MISSED: u8 = 1;

/// The command's arguments.
#[derive(Args, Debug)]
pub(crate) struct TruthArguments {
    /// The dunnage binary
    #[arg(long, default_value = "target/release/dunnage")]
    binary: PathBuf,
    /// Only scenarios whose name contains one of these
    #[arg(long, value_name = "NAME-PART", value_delimiter = ',')]
    only: Vec<String>,
    /// Only scenarios about this resource
    #[arg(long)]
    resource: Option<String>,
    /// Only the short run of the test command
    #[arg(long)]
    subset: bool,
    /// How often everything is played
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// The window of `dunnage blame --watch`
    #[arg(long, default_value = "1s")]
    window: String,
    /// Play ordinary mixed load without harm for so long instead, such as 30m; nobody may be accused
    #[arg(long, value_name = "DURATION", value_parser = roles::duration)]
    mixed_load: Option<Duration>,
    /// Print the names of the scenarios and play none
    #[arg(long)]
    list: bool,
}

/// Plays, scores, prints.
pub(crate) fn measure(arguments: &TruthArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let scenarios = arguments.mixed_load.map_or_else(
        || chosen(arguments),
        |length| vec![scenarios::mixed_load(length.as_secs_f64())],
    );
    ensure!(!scenarios.is_empty(), "no scenario is called so");
    for scenario in &scenarios {
        scenario.check()?;
    }
    if arguments.list {
        for scenario in &scenarios {
            println!("{:<34} {}", scenario.name, scenario.label.class());
        }
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the scenarios make cgroups: run this as root"
    );
    let started = jiff::Timestamp::now().to_string();
    let mut stage = Stage::new()?;
    let last = match LastProgram::load() {
        Ok(last) => Some(last),
        Err(error) => {
            eprintln!("without the rule of who ran last: {error:#}");
            None
        }
    };
    let mut runs = Vec::new();
    for _ in 0..arguments.runs {
        let watch = Watch::start(&arguments.binary, &arguments.window)?;
        let mut run = Vec::new();
        for scenario in &scenarios {
            let outcome = play_one(scenario, &mut stage, &watch, last.as_ref())
                .with_context(|| format!("the scenario {}", scenario.name))?;
            // Standard output is the document's.
            eprint!("{}", print::outcome(&outcome));
            run.push(outcome);
        }
        runs.push(run);
    }
    let document = document(started, version(&arguments.binary)?, runs)?;
    output.put(&document, || print::document(&document))?;
    Ok(if document.goals_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(MISSED)
    })
}

fn chosen(arguments: &TruthArguments) -> Vec<Scenario> {
    let named = |scenario: &Scenario| {
        let parts = &arguments.only;
        parts.is_empty() || parts.iter().any(|part| scenario.name.contains(part))
    };
    let about = |scenario: &Scenario| {
        let resource = arguments.resource.as_deref();
        resource.is_none_or(|resource| scenario.resource.as_str() == resource)
    };
    let mut all = scenarios::all();
    all.retain(|s| named(s) && about(s) && (!arguments.subset || s.subset));
    all
}

fn play_one(
    scenario: &Scenario,
    stage: &mut Stage,
    watch: &Watch,
    last: Option<&LastProgram>,
) -> anyhow::Result<Outcome> {
    let played = stage.play(scenario)?;
    let end = played.began + clock::from_seconds(scenario.end());
    let heard: Vec<heard::Heard> = watch
        .windows_until(end)?
        .iter()
        .map(|window| heard::heard(window, scenario, &played))
        .collect();
    let truth = score::Truth {
        felt: felt(scenario, &played),
        outside: outside(&played),
    };
    let mut outcome = score::score(scenario, &heard, &truth);
    let last = last.map(|last| last.read(&played)).transpose()?;
    outcome.rules = rules::said(scenario, &played, &outcome, last.as_ref());
    Ok(outcome)
}

/// Each actor's own measure of the two phases.
fn felt(scenario: &Scenario, played: &Played) -> Vec<FeltOutcome> {
    let at = |seconds: f64| played.began + clock::from_seconds(seconds);
    let onset = scenario.onset();
    let actors = played.actors.iter().map(|actor| {
        let calm = meter::measured(&actor.records, at(SETTLE), at(onset));
        let disturbed = meter::measured(&actor.records, at(onset + CHANGE), at(scenario.end()));
        FeltOutcome {
            calm_operations: calm.operations,
            calm_seconds: calm.mean,
            disturbed_operations: disturbed.operations,
            disturbed_seconds: disturbed.mean,
            calm_p99_seconds: calm.p99,
            disturbed_p99_seconds: disturbed.p99,
        }
    });
    actors.collect()
}

/// CPU time that others than those who take part had used, look by look, in seconds of the script.
fn outside(played: &Played) -> Vec<(f64, f64)> {
    let began = clock::seconds(played.began);
    let looks = played.looks.iter().map(|look| {
        let own: f64 = look.used.iter().map(|used| used.cpu).sum();
        (clock::seconds(look.at) - began, look.machine_cpu - own)
    });
    looks.collect()
}

fn document(
    started: String,
    dunnage: String,
    runs: Vec<Vec<Outcome>>,
) -> anyhow::Result<TruthDocument> {
    let outcomes: Vec<&Outcome> = runs.iter().flatten().collect();
    let resources = summary::by_resource(&outcomes, By::Dunnage);
    let names = outcomes.iter().flat_map(|outcome| outcome.rules.keys());
    let rules = names
        .map(|rule| {
            (
                rule.clone(),
                summary::by_resource(&outcomes, By::Rule(rule)),
            )
        })
        .collect();
    let (calibration, brier) = summary::calibration(&outcomes);
    let missed_goals = summary::missed_goals(&resources);
    Ok(TruthDocument {
        schema: "dunnage.truth/1".to_owned(),
        started,
        dunnage,
        kernel: nix::sys::utsname::uname()?
            .release()
            .to_string_lossy()
            .into_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        goals_met: missed_goals.is_empty(),
        missed_goals,
        resources,
        rules,
        calibration,
        brier,
        runs,
    })
}

fn version(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
