//! The command line of runc and crun, as far as it must be understood: which command, which bundle,
//! and where engines read errors.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A call of the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// `create`, `start`, ...; absent where there is none.
    pub command: Option<String>,
    /// The bundle, where one is named.
    pub bundle: Option<PathBuf>,
    /// The file that an engine reads errors from (`--log`).
    pub log: Option<PathBuf>,
    /// Whether that is written in JSON (`--log-format json`).
    pub log_json: bool,
}

impl Call {
    /// Whether this makes a container, so that its bundle is looked at.
    #[must_use]
    pub fn makes_a_container(&self) -> bool {
        matches!(self.command.as_deref(), Some("create" | "run"))
    }
}

/// Global options of runc and crun that are followed by a value.
const GLOBAL: &[&str] = &[
    "root",
    "log",
    "log-format",
    "criu",
    "rootless",
    "cgroup-manager",
];
/// Options of `create` and `run` that are followed by a value.
const OF_COMMAND: &[&str] = &[
    "b",
    "bundle",
    "console-socket",
    "pid-file",
    "pidfd-socket",
    "preserve-fds",
    "config",
    "f",
];

/// Understands the arguments of a call, the program's name not included.
#[must_use]
pub fn parse(arguments: &[OsString]) -> Call {
    let mut call = Call::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let known = if call.command.is_some() {
            OF_COMMAND
        } else {
            GLOBAL
        };
        let Some((name, inline)) = option(word) else {
            if call.command.is_some() {
                // The container's id. No option stands behind it that matters here.
                continue;
            }
            call.command = Some(word.to_string_lossy().into_owned());
            continue;
        };
        let value = match inline {
            Some(value) => Some(OsString::from(value)),
            None if known.contains(&name) => words.next().cloned(),
            None => None,
        };
        match (call.command.is_some(), name, value) {
            (true, "b" | "bundle", Some(value)) => call.bundle = Some(value.into()),
            (false, "log", Some(value)) => call.log = Some(value.into()),
            (false, "log-format", Some(value)) => call.log_json = value == "json",
            _ => {}
        }
    }
    call
}

/// `--name`, `--name=value`, `-n`.
fn option(word: &OsStr) -> Option<(&str, Option<&str>)> {
    // An option whose value is no UTF-8 is none that is looked for; the real runtime sees it as it is.
    let text = word.to_str()?;
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    if name.is_empty() {
        return None;
    }
    Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(line: &str) -> Call {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&words)
    }

    #[test]
    fn engines_calls_are_understood() {
        let docker = call(
            "--root /var/run/docker/runtime-runc/moby --log /run/x/log.json --log-format json create \
             --bundle /run/x --pid-file /run/x/init.pid 9f3c",
        );
        assert!(docker.makes_a_container());
        assert_eq!(docker.bundle, Some("/run/x".into()));
        assert_eq!(docker.log, Some("/run/x/log.json".into()));
        assert!(docker.log_json);

        let podman =
            call("--log-level=warning --systemd-cgroup create --no-pivot -b=/b --pid-file /p id");
        assert_eq!(
            (podman.makes_a_container(), podman.bundle),
            (true, Some("/b".into()))
        );
        let start = call("--root /r start create");
        assert_eq!(start.command.as_deref(), Some("start"));
        assert!(!start.makes_a_container());
        assert!(!call("--root create").makes_a_container());
        assert_eq!(call("run -d name").bundle, None);
        assert_eq!(call("--version").command, None);
        assert_eq!(
            call("create --preserve-fds 3 -b /x id").bundle,
            Some("/x".into())
        );
    }

    proptest! {
        #[test]
        fn no_command_line_brings_it_down(words in proptest::collection::vec(".{0,12}", 0..8)) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            let _ = parse(&words);
        }
    }
}
