//! Real containers for workloads, by runc: this binary on the host's libraries, read-only.

use anyhow::Context;
use serde_json::json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the binary needs of the host to start.
const LIBRARIES: [&str; 4] = ["/usr", "/lib", "/lib64", "/bin"];

/// A bundle of runc, and the container that runs from it; both removed when dropped.
#[derive(Debug)]
pub(super) struct Bundle {
    name: String,
    folder: PathBuf,
}

impl Bundle {
    /// Writes a bundle whose container runs `program` with `arguments` in the cgroup at `cgroup`, and
    /// sees the folders `shared` under their own names.
    pub(super) fn write(
        name: &str,
        cgroup: &str,
        program: &Path,
        arguments: &[String],
        shared: &[&Path],
    ) -> anyhow::Result<Bundle> {
        let folder = PathBuf::from(format!("/run/dunnage-truth-{name}"));
        std::fs::create_dir_all(folder.join("rootfs"))
            .with_context(|| format!("making the bundle {}", folder.display()))?;
        let bundle = Bundle {
            name: name.to_owned(),
            folder,
        };
        let mut words = vec![OsString::from(program)];
        words.extend(arguments.iter().map(OsString::from));
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let bind = |path: &Path, mode: &str| json!({"destination": path, "source": path, "type": "bind", "options": ["rbind", mode]});
        let mut mounts = vec![
            json!({"destination": "/proc", "source": "proc", "type": "proc"}),
            json!({"destination": "/dev", "source": "tmpfs", "type": "tmpfs",
                   "options": ["nosuid", "mode=755"]}),
            bind(program.parent().unwrap_or(program), "ro"),
        ];
        let libraries = LIBRARIES.iter().map(Path::new);
        mounts.extend(
            libraries
                .filter(|l| l.exists())
                .map(|path| bind(path, "ro")),
        );
        mounts.extend(shared.iter().map(|path| bind(path, "rw")));
        let configuration = json!({
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "args": words, "env": ["PATH=/bin:/usr/bin"], "cwd": "/"},
            "root": {"path": "rootfs"},
            "hostname": "truth",
            "mounts": mounts,
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "pid"}],
                "resources": {"devices": [{"allow": true, "access": "rwm"}]},
            },
        });
        std::fs::write(bundle.folder.join("config.json"), configuration.to_string())?;
        Ok(bundle)
    }

    /// Starts it; the workload reads this process's pipe.
    pub(super) fn start(&self) -> anyhow::Result<Child> {
        Command::new("runc")
            .args(["run", "--bundle"])
            .arg(&self.folder)
            .arg(&self.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("starting runc: is it installed?")
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = Command::new("runc")
            .args(["delete", "--force", &self.name])
            .stderr(Stdio::null())
            .status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
