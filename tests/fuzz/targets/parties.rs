//! Cgroup paths: who owns one.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_model::party::PartyKind;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::parties::{Parties, PartiesOptions, PartyLookup};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let nothing = Tree::plant(b"");
    let options = PartiesOptions {
        engines: false,
        ..PartiesOptions::default()
    };
    Parties::open(&HostRoot::new(nothing.root()), &options)
});

fuzz_target!(|path: &str| {
    if !path.starts_with('/') {
        return;
    }
    let party = PARTIES.of_cgroup(path);
    let owned = party
        .cgroup
        .as_deref()
        .expect("who is found by a path has one");
    assert!(path.starts_with(owned), "{owned:?} is not above {path:?}");
    assert!(party.name.chars().count() <= 256, "{:?}", party.name);
    // A container may call what is beneath it as it likes, and keeps it.
    if party.kind == PartyKind::Container && !path.ends_with(" (deleted)") {
        let below = format!("{path}/docker/{}", "b".repeat(64));
        assert_eq!(PARTIES.of_cgroup(&below).key, party.key);
    }
});
