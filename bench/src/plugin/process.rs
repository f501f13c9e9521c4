//! A plugin that runs, and what the kernel says of its process.

use anyhow::Context;
use std::fs;
use std::process::{Child, Command, Stdio};

/// It ends with the value.
pub(super) struct Plugin(Child);

impl Plugin {
    pub(super) fn start(mut command: Command) -> anyhow::Result<Plugin> {
        let name = command.get_program().to_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Plugin)
            .with_context(|| format!("starting {}", name.display()))
    }

    /// Times that its threads were put to sleep or aside so far.
    pub(super) fn switches(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        let tasks = format!("/proc/{}/task", self.0.id());
        for task in fs::read_dir(tasks).context("the plugin ended early")? {
            let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            sum += status
                .lines()
                .filter_map(|line| line.split_once("ctxt_switches:"))
                .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(sum)
    }

    /// A field of `/proc/PID/status` in kB.
    pub(super) fn memory_mib(&self, field: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .with_context(|| format!("the plugin has no {field}: it ended early"))?;
        Ok(kib.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
