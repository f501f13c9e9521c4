//! Runs one scenario and holds the verdict against its label and against the kernel's own numbers.

use super::scenarios::{Expect, Home, Place, Role, Scenario};
use anyhow::{Context, Result, bail, ensure};
use dunnage_tests::document::{
    accusations, accused, at, cleared, list, name, number, summary, text, verdicts,
};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::engine::{Container, Engine, Spec};
use dunnage_tests::load::HostLoad;
use dunnage_tests::machine::{emulated, machine, schedstat, settles, stolen_seconds, two_cpus};
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

/// How long the user waits at most, from the command to the verdict.
const PATIENCE: Duration = Duration::from_secs(12);

pub(super) fn check(
    engine: impl FnOnce() -> Result<&'static dyn Engine>,
    scenario: &Scenario,
) -> Result<()> {
    let _alone = machine()?;
    let engine = engine()?;
    let quiet = settles()?;
    let started = Started::all(engine, scenario)?;
    // The first rounds of a load find out how fast the CPU is.
    sleep(Duration::from_millis(1500));

    let stolen_before = stolen_seconds()?;
    let before = started.run_delays();
    let window = format!("{}s", scenario.window);
    let outcome = dunnage(&["blame", "--json", "--for", &window])
        .with(&engine.arguments())
        .run()?;
    let after = started.run_delays();
    let stolen = stolen_seconds()? - stolen_before;
    ensure!(
        outcome.status == Some(0),
        "blame exits {:?}: {}{}",
        outcome.status,
        outcome.text(),
        outcome.stderr
    );
    ensure!(
        emulated() || outcome.took <= PATIENCE,
        "the verdict took {:?}",
        outcome.took
    );
    let blame = outcome.json()?;

    let judged = judge(&blame, scenario, quiet, stolen);
    judged.with_context(|| {
        format!("run delay rose from {before:?} to {after:?}\nstandard error:\n{}\nthe document, in short:\n{}", outcome.stderr, summary(&blame))
    })?;
    if let Expect::Harmed { victim, .. } = scenario.expect {
        let outside = outcome.took.as_secs_f64() - f64::from(scenario.window);
        truthful(&blame, victim, delay_of(&before, &after, victim)?, outside)?;
    }
    Ok(())
}

/// The workloads of a scenario while they run.
struct Started<'e> {
    containers: Vec<Container<'e>>,
    /// Only held, to be ended with the scenario.
    _processes: Vec<HostLoad>,
}

impl<'e> Started<'e> {
    fn all(engine: &'e dyn Engine, scenario: &Scenario) -> Result<Started<'e>> {
        let mut started = Started {
            containers: Vec::new(),
            _processes: Vec::new(),
        };
        for role in scenario.roles {
            let cpus = cpus(role.place)?;
            match role.home {
                Home::Container => started
                    .containers
                    .push(Container::start(engine, &spec(role, &cpus))?),
                Home::Host => {
                    let words: Vec<&str> = role.load.split_whitespace().collect();
                    started._processes.push(HostLoad::start(&cpus, &words)?);
                }
            }
        }
        Ok(started)
    }

    /// Run delay so far of each container's first process, in seconds.
    fn run_delays(&self) -> Vec<(String, f64)> {
        let delay = |container: &Container<'_>| {
            Some((container.name.clone(), schedstat(container.pid).ok()?.1))
        };
        self.containers.iter().filter_map(delay).collect()
    }
}

fn cpus(place: Place) -> Result<String> {
    let [first, second] = two_cpus()?;
    Ok(match place {
        Place::First => first.to_string(),
        Place::Second => second.to_string(),
        Place::Both => format!("{first},{second}"),
    })
}

fn spec(role: &Role, cpus: &str) -> Spec {
    Spec {
        shares: role.shares,
        quota: role.quota,
        ..Spec::new(role.name, role.load).on(cpus)
    }
}

fn delay_of(before: &[(String, f64)], after: &[(String, f64)], victim: &str) -> Result<f64> {
    let of = |delays: &[(String, f64)]| {
        delays
            .iter()
            .find(|(name, _)| name == victim)
            .map(|(_, seconds)| *seconds)
    };
    Ok(of(after).with_context(|| format!("{victim} ended too early"))? - of(before).unwrap_or(0.0))
}

