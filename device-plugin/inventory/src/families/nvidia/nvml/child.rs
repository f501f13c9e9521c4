//! The child process that loads the library: how it is started, read, and ended in time.

use super::answer::{Answer, Refusal};
use super::ask::everything;
use super::library::Library;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The first argument that makes the program the child.
const ASKED: &str = "--answer-for-nvml";

/// How long an answer may take, before the time that each GPU is given.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);

/// How much longer for each GPU: where nothing keeps the driver's state (nvidia-persistenced), opening
/// a GPU boots it.
const FOR_EACH: Duration = Duration::from_secs(2);

/// How long at most.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a library that was too slow is not asked again: each time holds up the whole inventory.
const PAUSE: Duration = Duration::from_secs(60);

/// When the library was too slow last, and by how much time it was given.
static SLOW: Mutex<Option<(Instant, Duration)>> = Mutex::new(None);

/// The most bytes that are taken of an answer; 32 GPUs with seven instances each make 100 000.
const OUTPUT_LIMIT: u64 = 4 << 20;

/// Whether this program answers when it is started again with [`ASKED`].
static SERVES: AtomicBool = AtomicBool::new(false);

/// Children that were killed and have not ended: they hang in the driver.
static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No library, no running driver, or a library that refused.
    #[error("{}", refusal(.0))]
    Refused(Refusal),
    /// Not tried.
    #[error("{0}")]
    NotAsked(String),
    /// The child gave no answer in time.
    #[error(
        "libnvidia-ml did not answer within {} s: a GPU or the driver hangs; see `dmesg | grep NVRM`",
        .0.as_secs_f32()
    )]
    TooSlow(Duration),
    /// The child ended without an answer.
    #[error(
        "the process that asks libnvidia-ml {0}: the library is broken or of another driver version; reinstall the driver's libraries"
    )]
    Died(String),
    /// The child could not be started.
    #[error("cannot start a process to ask libnvidia-ml: {0}")]
    NotStarted(String),
}

fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotFound(why) => format!(
            "cannot load libnvidia-ml.so.1 ({why}): install the driver's libraries; until then only \
             what the kernel tells is known"
        ),
        Refusal::DriverNotLoaded => {
            "libnvidia-ml says that the driver is not loaded: load the module nvidia".to_owned()
        }
        Refusal::VersionMismatch => "the running kernel driver and libnvidia-ml are of different \
             versions: reload the driver's modules or reboot"
            .to_owned(),
        Refusal::Other(why) => format!("libnvidia-ml refused: {why}"),
    }
}

/// How the child is started.
pub(super) struct Program {
    /// The program.
    pub(super) path: PathBuf,
    /// All arguments.
    pub(super) arguments: Vec<OsString>,
    /// One more variable of its environment.
    pub(super) variable: Option<(&'static str, OsString)>,
}

/// To be called first in `main`: where the program was started as the child that asks NVIDIA's
/// library, it does that here and returns the exit code to end with.
///
/// A program that does not call this is never started again, and learns nothing from NVML.
#[must_use]
pub fn serve_nvml_probe_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ASKED)) {
        SERVES.store(true, Ordering::Relaxed);
        return None;
    }
    let library = arguments.next().unwrap_or_default();
    Some(serve(Path::new(&library)))
}

/// The child: asks and writes.
pub(super) fn serve(library: &Path) -> ExitCode {
    // A library that crashes should leave no core file behind.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // Where the parent is gone, nobody else ends a child that hangs.
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST * 2);
        let _ = raise(Signal::SIGKILL);
    });
    let written = everything(library)
        .to_line()
        .map_err(std::io::Error::from)
        .and_then(|line| std::io::stdout().write_all(line.as_bytes()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Asks `library` about so many `gpus` in a child of this program.
///
/// # Errors
/// See [`Failure`].
pub(crate) fn ask(library: &Library, gpus: usize) -> Result<Answer, Failure> {
    if !SERVES.load(Ordering::Relaxed) {
        return Err(Failure::NotAsked(
            "libnvidia-ml was not asked: this program has no child process for it".to_owned(),
        ));
    }
    let program = Program {
        path: PathBuf::from("/proc/self/exe"),
        arguments: vec![ASKED.into(), library.0.clone().into()],
        variable: None,
    };
    let mut slow = SLOW.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, time)) = slow.filter(|(when, _)| when.elapsed() < PAUSE) {
        return Err(Failure::TooSlow(time));
    }
    let answer = ask_by(&program, deadline(gpus));
    *slow = match answer {
        Err(Failure::TooSlow(time)) => Some((Instant::now(), time)),
        _ => None,
    };
    answer
}

/// How long an answer about so many GPUs may take.
fn deadline(gpus: usize) -> Duration {
    let each = FOR_EACH.saturating_mul(u32::try_from(gpus).unwrap_or(u32::MAX));
    DEADLINE.saturating_add(each).min(LONGEST)
}

/// As [`ask`], with the program and the time given.
pub(super) fn ask_by(program: &Program, deadline: Duration) -> Result<Answer, Failure> {
    if STUCK.load(Ordering::Relaxed) > 0 {
        return Err(Failure::NotAsked(
            "libnvidia-ml was not asked: an earlier process still hangs in the driver".to_owned(),
        ));
    }
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(
            ["PATH", "LD_LIBRARY_PATH"]
                .iter()
                .filter_map(|name| Some((*name, std::env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some((name, value)) = &program.variable {
        command.env(name, value);
    }
    let mut child = command
        .spawn()
        .map_err(|error| Failure::NotStarted(error.to_string()))?;
    let output = read_until(&mut child, deadline);
    let status = end(child, output.is_some());
    let Some(output) = output else {
        return Err(Failure::TooSlow(deadline));
    };
    match Answer::from_output(&output) {
        Some(Answer {
            failure: Some(refusal),
            ..
        }) => Err(Failure::Refused(refusal)),
        Some(answer) => Ok(answer),
        None => Err(Failure::Died(fate(status))),
    }
}

/// All that the child writes until it closes its output; `None` where it does not in time.
fn read_until(child: &mut Child, deadline: Duration) -> Option<Vec<u8>> {
    let output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        // The receiver is gone where the time was up.
        let _ = sender.send(read.map(|_| bytes).unwrap_or_default());
    });
    receiver.recv_timeout(deadline).ok()
}

/// How long a child may take to end once it has answered, or was killed.
const PATIENCE: Duration = Duration::from_millis(300);

/// Ends the child without being held up by it: a process in an uninterruptible sleep ends when the
/// driver lets it go.
fn end(mut child: Child, answered: bool) -> Option<ExitStatus> {
    if answered && let Some(status) = ended(&mut child) {
        return Some(status);
    }
    let _ = child.kill();
    let status = ended(&mut child);
    if status.is_none() {
        STUCK.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let _ = child.wait();
            STUCK.fetch_sub(1, Ordering::Relaxed);
        });
    }
    status
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
    None
}

fn fate(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (None, Some(code)) => format!("ended with code {code} and without an answer"),
            (None, None) => "ended without an answer".to_owned(),
        },
        None => "did not end".to_owned(),
    }
}
