//! The virtual machine with nothing but cgroup v2, started by `tests/setup/vm.sh`.

use crate::keeper::own_folder;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// What a run in the guest left behind. The folder goes away with it.
#[derive(Debug)]
pub struct Guest {
    folder: PathBuf,
}

/// Runs a bash command as root in the guest, for at most `limit`. The folder `/out` there is where
/// it leaves files. An error where the guest did not come up or did not finish; the command's own
/// status is in [`Guest::status`].
pub fn run(command: &str, limit: Duration) -> Result<Guest> {
    run_on(&[], command, limit)
}

/// The same on another kernel or with further devices: `machine` has the variables that
/// `tests/setup/vm.sh` describes.
pub fn run_on(machine: &[(&str, &str)], command: &str, limit: Duration) -> Result<Guest> {
    let folder = own_folder("guest")?;
    let guest = Guest {
        folder: folder.clone(),
    };
    let mut script = Command::new(crate::script("vm.sh"));
    script
        .arg(&folder)
        .arg(limit.as_secs().to_string())
        .arg(command)
        .envs(machine.iter().copied());
    let output = script.output().context("start tests/setup/vm.sh")?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success(),
        "tests/setup/vm.sh: {}: {}\nthe command said:\n{}",
        output.status,
        said(),
        guest.file("output").unwrap_or_default()
    );
    Ok(guest)
}

/// Where `vm.sh` unpacks kernels.
pub fn kernels() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.or_else(home).context("neither a cache nor a home")?;
    Ok(cache.join("dunnage/vm"))
}

impl Guest {
    /// A file that the guest left in `/out`.
    pub fn file(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("the guest left no {name}"))
    }

    /// A JSON document that the guest left; the command's messages where it is none.
    pub fn json(&self, name: &str) -> Result<serde_json::Value> {
        let text = self.file(name)?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{name} from the guest is {text:?}; its messages:\n{}",
                self.file("output").unwrap_or_default()
            )
        })
    }

    /// The command's exit status.
    pub fn status(&self) -> Result<i32> {
        Ok(self.file("status")?.trim().parse()?)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