/// Holds the document against the label. The hypervisor took `stolen` seconds from the machine.
fn judge(blame: &Value, scenario: &Scenario, quiet: bool, stolen: f64) -> Result<()> {
    ensure!(
        text(blame, "coverage.cpu")? == "exact",
        "coverage of the CPU is {:?}, not exact",
        text(blame, "coverage.cpu")?
    );
    for verdict in list(blame, "verdicts")? {
        well_formed(verdict)?;
    }
    let innocent = |guilty: &[&str]| -> Result<()> {
        for role in scenario.roles {
            let harmed = scenario
                .roles
                .iter()
                .map(|victim| accused_by(blame, victim.name));
            let accused: Vec<&str> = harmed.collect::<Result<Vec<_>>>()?.concat();
            ensure!(
                guilty.contains(&role.name) || !accused.contains(&role.name),
                "{} is accused and innocent",
                role.name
            );
        }
        Ok(())
    };
    match &scenario.expect {
        Expect::Harmed {
            victim,
            cause,
            culprits,
        } => {
            let guilty: Vec<&str> = culprits.iter().map(|(name, _)| *name).collect();
            innocent(&guilty)?;
            harmed(blame, victim, cause, culprits)
        }
        Expect::HeldBack { victim, limit } => {
            innocent(&[])?;
            ensure!(
                accusations(blame, victim)?.is_empty(),
                "somebody else is accused of what {victim}'s own limit did"
            );
            let own = verdicts(blame, victim, &["self"])?;
            let verdict = own.first().with_context(|| {
                format!("no verdict says that {victim} is held back by its own limit")
            })?;
            ensure!(
                text(verdict, "facts.limit")? == *limit,
                "the limit is {:?}, not {limit:?}",
                text(verdict, "facts.limit")?
            );
            let culprit = list(verdict, "culprits")?
                .first()
                .context("the verdict names no culprit")?;
            ensure!(
                name(at(culprit, "party")?) == *victim,
                "the culprit of its own limit is the victim"
            );
            Ok(())
        }
        Expect::Nobody {
            cleared: expected,
            everybody,
        } => {
            innocent(&[])?;
            let without_cause = accused_without_steal(blame, stolen)?;
            ensure!(
                !(*everybody && quiet) || without_cause.is_empty(),
                "{without_cause:?} are accused on a quiet host, from which {stolen} s were stolen",
            );
            for role in scenario.roles {
                ensure!(
                    accusations(blame, role.name)?.is_empty(),
                    "somebody is accused of harming {}, which nobody harms",
                    role.name
                );
            }
            // One that does delay a daemon of the host, which is none of the scenario's, is not cleared.
            let (cleared, accused) = (cleared(blame)?, accused(blame)?);
            for name in *expected {
                ensure!(
                    cleared.contains(name) || accused.contains(name),
                    "{name} looks guilty and is not among the cleared {cleared:?}"
                );
            }
            Ok(())
        }
    }
}

/// Those who are accused of harming one of the scenario's own. Whom else they harm is another story:
/// who fills a CPU does delay the daemons that wake up on it.
fn accused_by<'v>(blame: &'v Value, victim: &str) -> Result<Vec<&'v str>> {
    let mut names = Vec::new();
    for verdict in accusations(blame, victim)? {
        for culprit in list(verdict, "culprits")? {
            names.push(name(at(culprit, "party")?));
        }
    }
    Ok(names)
}

/// Everybody who is accused of anything but what the kernel counted too, to the tick of 10 ms: the
/// hypervisor takes CPUs away from a quiet host as well.
fn accused_without_steal(blame: &Value, stolen: f64) -> Result<Vec<&str>> {
    let mut names = Vec::new();
    for verdict in list(blame, "verdicts")? {
        let cause = text(verdict, "cause")?;
        let is_true = cause == "self"
            || cause == "hypervisor"
                && number(verdict, "facts.machine_steal_seconds")? < stolen + 0.01;
        if !is_true {
            for culprit in list(verdict, "culprits")? {
                names.push(name(at(culprit, "party")?));
            }
        }
    }
    Ok(names)
}

