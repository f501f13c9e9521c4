//! Plain runc: no daemon, a bundle, and a cgroup path that no engine would choose.
//!
//! Its state is in `/run/runc`, where runc keeps it by default and where everybody else looks for
//! it. The names of the suite's containers all begin alike, so nobody else's is touched.

use super::{Engine, Spec, said};
use crate::keeper::own_folder;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// runc needs no daemon, so there is nothing to hold.
#[derive(Debug)]
pub struct Runc;

/// runc, like the other engines.
pub fn runc() -> Result<&'static Runc> {
    Ok(&Runc)
}

fn bundles() -> Result<PathBuf> {
    own_folder("runc")
}

impl Engine for Runc {
    fn word(&self) -> &'static str {
        "runc"
    }

    fn launch(&self, spec: &Spec) -> Result<(String, u32)> {
        let bundle = bundles()?.join(&spec.name);
        let program = bundle.join("rootfs/bin/dunnage-load");
        for name in ["bin", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(bundle.join("rootfs").join(name))
                .with_context(|| format!("make the bundle {}", bundle.display()))?;
        }
        fs::copy(crate::load::program()?, &program)
            .with_context(|| format!("copy to {}", program.display()))?;
        fs::write(bundle.join("config.json"), configuration(spec).to_string())?;
        let log = File::create(bundle.join("output"))?;
        let mut command = Command::new("runc");
        command
            .args(["run", "--detach", "--pid-file"])
            .arg(bundle.join("pid"))
            .arg("--bundle")
            .arg(&bundle)
            .arg(&spec.name);
        let status = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .context("start runc: is it installed?")?;
        anyhow::ensure!(
            status.success(),
            "{command:?}: {status}: {}",
            self.output(&spec.name)?
        );
        let pid = fs::read_to_string(bundle.join("pid"))?;
        Ok((spec.name.clone(), pid.trim().parse()?))
    }

    fn output(&self, name: &str) -> Result<String> {
        let path = bundles()?.join(name).join("output");
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let outcome = said(Command::new("runc").args(["delete", "--force", name]));
        let bundles = bundles()?;
        let _ = fs::remove_dir_all(bundles.join(name));
        // Stays where another container's bundle is in it.
        let _ = fs::remove_dir(bundles);
        outcome.map(drop)
    }

    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }

    fn knows_images(&self) -> bool {
        false
    }
}

fn configuration(spec: &Spec) -> Value {
    let mut arguments = vec!["/bin/dunnage-load".to_owned()];
    arguments.extend_from_slice(&spec.load);
    let mut cpu = json!({});
    if let Some(cpus) = &spec.cpus {
        cpu["cpus"] = json!(cpus);
    }
    if let Some(shares) = spec.shares {
        cpu["shares"] = json!(shares);
    }
    if let Some(quota) = spec.quota {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a test's quota is a few CPUs"
        )]
        let micros = (quota * 100_000.0) as i64;
        cpu["quota"] = json!(micros);
        cpu["period"] = json!(100_000);
    }
    let mut resources = json!({"cpu": cpu});
    if let Some(bytes) = spec.memory {
        resources["memory"] = json!({"limit": bytes});
    }
    if let Some(tasks) = spec.tasks {
        resources["pids"] = json!({"limit": tasks});
    }
    let labels: serde_json::Map<String, Value> = spec
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": arguments, "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "hostname": spec.name,
        "annotations": labels,
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
        "linux": {
            "cgroupsPath": format!("/dunnage-tests/{}", spec.name),
            "resources": resources,
            "namespaces": namespaces}
    })
}
