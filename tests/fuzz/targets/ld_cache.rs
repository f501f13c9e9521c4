//! `ld.so.cache` in both formats: whatever it says, paths are absolute and names are bounded.

#![no_main]

use dunnage_inventory::driver_files::ld_cache::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for entry in parse(bytes).unwrap_or_default() {
        assert!(entry.path.is_absolute());
        assert!(!entry.name.is_empty() && entry.name.len() <= 4096);
    }
});
