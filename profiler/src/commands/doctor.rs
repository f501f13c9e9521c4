//! `dunnage doctor`: what works on this host and what does not.

use super::output::{page, print_json, print_text};
use super::session::parties_options;
use crate::cli::Global;
use dunnage_model::document::{CheckDocument, DoctorDocument};
use dunnage_profiler::doctor::{engines, examine};
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::parties::Parties;
use dunnage_profiler::sinks::text;
use std::env;
use std::process::ExitCode;
use std::time::Duration;

/// Longer than the time-out of one request, so that a slow engine is told from a dead one.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let root = HostRoot::new(&global.host_root);
    root.check()?;
    let parties = Parties::open(&root, &parties_options(global));
    let mut checks = examine(&root);
    if !global.no_engines {
        parties.settle(PATIENCE);
        checks.extend(engines(&parties.health()));
    }
    if global.json {
        let document = DoctorDocument::new(checks.iter().map(CheckDocument::from).collect());
        print_json(&document, false)?;
    } else {
        print_text(&text::checks(&checks, &page(global), is_utf8_locale()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the terminal shows UTF-8, by the first of the variables of locale(7) that is set.
fn is_utf8_locale() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(env::var_os)
        .find(|value| !value.is_empty());
    set.is_some_and(|value| names_utf8(&value.to_string_lossy()))
}

fn names_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_name_their_encoding() {
        assert!(names_utf8("C.UTF-8") && names_utf8("de_DE.utf8"));
        assert!(!names_utf8("C") && !names_utf8("POSIX") && !names_utf8("de_DE.ISO-8859-1"));
    }
}
