//! Standard output, and how a document is laid out on it.

use super::diagnostics::{colour, say};
use crate::cli::Global;
use anyhow::Context;
use dunnage_model::units::Nanos;
use dunnage_profiler::sinks::json::{self, Layout};
use dunnage_profiler::sinks::text::Page;
use dunnage_profiler::sinks::{percent, seconds};
use serde::Serialize;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

pub(super) use dunnage_device_plugin::commands::{CANNOT_WRITE, print_text};

/// One document a line in a stream and into pipes; indented where somebody looks at it.
fn layout(watch: bool) -> Layout {
    if !watch && stdout().is_terminal() {
        Layout::Indented
    } else {
        Layout::Line
    }
}

/// Writes one document to standard output, at once.
pub(super) fn print_json<D: Serialize>(document: &D, watch: bool) -> anyhow::Result<()> {
    json::write(&mut stdout().lock(), document, layout(watch)).context(CANNOT_WRITE)
}

/// The page that standard output is.
pub(super) fn page(global: &Global) -> Page {
    Page::of_stdout(colour(global.color))
}

/// `length` in the model's unit.
pub(super) fn nanos(length: Duration) -> Nanos {
    Nanos(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
}

/// Says what part of the window was seen, where it was interrupted.
pub(super) fn say_interrupted(seen: Nanos, requested: Duration) {
    let share = seen.seconds() / requested.as_secs_f64();
    let (seen, all) = (seconds(seen.seconds()), seconds(requested.as_secs_f64()));
    say(&format!(
        "interrupted after {seen} of {all} ({} of the window)",
        percent(share.min(1.0))
    ));
}

/// The local time at which a window opened, for people.
pub(super) fn local_time(unix: Nanos) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(unix.0)) {
        Ok(time) => time
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%F %T%:z")
            .to_string(),
        Err(_) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_point_in_time_has_a_text() {
        assert!(local_time(Nanos(1_795_244_400_000_000_000)).starts_with("2026-11-2"));
        assert!(!local_time(Nanos(u64::MAX)).is_empty());
    }
}
