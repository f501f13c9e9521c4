//! A program that asks NVIDIA's library: started again with the argument, it is the child. A program of
//! its own, without the test harness, because the harness has the `main` that must answer.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    if let Some(code) = dunnage_inventory::families::nvidia::serve_nvml_probe_if_asked() {
        return code;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let library = dir.path().join("libnvidia-ml.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvidia/standin-nvml.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-DGOOD", "-o"])
        .args([&library, &source])
        .status()
        .expect("the linker's C compiler");
    assert!(built.success());
    let output = Command::new("/proc/self/exe")
        .arg("--answer-for-nvml")
        .arg(&library)
        .output()
        .expect("this program, once more");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("GPU-5269b708-678a-b1a8-60f0-c90406537486"),
        "{text}"
    );
    println!("test the_program_answers_as_its_own_child ... ok");
    ExitCode::SUCCESS
}
