//! The device plugin beside others of its kind, before a kubelet that tells when what happened: how soon
//! it is there and back, what it holds in memory, how fast it answers, whether it is quiet when nothing
//! happens. In interleaved rounds, all in one run.

mod contenders;
mod process;
mod stage;

use crate::figures::{Table, median, spread};
use anyhow::{Context, ensure};
use contenders::{CONTENDERS, Contender};
use dunnage_plugin_testing::{Known, Kubelet, allocate};
use process::Plugin;
use stage::Stage;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a plugin is waited for: some come back by a timer of seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is promised of Dunnage's, in milliseconds and MiB.
const FIRST_LIST: f64 = 10.0;
const BACK: f64 = 25.0;
const RESIDENT: f64 = 8.0;
const ALLOCATE: f64 = 0.3;

/// Start and memory grow with the devices, and are promised up to this number.
const PROMISED_UP_TO: usize = 64;

const START: &str = "exec to first list";
const MEMORY: &str = "resident";

/// What is measured.
pub(crate) struct Options {
    pub(crate) binary: PathBuf,
    pub(crate) devices: Vec<usize>,
    pub(crate) rounds: u32,
    pub(crate) restarts: u32,
    pub(crate) calls: u32,
    pub(crate) idle: Duration,
    pub(crate) only: Vec<String>,
}

