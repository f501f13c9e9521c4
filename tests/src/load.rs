//! The static load generator: built once, packed into an image, started on the host.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// The name of the image in every engine.
pub const IMAGE: &str = "localhost/dunnage-load:1.4";

/// The load generator, linked statically. Built where it is missing or older than its source.
pub fn program() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/load.rs");
    static_program(&source, &crate::target().join("load/dunnage-load"))
}

/// A program of one source file, linked statically into `built` where that is missing or older.
pub fn static_program(source: &Path, built: &Path) -> Result<PathBuf> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one = BUILDING.lock();
    if newer(built, source) {
        return Ok(built.to_owned());
    }
    let folder = built.parent().context("a program has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args([
        "--edition",
        "2024",
        "-O",
        "-C",
        "target-feature=+crt-static",
        "-C",
        "panic=abort",
        "-C",
        "strip=symbols",
    ]);
    let output = rustc
        .arg(source)
        .arg("-o")
        .arg(built)
        .output()
        .with_context(|| format!("start rustc for {}", source.display()))?;
    ensure!(
        output.status.success(),
        "rustc {}:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(built.to_owned())
}

/// The image archive with the load generator in it, for engines to load.
pub fn image() -> Result<PathBuf> {
    let program = program()?;
    archive_with(IMAGE, &program, &program.with_file_name("image.tar"), &[])
}

/// The archive of an image that holds one program alone and runs it with these arguments in front. Made
/// where it is missing or older.
pub fn archive_with(
    name: &str,
    program: &Path,
    archive: &Path,
    arguments: &[&str],
) -> Result<PathBuf> {
    if newer(archive, program) {
        return Ok(archive.to_owned());
    }
    let output = Command::new(crate::script("image.sh"))
        .arg(name)
        .args([program, archive])
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "tests/setup/image.sh: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(archive.to_owned())
}

/// Whether `built` is there and no older than `source`.
#[must_use]
pub fn newer(built: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    matches!((time(built), time(source)), (Some(built), Some(source)) if built >= source)
}

/// The report at the end of a load's output.
pub fn report_in(output: &str) -> Result<Value> {
    match output.lines().rev().find(|line| line.starts_with('{')) {
        Some(line) => serde_json::from_str(line).with_context(|| format!("report {line:?}")),
        None => bail!("no report yet in the load's output {output:?}"),
    }
}

/// A load that runs on the host: in this process's own cgroup, in the role of a host service.
#[derive(Debug)]
pub struct HostLoad(Child);

impl HostLoad {
    /// Starts it on the CPUs of a list such as `0-1`, by taskset.
    pub fn start(cpus: &str, arguments: &[&str]) -> Result<HostLoad> {
        let mut command = Command::new("taskset");
        command.args(["-c", cpus]).arg(program()?).args(arguments);
        HostLoad::spawn(command)
    }

    /// Starts a command that ends in a load.
    pub fn spawn(mut command: Command) -> Result<HostLoad> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(HostLoad(
            command
                .spawn()
                .with_context(|| format!("start {command:?}"))?,
        ))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end and reads its report.
    pub fn report(mut self) -> Result<Value> {
        let stdout = self
            .0
            .stdout
            .take()
            .context("the report was read already")?;
        report_in(&std::io::read_to_string(stdout)?)
    }
}

impl Drop for HostLoad {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then only say so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{image, program, report_in};
    use std::process::Command;

    #[test]
    fn the_load_generator_is_one_static_file_and_reports_what_it_lost() {
        assert!(image().unwrap().exists());
        let output = Command::new(program().unwrap())
            .args(["tick", "--work", "1ms", "--for", "300ms"])
            .output()
            .unwrap();
        let report = report_in(&String::from_utf8_lossy(&output.stdout)).unwrap();
        assert!(report["requests"].as_u64().unwrap() > 5, "{report}");
        assert!(report["alone_seconds"].as_f64().unwrap() > 1e-4, "{report}");
        let bytes = std::fs::read(program().unwrap()).unwrap();
        assert!(
            !bytes.windows(10).any(|window| window == b"/lib64/ld-"),
            "it asks for a dynamic loader"
        );
    }

    #[test]
    fn output_without_a_report_is_an_error() {
        assert!(report_in("starting\n").is_err());
        assert_eq!(
            report_in("x\n{\"mode\":\"spin\"}\n").unwrap()["mode"],
            "spin"
        );
    }
}
