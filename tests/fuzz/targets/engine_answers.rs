//! What engines say of their containers. The first byte chooses the engine.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_fuzz::engine::{Engine, Wrapping};
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::parties::{EngineKind, Parties, PartiesOptions, PartyLookup};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::Duration;

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::start);

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let (kind, wrapping) = match choice {
        b'd' => (EngineKind::Docker, Wrapping::Rest),
        b'p' => (EngineKind::Podman, Wrapping::Rest),
        b'c' => (EngineKind::Containerd, Wrapping::Grpc),
        b'k' => (EngineKind::Cri, Wrapping::Grpc),
        b'r' => (EngineKind::Docker, Wrapping::Raw),
        b's' => (EngineKind::Cri, Wrapping::Raw),
        _ => return,
    };
    ENGINE.answer(wrapping, bytes);
    let nothing = Tree::plant(b"");
    let options = PartiesOptions {
        engines: true,
        timeout: Duration::from_millis(250),
        sockets: Some(vec![(kind, ENGINE.socket().to_owned())]),
    };
    let parties = Parties::open(&HostRoot::new(nothing.root()), &options);
    parties.settle(Duration::from_millis(500));
    let id = "a".repeat(64);
    for path in [
        format!("/docker/{id}"),
        format!("/kubepods/poduid/{id}"),
        "/default/a".to_owned(),
    ] {
        let party = parties.of_cgroup(&path);
        let owned = party
            .cgroup
            .as_deref()
            .expect("who is found by a path has one");
        assert!(path.starts_with(owned), "{owned:?} is not above {path:?}");
        assert!(party.name.chars().count() <= 256, "{:?}", party.name);
    }
});
