//! The command line itself: help that nobody could read is no success, and odd values are wrong usage.

use std::fs::File;
use std::io;
use std::process::{Command, Output};

fn to(path: &str, arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_dunnage-devices"))
        .args(arguments)
        .stdout(File::options().write(true).open(path)?)
        .output()
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    for arguments in [&["--help"][..], &["--version"], &["help"], &["check", "-h"]] {
        assert!(
            to("/dev/null", arguments).unwrap().status.success(),
            "{arguments:?}"
        );
        let full = to("/dev/full", arguments).unwrap();
        assert_eq!(full.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&full.stderr);
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
    let wrong = to("/dev/full", &["--no-such-option"]).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--no-such-option"));
}

#[test]
fn paths_that_engines_are_told_are_whole_and_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"/tmp/\xff");
    for (option, value) in [
        ("--links-dir", odd),
        ("--driver-root", odd),
        ("--links-dir", "links".as_ref()),
        ("--driver-root", "../driver".as_ref()),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_dunnage-devices"))
            .args(["cdi", "--output", "-", option])
            .arg(value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{option} {value:?}");
    }
}
