//! State folders of runc, crun and containerd, which their containers' users may own.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::parties::{Parties, PartiesOptions, PartyLookup};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|text: &[u8]| {
    let tree = Tree::plant(text);
    let options = PartiesOptions {
        engines: false,
        ..PartiesOptions::default()
    };
    let parties = Parties::open(&HostRoot::new(tree.root()), &options);
    parties.settle(Duration::from_millis(500));
    for path in [
        "/r1",
        "/a/r1/below",
        "/default/ct1",
        "/system.slice/runc-r1.scope",
        "/",
    ] {
        let party = parties.of_cgroup(path);
        let owned = party
            .cgroup
            .as_deref()
            .expect("who is found by a path has one");
        assert!(path.starts_with(owned), "{owned:?} is not above {path:?}");
        assert!(party.name.chars().count() <= 256, "{:?}", party.name);
    }
});
