//! The child process against libraries that behave and that do not. They are built here by the linker's
//! C compiler, which building Rust needs anyway. None of this is NVIDIA's library.

use super::answer::{Answer, ComputeMode, End, Refusal};
use super::child::{DEADLINE, Failure, Program, ask_by, serve};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Names the library to the child.
const LIBRARY: &str = "DUNNAGE_TEST_NVML_LIBRARY";

/// No test: what the test binary does when it is started as the child.
#[test]
fn as_child() {
    if let Some(library) = std::env::var_os(LIBRARY) {
        let _ = serve(Path::new(&library));
    }
}

/// Builds the stand-in with `behaviour` in `dir`.
pub(crate) fn build(dir: &Path, behaviour: &str) -> PathBuf {
    let library = dir.join(format!("libnvidia-ml-{behaviour}.so.1"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvidia/standin-nvml.c");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-O1"])
        .arg(format!("-D{behaviour}"))
        .arg("-o")
        .args([&library, &source])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    library
}

/// Asks the library at `library` in a child of the test binary.
pub(crate) fn ask(library: &Path, deadline: Duration) -> Result<Answer, Failure> {
    let program = Program {
        path: PathBuf::from("/proc/self/exe"),
        arguments: [
            "--exact",
            "families::nvidia::nvml::tests::as_child",
            "--nocapture",
        ]
        .map(Into::into)
        .to_vec(),
        variable: Some((LIBRARY, library.into())),
    };
    ask_by(&program, deadline)
}

fn answer(behaviour: &str) -> Result<Answer, Failure> {
    let dir = tempfile::tempdir().unwrap();
    // A machine under load is slow; only the tests of what hangs are about time.
    ask(&build(dir.path(), behaviour), DEADLINE * 10)
}

#[test]
fn a_good_library_tells_all() {
    let answer = answer("GOOD").unwrap();
    assert_eq!(answer.driver.as_deref(), Some("580.95.05"));
    assert_eq!(answer.cuda.as_deref(), Some("13.0"));
    let [first, second] = answer.gpus.as_slice() else {
        panic!("{answer:?}");
    };
    assert_eq!(first.memory, Some(80 << 30));
    assert_eq!(first.architecture.as_deref(), Some("Ampere"));
    assert_eq!(first.capability.as_deref(), Some("8.0"));
    assert_eq!(first.links.len(), 4);
    assert!(first.links.iter().all(|link| link.end == End::Gpu));
    assert_eq!(second.compute_mode, Some(ComputeMode::Exclusive));
    assert_eq!((first.mig, second.mig), (Some(true), Some(false)));
    let ids: Vec<_> = first
        .instances
        .iter()
        .map(|i| (i.index, i.gpu_instance, i.compute_instance))
        .collect();
    assert_eq!(ids, [(0, Some(2), Some(0)), (2, Some(9), Some(0))]);
}

#[test]
fn a_library_that_hangs_is_ended_in_time() {
    let dir = tempfile::tempdir().unwrap();
    for behaviour in ["HANG", "HANG_LATE"] {
        let library = build(dir.path(), behaviour);
        let start = Instant::now();
        let deadline = Duration::from_millis(400);
        let failure = ask(&library, deadline).unwrap_err();
        assert_eq!(failure, Failure::TooSlow(deadline), "{behaviour}");
        // The library sleeps for ever, so any bound shows that it was ended.
        assert!(start.elapsed() < DEADLINE * 10);
        assert!(failure.to_string().contains("dmesg"));
    }
}

#[test]
fn a_library_that_crashes_takes_the_child_alone() {
    let failure = answer("CRASH").unwrap_err();
    assert!(
        matches!(&failure, Failure::Died(why) if why.contains("signal 11")),
        "{failure:?}"
    );
}

#[test]
fn refusals_are_told_apart() {
    assert_eq!(
        answer("NOT_LOADED").unwrap_err(),
        Failure::Refused(Refusal::DriverNotLoaded)
    );
    assert_eq!(
        answer("MISMATCH").unwrap_err(),
        Failure::Refused(Refusal::VersionMismatch)
    );
    assert!(matches!(
        answer("NONE").unwrap_err(),
        Failure::Refused(Refusal::Other(_))
    ));
    let nowhere = ask(Path::new("/nonexistent/libnvidia-ml.so.1"), DEADLINE * 10).unwrap_err();
    assert!(
        matches!(&nowhere, Failure::Refused(Refusal::NotFound(why)) if why.contains("No such file")),
        "{nowhere:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("libnvidia-ml.so.1");
    std::fs::write(&text, "no library at all").unwrap();
    assert!(matches!(
        ask(&text, DEADLINE * 10).unwrap_err(),
        Failure::Refused(Refusal::NotFound(_))
    ));
}

#[test]
fn a_library_that_writes_to_standard_output_does_not_spoil_the_answer() {
    assert_eq!(answer("NOISY"), answer("GOOD"));
}

#[test]
fn garbage_is_an_answer_of_bounded_size_or_none() {
    match answer("GARBAGE") {
        Ok(answer) => assert!(answer.gpus.len() <= 1024),
        Err(failure) => assert!(matches!(failure, Failure::Died(_)), "{failure:?}"),
    }
}

#[test]
fn a_half_started_library_yields_the_good_gpu() {
    let answer = answer("HALF").unwrap();
    assert_eq!(answer.gpus[0].failure, None);
    let failure = answer.gpus[1].failure.as_deref().unwrap();
    assert!(failure.contains("fell off the bus"), "{failure}");
}

#[test]
fn an_answer_that_was_cut_off_is_none() {
    let line = Answer::default().to_line().unwrap();
    assert_eq!(
        Answer::from_output(line.as_bytes()),
        Some(Answer::default())
    );
    let cut = &line.as_bytes()[..line.len() - 3];
    assert_eq!(Answer::from_output(cut), None);
    for other in [
        "",
        "running 1 test\n",
        "dunnage-nvml/1 [1,2]\n",
        "\u{0}\u{ff}",
    ] {
        assert_eq!(Answer::from_output(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn a_program_that_does_not_serve_is_not_started_again() {
    let library = super::Library(PathBuf::from("libnvidia-ml.so.1"));
    // The test binary calls no `serve_nvml_probe_if_asked`.
    assert!(matches!(super::ask(&library, 1), Err(Failure::NotAsked(_))));
}
