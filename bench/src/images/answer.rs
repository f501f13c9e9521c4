//! One question to `devices check`, with its time and its memory.

use anyhow::{Context, ensure};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What one answer took.
pub(super) struct Asked {
    pub(super) seconds: f64,
    pub(super) peak_mib: f64,
}

/// Asks about `image` on the host below `host`, with the facts of images kept in `cache`, and sees to it
/// that the answer speaks of each of `must_be_seen`: what was not read is quickly answered.
pub(super) fn ask(
    binary: &Path,
    host: &Path,
    image: &[&str],
    cache: &Path,
    must_be_seen: &[String],
) -> anyhow::Result<Asked> {
    let began = Instant::now();
    let child = Command::new(binary)
        .args(["--json", "--host-root"])
        .arg(host)
        .arg("check")
        .args(image)
        .env("XDG_CACHE_HOME", cache)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))?;
    let status = format!("/proc/{}/status", child.id());
    let ended = AtomicBool::new(false);
    let (output, seconds, peak_kib) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(high_water(&status).unwrap_or(0.0));
                std::thread::sleep(LOOK);
            }
            peak
        });
        let output = child.wait_with_output();
        let seconds = began.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        (output, seconds, watch.join().unwrap_or(f64::INFINITY))
    });
    let output = output?;
    let said = String::from_utf8_lossy(&output.stdout);
    // Yes, no, and that it cannot be told are answers.
    ensure!(
        matches!(output.status.code(), Some(0 | 3 | 4)),
        "{} check {}: {}: {}",
        binary.display(),
        image.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    for path in must_be_seen {
        ensure!(
            said.contains(path),
            "check {}: the answer does not speak of {path}, which is in the image: {said}",
            image.join(" ")
        );
    }
    Ok(Asked {
        seconds,
        peak_mib: peak_kib / 1024.0,
    })
}

/// The most that a process ever held, in KiB; None once it has ended.
fn high_water(status: &str) -> Option<f64> {
    let status = fs::read_to_string(status).ok()?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}

/// Has the kernel forget the content of everything below `path`, and what it knows of names; whether the
/// latter was allowed.
pub(super) fn forget(path: &Path) -> anyhow::Result<bool> {
    nix::unistd::sync();
    forget_content(path).with_context(|| format!("reading {}", path.display()))?;
    // Dentries and inodes, of whoever: there is no way to name some. Contents stay where they are used.
    Ok(fs::write("/proc/sys/vm/drop_caches", "2").is_ok())
}

fn forget_content(path: &Path) -> anyhow::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            forget_content(&entry?.path())?;
        }
    } else if kind.is_file() {
        let file = File::open(path)?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
