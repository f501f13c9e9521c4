//! What works for whom: nobody at all, and another user with exactly the two capabilities.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::OwnCgroup;
use dunnage_tests::document::{accusations, list, number, text};
use dunnage_tests::dunnage::{Dunnage, binary, dunnage};
use dunnage_tests::keeper::own_folder;
use dunnage_tests::machine::{machine, two_cpus};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const NOBODY: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
];

const BPF_AND_PERFMON: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all,+bpf,+perfmon",
    "--ambient-caps=-all,+bpf,+perfmon",
    "--bounding-set=-all,+bpf,+perfmon",
];

/// A copy of the binary where every user can read and run it.
struct Copied(PathBuf);

impl Copied {
    fn new() -> Result<Copied> {
        let folder = own_folder("copied")?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let copy = folder.join("dunnage");
        fs::copy(binary()?, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        Ok(Copied(copy))
    }

    fn as_nobody(&self, arguments: &[&str]) -> Dunnage {
        dunnage(arguments)
            .copied_to(self.0.clone())
            .through(&NOBODY)
    }

    fn with_two_capabilities(&self, arguments: &[&str]) -> Dunnage {
        dunnage(arguments)
            .copied_to(self.0.clone())
            .through(&BPF_AND_PERFMON)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn the_helper_gives_exactly_those_capabilities() -> Result<()> {
    let _alone = machine()?;
    for (prefix, expected) in [(NOBODY, 0), (BPF_AND_PERFMON, (1_u64 << 38) | (1 << 39))] {
        let output = Command::new(prefix[0])
            .args(&prefix[1..])
            .args(["cat", "/proc/self/status"])
            .output()?;
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .with_context(|| format!("{prefix:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
        ensure!(
            u64::from_str_radix(effective.trim(), 16)? == expected,
            "{prefix:?} gives {effective}"
        );
        ensure!(
            status.lines().any(|line| line.starts_with("Uid:\t65534")),
            "{prefix:?} runs as another user: {status}"
        );
    }
    Ok(())
}

#[test]
fn without_privilege_ps_and_blame_work_and_say_once_what_is_missing() -> Result<()> {
    let _alone = machine()?;
    let copied = Copied::new()?;
    let scene = Scene::start()?;

    let ps = copied.as_nobody(&["ps", "--json", "--for", "2s"]).json()?;
    let used = usage(&ps, &scene.rival)?;
    ensure!(used > 0.5, "the spinner is charged {used:.3} s in 2 s");

    let outcome = copied
        .as_nobody(&["blame", "--json", "--for", "3s"])
        .run()?;
    ensure!(
        outcome.status == Some(0),
        "blame exits {:?}: {}",
        outcome.status,
        outcome.stderr
    );
    let blame = outcome.json()?;
    let coverage = text(&blame, "coverage.cpu")?;
    ensure!(
        ["correlated", "none"].contains(&coverage),
        "coverage of the CPU is {coverage}"
    );
    let notices: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("CAP_BPF"))
        .collect();
    ensure!(
        notices.len() == 1,
        "CAP_BPF is missing, which is to be said once; it was said {} times: {}",
        notices.len(),
        outcome.stderr
    );
    for verdict in list(&blame, "verdicts")? {
        ensure!(
            number(verdict, "confidence")? <= 0.5,
            "a verdict that nobody measured is too sure of itself: {verdict}"
        );
    }

    let doctor = copied.as_nobody(&["doctor", "--json"]).json()?;
    let bpf = list(&doctor, "checks")?.iter().find(|check| {
        check["name"]
            .as_str()
            .is_some_and(|name| name.contains("CAP_BPF"))
    });
    let bpf = bpf.context("the doctor says nothing of CAP_BPF")?;
    ensure!(
        bpf["status"] != "ok"
            && bpf["remedy"]
                .as_str()
                .is_some_and(|remedy| !remedy.is_empty()),
        "the doctor says {bpf}"
    );
    Ok(())
}

#[test]
fn with_bpf_and_perfmon_alone_blame_is_exact() -> Result<()> {
    let _alone = machine()?;
    let copied = Copied::new()?;
    let scene = Scene::start()?;
    let outcome = copied
        .with_two_capabilities(&["blame", "--json", "--for", "4s"])
        .run()?;
    ensure!(
        outcome.status == Some(0),
        "blame exits {:?}: {}",
        outcome.status,
        outcome.stderr
    );
    let blame = outcome.json()?;
    ensure!(
        text(&blame, "coverage.cpu")? == "exact",
        "coverage {}; it said: {}",
        blame["coverage"],
        outcome.stderr
    );
    let victim = scene.victim.path().to_string_lossy().into_owned();
    let party = list(&blame, "verdicts")?
        .iter()
        .map(|verdict| &verdict["victim"])
        .find(|party| party["cgroup"] == victim.as_str());
    let party = party.with_context(|| format!("no verdict for {victim}: {blame:#}"))?;
    let verdicts = accusations(&blame, party["name"].as_str().unwrap_or(""))?;
    let rival = scene.rival.path().to_string_lossy();
    let named = verdicts
        .iter()
        .any(|verdict| verdict["culprits"][0]["party"]["cgroup"] == *rival);
    ensure!(named, "{rival} is not the first culprit: {verdicts:?}");
    Ok(())
}

/// A victim and a rival in plain cgroups, since an engine's socket is closed to other users.
struct Scene {
    victim: OwnCgroup,
    rival: OwnCgroup,
    _loads: [dunnage_tests::load::HostLoad; 2],
}

impl Scene {
    fn start() -> Result<Scene> {
        let [first, _] = two_cpus()?;
        let cpu = first.to_string();
        let victim = OwnCgroup::make(format!("/dunnage-tests-victim-{}", std::process::id()))?;
        let rival = OwnCgroup::make(format!("/dunnage-tests-rival-{}", std::process::id()))?;
        let loads = [
            victim.start_on(&cpu, "tick --work 10ms --every 50ms --for 60s")?,
            rival.start_on(&cpu, "spin --threads 3 --for 60s")?,
        ];
        sleep(Duration::from_secs(1));
        Ok(Scene {
            victim,
            rival,
            _loads: loads,
        })
    }
}

fn usage(ps: &Value, cgroup: &OwnCgroup) -> Result<f64> {
    let path = cgroup.path().to_string_lossy();
    let entry = list(ps, "parties")?
        .iter()
        .find(|entry| entry["party"]["cgroup"] == *path);
    number(
        entry.with_context(|| format!("no party for {path}"))?,
        "cpu.usage_seconds",
    )
}