/// What was seen of one plugin; times in milliseconds, memory in MiB.
#[derive(Default)]
struct Seen {
    registered: Vec<f64>,
    first_list: Vec<f64>,
    back: Vec<f64>,
    allocate: Vec<f64>,
    resident: Vec<f64>,
    most: Vec<f64>,
    switches: Vec<f64>,
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<Table> {
    let stage = Stage::set()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let contenders: Vec<&Contender> = CONTENDERS
        .iter()
        .filter(|one| {
            one.is_ours()
                || options.only.is_empty()
                || options.only.iter().any(|name| name == one.name)
        })
        .collect();
    let mut table = Table::new();
    for count in &options.devices {
        stage.put_devices(*count)?;
        let mut seen: Vec<Result<Seen, String>> =
            contenders.iter().map(|_| Ok(Seen::default())).collect();
        for _ in 0..options.rounds {
            for (contender, seen) in contenders.iter().zip(&mut seen) {
                let Ok(figures) = seen else { continue };
                let round = runtime.block_on(one(contender, &stage, *count, options, figures));
                if let Err(error) = round {
                    ensure!(!contender.is_ours(), "{error:#}");
                    *seen = Err(format!("{error:#}"));
                }
            }
        }
        tell(&mut table, *count, &contenders, &seen);
    }
    Ok(table)
}

/// One start of one plugin, and all that is asked of it.
async fn one(
    contender: &Contender,
    stage: &Stage,
    count: usize,
    options: &Options,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let command = contender.command(stage, &options.binary, count)?;
    let mut kubelet = Kubelet::start(&stage.sockets()).await;
    let began = Instant::now();
    let plugin = Plugin::start(command)?;
    let known = listed(&kubelet, contender.resource).await?;
    let listed_devices = known.list.as_ref().map_or(0, |list| list.devices.len());
    ensure!(
        listed_devices == count,
        "{listed_devices} devices of {count} were listed"
    );
    let since = |at: Option<Instant>| at.map(|at| millis(at.saturating_duration_since(began)));
    seen.registered.extend(since(known.registered));
    seen.first_list.extend(since(known.at));
    let ids: Vec<String> = known
        .list
        .iter()
        .flat_map(|list| list.devices.iter().map(|device| device.id.clone()))
        .collect();
    let mut connection = kubelet.plugin(contender.resource).await;
    for id in ids.iter().cycle().take(options.calls as usize) {
        let asked = Instant::now();
        let answer = allocate(&mut connection, &[id.as_str()]).await?;
        seen.allocate.push(millis(asked.elapsed()));
        ensure!(answer.container_responses.len() == 1, "no answer for {id}");
    }
    drop(connection);
    for _ in 0..options.restarts {
        kubelet.kill().await;
        kubelet = Kubelet::start(&stage.sockets()).await;
        let known = listed(&kubelet, contender.resource).await?;
        let at = known.at.unwrap_or(kubelet.started);
        seen.back
            .push(millis(at.saturating_duration_since(kubelet.started)));
    }
    if seen.switches.is_empty() && !options.idle.is_zero() {
        // What the last restart left to be done is no part of idling.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = plugin.switches()?;
        tokio::time::sleep(options.idle).await;
        seen.switches.push((plugin.switches()? - before) as f64);
    }
    seen.resident.push(plugin.memory_mib("VmRSS:")?);
    seen.most.push(plugin.memory_mib("VmHWM:")?);
    Ok(())
}

async fn listed(kubelet: &Kubelet, resource: &str) -> anyhow::Result<Known> {
    let is_listed = |known: &Known| {
        known
            .list
            .as_ref()
            .is_some_and(|list| !list.devices.is_empty())
    };
    let known = kubelet.within(PATIENCE, resource, is_listed).await;
    known.with_context(|| format!("{resource} was not listed within {} s", PATIENCE.as_secs()))
}

fn tell(table: &mut Table, count: usize, contenders: &[&Contender], seen: &[Result<Seen, String>]) {
    type Row = (
        &'static str,
        &'static str,
        Option<f64>,
        fn(&Seen) -> Option<(f64, String)>,
    );
    const ROWS: &[Row] = &[
        ("exec to registered", "ms", None, |seen| {
            middle(&seen.registered)
        }),
        (START, "ms", Some(FIRST_LIST), |seen| {
            middle(&seen.first_list)
        }),
        (
            "kubelet's socket to list, after restarts",
            "ms",
            None,
            |seen| middle(&seen.back),
        ),
        ("the same, 99th percentile", "ms", Some(BACK), |seen| {
            late(&seen.back)
        }),
        (MEMORY, "MiB", Some(RESIDENT), |seen| middle(&seen.resident)),
        ("resident at most", "MiB", None, |seen| middle(&seen.most)),
        ("Allocate", "ms", None, |seen| middle(&seen.allocate)),
        ("Allocate, 99th percentile", "ms", Some(ALLOCATE), |seen| {
            late(&seen.allocate)
        }),
        ("context switches while idle", "", Some(0.0), |seen| {
            middle(&seen.switches)
        }),
    ];
    let ours = contenders
        .iter()
        .zip(seen)
        .find(|(contender, _)| contender.is_ours())
        .and_then(|(_, seen)| seen.as_ref().ok());
    for (what, unit, promised, of) in ROWS {
        for (contender, seen) in contenders.iter().zip(seen) {
            let Some((value, note)) = seen.as_ref().ok().and_then(of) else {
                continue;
            };
            let our_value = ours.and_then(of).map(|(value, _)| value);
            let grows = *what == START || *what == MEMORY;
            let ratio = match our_value {
                Some(own) if !contender.is_ours() && own > 0.0 => {
                    format!("{:.1} times ours; ", value / own)
                }
                _ => String::new(),
            };
            table.add(
                format!("{}, {count} devices: {what}", contender.name),
                value,
                unit,
                promised.filter(|_| contender.is_ours() && (!grows || count <= PROMISED_UP_TO)),
                format!("{ratio}{note}"),
            );
        }
    }
    for (contender, seen) in contenders.iter().zip(seen) {
        if let Err(why) = seen {
            table.leave_out(format!("{}, {count} devices", contender.name), why);
        }
    }
}

fn middle(values: &[f64]) -> Option<(f64, String)> {
    (!values.is_empty()).then(|| (median(values), spread(values)))
}

/// The 99th percentile: of fewer than 100 values the largest.
fn late(values: &[f64]) -> Option<(f64, String)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * 99).div_ceil(100).checked_sub(1)?;
    Some((*sorted.get(place)?, format!("of {}", sorted.len())))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
