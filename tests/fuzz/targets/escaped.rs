//! Foreign names on their way to a terminal.

#![no_main]

use dunnage_profiler::sinks::{escaped, fitted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &[u8]| {
    let name = String::from_utf8_lossy(name);
    let overrides = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    for shown in [escaped(&name), fitted(&name, 24)] {
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(
            !shown
                .chars()
                .any(|c| overrides.iter().any(|range| range.contains(&c))),
            "{shown:?}"
        );
    }
});