fn well_formed(verdict: &Value) -> Result<()> {
    let culprits = list(verdict, "culprits")?;
    let shares: Vec<f64> = culprits
        .iter()
        .map(|culprit| number(culprit, "share"))
        .collect::<Result<_>>()?;
    let sum = shares.iter().sum::<f64>() + number(verdict, "unexplained")?;
    ensure!(
        (sum - 1.0).abs() < 1e-3,
        "shares and unexplained add up to {sum}, not 1: {verdict}"
    );
    ensure!(
        shares.is_sorted_by(|a, b| a >= b),
        "culprits are not sorted by share: {shares:?}"
    );
    for path in ["harm.fraction", "confidence"] {
        let value = number(verdict, path)?;
        ensure!((0.0..=1.0).contains(&value), "{path} is {value}");
    }
    for path in ["evidence", "advice"] {
        ensure!(
            !text(verdict, path)?.is_empty(),
            "{path} is empty: {verdict}"
        );
    }
    Ok(())
}

fn harmed(
    blame: &Value,
    victim: &str,
    cause: &str,
    expected: &[(&str, Option<f64>)],
) -> Result<()> {
    let found = accusations(blame, victim)?;
    let with_cause: Vec<&&Value> = found
        .iter()
        .filter(|verdict| text(verdict, "cause").is_ok_and(|word| word == cause))
        .collect();
    let [verdict] = with_cause[..] else {
        bail!(
            "{} verdicts say that {victim} is harmed by a {cause}, not 1",
            with_cause.len()
        )
    };
    // Who else may appear beside the label: a kernel thread or a daemon that ran for a moment.
    let mut named = 0.0;
    for (culprit, share) in expected {
        let got = share_of(verdict, culprit, cause)?;
        named += got;
        let tolerance = if emulated() { 0.2 } else { 0.1 };
        if let Some(share) = share {
            ensure!(
                (got - share).abs() <= tolerance,
                "{culprit} has {got:.3} of the blame, {share:.3} is right"
            );
        }
    }
    ensure!(
        named > if emulated() { 0.7 } else { 0.9 },
        "the culprits have only {named:.3} of the blame"
    );
    Ok(())
}

/// The share of a culprit. One on the host has the name of its command where it is in the root
/// cgroup, else that of its unit or cgroup.
fn share_of(verdict: &Value, culprit: &str, cause: &str) -> Result<f64> {
    for entry in list(verdict, "culprits")? {
        let party = at(entry, "party")?;
        let right = if cause == "host" {
            on_the_host(party)?
        } else {
            name(party) == culprit && text(party, "kind")? == "container"
        };
        if right {
            return number(entry, "share");
        }
    }
    bail!("{culprit} is not among the culprits")
}

fn on_the_host(party: &Value) -> Result<bool> {
    if text(party, "kind")? != "service" {
        return Ok(false);
    }
    let own = dunnage_tests::machine::read("/proc/self/cgroup")?;
    let in_own_cgroup = |path: &str| path != "/" && own.lines().any(|line| line.ends_with(path));
    Ok(name(party) == "dunnage-load"
        || party
            .get("cgroup")
            .and_then(Value::as_str)
            .is_some_and(in_own_cgroup))
}

/// The wait that the verdict rests on is the one that the kernel counted for the victim around the
/// window, but for what it waited in the seconds `outside`, in which the programs load and take its CPU
/// too. The tests of conservation hold the two against each other in the window alone.
fn truthful(blame: &Value, victim: &str, counted: f64, outside: f64) -> Result<()> {
    let verdict = accusations(blame, victim)?;
    let verdict = verdict.first().context("the verdict was there")?;
    let (waited, harm) = (
        number(verdict, "facts.runqueue_wait_seconds")?,
        number(verdict, "harm.seconds")?,
    );
    ensure!(
        waited <= counted * 1.02 + 0.005 && waited > 0.0 && waited >= counted - outside - 0.02,
        "{victim} waited {waited:.3} s by the verdict, {counted:.3} s by the kernel from {outside:.2} s \
         before the window"
    );
    ensure!(
        harm <= waited * 1.001,
        "harm {harm:.3} s is more than the wait {waited:.3} s"
    );
    Ok(())
}
