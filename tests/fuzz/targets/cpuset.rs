//! CPU lists (`0-3,8`): what is parsed comes back from its own text.

#![no_main]

use dunnage_model::cpuset::CpuSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(set) = CpuSet::parse(text) {
        assert_eq!(CpuSet::parse(&set.to_string()), Some(set));
    }
});
