//! `devices cdi`: CDI specifications, printed, written once, or kept fresh.

use super::Context;
use super::given::OfferArgs;
use super::output::{Gaps, print_json, print_text, say};
use crate::cdi::{Keeper, Report, Round, Spec, Store, default_directory, shadowed, specs};
use anyhow::bail;
use clap::Args;
use dunnage_inventory::scan;
use dunnage_model::document::{CdiDocument, GapDocument};
use dunnage_model::escape::escaped;
use dunnage_model::gap::Gap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `devices cdi` takes.
#[derive(Clone, Debug, Args)]
pub struct CdiArgs {
    /// Write the specifications into DIR, a file a kind; `-` prints them
    /// [default: /var/run/cdi of the host]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Go on: write them again whenever a device or a driver changes
    #[arg(long)]
    pub watch: bool,

    #[command(flatten)]
    offer: OfferArgs,

    /// Add no groups, for engines that know CDI up to 0.5.0 only, such as Podman 4.3
    #[arg(long)]
    pub without_groups: bool,
}

/// It could not do all of it.
const FAILED: u8 = 1;

/// Where a driver root has its libraries; those of `/` are watched in any case.
const LIBRARY_FOLDERS: &[&str] = &[
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/nvidia/current",
    "usr/lib/aarch64-linux-gnu/nvidia/current",
    "etc/ld.so.cache",
];

pub(super) fn run(context: &Context, args: &CdiArgs) -> anyhow::Result<ExitCode> {
    if args.output.as_deref() == Some(Path::new("-")) {
        if args.watch {
            bail!("--watch keeps files fresh and cannot do so for `--output -`: name a folder");
        }
        return print(context, args);
    }
    let folder = match &args.output {
        Some(folder) => std::path::absolute(folder)?,
        None => default_directory(&context.host),
    };
    if args.watch {
        return watch(context, args, &folder);
    }
    let (specs, gaps) = make(context, args);
    Gaps::default().say(&gaps);
    let round = Round {
        report: Store::open(&folder)?.update(&specs)?,
        gaps,
        ..Round::default()
    };
    tell(context, &folder, &round, false)?;
    let whole = round.report.withheld.is_empty() && round.report.failed.is_empty();
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// The specifications of the host as it is now.
fn make(context: &Context, args: &CdiArgs) -> (Vec<Spec>, Vec<Gap>) {
    let options = args.offer.options();
    let inventory = scan(&context.host, &context.config);
    let (mut specs, missing) = specs(&context.host, &inventory, &options);
    if args.without_groups {
        specs = specs.into_iter().map(Spec::without_groups).collect();
    }
    let mut gaps = inventory.gaps;
    gaps.extend(missing);
    if args.output.is_none() {
        gaps.extend(shadowed(&context.host, &specs));
    }
    (specs, gaps)
}

fn print(context: &Context, args: &CdiArgs) -> anyhow::Result<ExitCode> {
    let (specs, gaps) = make(context, args);
    Gaps::default().say(&gaps);
    for spec in &specs {
        if context.json {
            print_json(spec, true)?;
        } else {
            print_text(&spec.to_json())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn watch(context: &Context, args: &CdiArgs, folder: &Path) -> anyhow::Result<ExitCode> {
    let mut gaps = Gaps::default();
    let watched = watched(context, args, folder);
    let mut keeper = Keeper::open(&context.host, folder, watched, || make(context, args))?;
    let mut round = keeper.refresh()?;
    loop {
        gaps.say(&round.gaps);
        tell(context, folder, &round, true)?;
        round = keeper.wait()?;
    }
}

/// What is watched beside what the specifications name.
fn watched(context: &Context, args: &CdiArgs, folder: &Path) -> Vec<PathBuf> {
    let mut watched = Vec::new();
    // A folder outside of the host's root is nothing that its events tell of.
    let root = context.host.path("/");
    if let Ok(inside) = folder.strip_prefix(&root) {
        watched.push(Path::new("/").join(inside));
    }
    if args.output.is_none() {
        watched.push(PathBuf::from("/etc/cdi"));
    }
    let root = &args.offer.driver_root;
    if root != Path::new("/") {
        watched.push(root.clone());
        watched.extend(LIBRARY_FOLDERS.iter().map(|below| root.join(below)));
    }
    watched
}

/// Says what was done; nothing where nothing was.
fn tell(context: &Context, folder: &Path, round: &Round, stream: bool) -> anyhow::Result<()> {
    let report = &round.report;
    if !context.json || stream {
        for withheld in &report.withheld {
            say(&format!(
                "{} is not written: {}",
                withheld.kind,
                withheld.why()
            ));
        }
        for failed in &report.failed {
            say(&failed.to_string());
        }
    }
    let quiet =
        report.written.is_empty() && report.removed.is_empty() && round.withdrawn.is_empty();
    if stream && quiet && report.failed.is_empty() && report.withheld.is_empty() {
        return Ok(());
    }
    if context.json {
        return print_json(&document(folder, round, stream), stream);
    }
    print_text(&lines(folder, round))
}

fn document(folder: &Path, round: &Round, stream: bool) -> CdiDocument {
    let report = &round.report;
    let withheld = |one: &crate::cdi::Withheld| Gap::new(one.kind.clone(), one.why());
    let failed =
        |one: &crate::cdi::WriteError| Gap::new(one.path.display().to_string(), one.to_string());
    CdiDocument {
        schema: CdiDocument::SCHEMA.into(),
        directory: folder.display().to_string(),
        changes: round.what.clone(),
        seconds: stream.then_some(round.took.as_secs_f64()),
        withdrawn: round.withdrawn.clone(),
        written: report.written.clone(),
        unchanged: report.unchanged.clone(),
        removed: report.removed.clone(),
        withheld: documents(report.withheld.iter().map(withheld)),
        failed: documents(report.failed.iter().map(failed)),
        gaps: documents(round.gaps.iter().cloned()),
    }
}

fn documents(gaps: impl Iterator<Item = Gap>) -> Vec<GapDocument> {
    gaps.map(|gap| GapDocument::from(&gap)).collect()
}

fn lines(folder: &Path, round: &Round) -> String {
    let Report {
        written,
        unchanged,
        removed,
        withheld,
        failed,
    } = &round.report;
    let mut out = String::new();
    for (verb, names) in [
        ("took back", &round.withdrawn),
        ("wrote", written),
        ("left as it is", unchanged),
        ("removed", removed),
    ] {
        for name in names {
            let path = folder.join(name);
            out.push_str(&format!(
                "{verb} {}\n",
                escaped(&path.display().to_string())
            ));
        }
    }
    // What could not be written was said.
    if out.is_empty() && withheld.is_empty() && failed.is_empty() {
        out.push_str("there is no device to write a specification for\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_by_file_and_escaped() {
        let round = Round {
            withdrawn: vec!["b".to_owned()],
            report: Report {
                written: vec!["a\x1b".to_owned()],
                ..Report::default()
            },
            ..Round::default()
        };
        let told = lines(Path::new("/run/cdi"), &round);
        assert_eq!(told, "took back /run/cdi/b\nwrote /run/cdi/a\\x1b\n");
        assert!(lines(Path::new("/x"), &Round::default()).contains("no device"));
        let withheld = crate::cdi::Withheld {
            kind: "a.b/c".to_owned(),
            by: "/x/other.json".into(),
            name: "0".to_owned(),
        };
        let round = Round {
            report: Report {
                withheld: vec![withheld],
                ..Report::default()
            },
            ..Round::default()
        };
        assert_eq!(lines(Path::new("/x"), &round), "");
    }
}
