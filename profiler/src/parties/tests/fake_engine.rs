//! Engines that answer well, badly or not at all, on a socket of their own.

use crate::host::HostRoot;
use crate::parties::{EngineKind, EngineState, Parties, PartiesOptions, PartyLookup};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const A: &str = "0f3a7e0bb0f3c5b2b5a3bb4d9fd3c1c9b0f7a8e6d5c4b3a291807f6e5d4c3b2a";
const B: &str = "11223344556677889900aabbccddeeff11223344556677889900aabbccddeeff";

#[derive(Clone)]
enum Manner {
    /// This list, then these events.
    Answers(String, Vec<String>),
    /// Nothing, for ever.
    Silent,
    /// These bytes whatever is asked.
    Babbles(&'static [u8]),
    /// A body of 100 MB.
    Endless,
    /// A good list, and an event line that never ends.
    EndlessEvents(String),
    /// Hangs up.
    Closes,
}

/// A server that ends with its value.
struct Engine {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Engine {
    fn start(folder: &Path, manner: Manner) -> Engine {
        let socket = folder.join("engine.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (manner, stopped) = (manner.clone(), Arc::clone(&stopped));
                std::thread::spawn(move || drop(serve(stream, &manner, &stopped)));
            }
        });
        Engine { socket, stop }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn serve(mut stream: UnixStream, manner: &Manner, stop: &AtomicBool) -> std::io::Result<()> {
    if let Manner::Babbles(bytes) = manner {
        stream.write_all(bytes)?;
        return hold(stop);
    }
    if matches!(manner, Manner::Closes) {
        return Ok(());
    }
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let is_events = request.starts_with(b"GET /events");
    match manner {
        Manner::Answers(_, events) if is_events => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            for event in events {
                // One write a line, as the engines do: bollard keeps an object back until the next
                // one where the newline comes by itself.
                stream.write_all(format!("{event}\n").as_bytes())?;
            }
            hold(stop)
        }
        Manner::EndlessEvents(_) if is_events => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"Type\":\"")?;
            flood(&mut stream)
        }
        Manner::Answers(list, _) | Manner::EndlessEvents(list) => {
            let length = list.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{list}"
            )
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[{\"Id\":\"")?;
            flood(&mut stream)
        }
        _ => hold(stop),
    }
}

fn flood(stream: &mut UnixStream) -> std::io::Result<()> {
    let block = vec![b'a'; 1 << 20];
    (0..100).try_for_each(|_| stream.write_all(&block))
}

/// Keeps the connection open until the engine ends.
fn hold(stop: &AtomicBool) -> std::io::Result<()> {
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn list(containers: &[(&str, &str)]) -> String {
    let one = |(id, name): &(&str, &str)| {
        format!(
            r#"{{"Id":"{id}","Names":["/other/alias","/{name}"],"Image":"shop/web:1.4",
                "Labels":{{"tier":"front"}},"State":"running","Unheard":[{{}}]}}"#
        )
    };
    format!(
        "[{}]",
        containers.iter().map(one).collect::<Vec<_>>().join(",")
    )
}

fn event(action: &str, id: &str, attributes: &str) -> String {
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{{attributes}}}}},"time":1}}"#
    )
}

fn ask(kind: EngineKind, socket: &Path, folder: &TempDir) -> Parties {
    let options = PartiesOptions {
        timeout: Duration::from_millis(400),
        sockets: Some(vec![(kind, socket.to_owned())]),
        ..PartiesOptions::default()
    };
    Parties::open(&HostRoot::new(folder.path()), &options)
}

fn name(parties: &Parties, id: &str) -> String {
    let started = Instant::now();
    let party = parties.of_cgroup(&format!("/docker/{id}"));
    assert!(
        started.elapsed() < Duration::from_millis(200),
        "a lookup never waits"
    );
    party.name.clone()
}

/// Waits until the name is there: for what arrives without having been asked for.
fn await_name(parties: &Parties, id: &str, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(15);
    while name(parties, id) != wanted {
        assert!(
            Instant::now() < until,
            "{wanted} did not come: {:?}",
            parties.health()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn state(parties: &Parties) -> EngineState {
    let health = parties.health();
    assert_eq!(health.len(), 1);
    health[0].state.clone()
}

#[test]
fn a_good_engine_names_its_containers() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(
        folder.path(),
        Manner::Answers(list(&[(A, "web")]), Vec::new()),
    );
    let parties = ask(EngineKind::Docker, &engine.socket, &folder);
    assert_eq!(
        name(&parties, A).len(),
        12,
        "nobody has answered yet, or a name is there"
    );
    parties.settle(Duration::from_secs(5));
    let party = parties.of_cgroup(&format!("/docker/{A}/deeper"));
    assert_eq!(
        (party.name.as_str(), party.image.as_deref()),
        ("web", Some("shop/web:1.4"))
    );
    assert_eq!(party.labels.get("tier").map(String::as_str), Some("front"));
    assert_eq!(state(&parties), EngineState::Answering { containers: 1 });
}

#[test]
fn events_name_what_comes_and_goes_between_two_ticks() {
    let folder = tempfile::tempdir().unwrap();
    let events = vec![
        event(
            "create",
            B,
            r#""name":"flash","image":"bb:1","tier":"back","exitCode":"0""#,
        ),
        event("destroy", B, r#""name":"flash""#),
        event("exec_create: sh", A, ""),
        r#"{"Type":"network","Action":"connect"}"#.to_owned(),
        event("rename", A, r#""name":"web2","oldName":"/web""#),
    ];
    let engine = Engine::start(folder.path(), Manner::Answers(list(&[(A, "web")]), events));
    let parties = ask(EngineKind::Docker, &engine.socket, &folder);
    await_name(&parties, A, "web2");
    let party = parties.of_cgroup(&format!("/docker/{B}"));
    assert_eq!(
        (party.name.as_str(), party.image.as_deref()),
        ("flash", Some("bb:1"))
    );
    assert_eq!(
        party.labels.keys().map(String::as_str).collect::<Vec<_>>(),
        ["tier"]
    );
}

#[test]
fn bad_engines_cost_names_and_no_time() {
    for (what, manner) in [
        ("silent", Manner::Silent),
        ("closes", Manner::Closes),
        ("endless", Manner::Endless),
        (
            "babbles",
            Manner::Babbles(b"\x16\x03\x01 SSH-2.0-nonsense\r\n\r\n\r\n"),
        ),
        (
            "wrong",
            Manner::Answers("{\"Id\":7}".to_owned(), Vec::new()),
        ),
        (
            "teapot",
            Manner::Babbles(b"HTTP/1.1 418 No\r\nContent-Length: 2\r\n\r\n{}"),
        ),
    ] {
        for kind in [
            EngineKind::Docker,
            EngineKind::Podman,
            EngineKind::Containerd,
            EngineKind::Cri,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let engine = Engine::start(folder.path(), manner.clone());
            let started = Instant::now();
            let parties = ask(kind, &engine.socket, &folder);
            assert!(
                started.elapsed() < Duration::from_millis(200),
                "{what}: open waits"
            );
            parties.settle(Duration::from_secs(8));
            let found = state(&parties);
            assert!(
                matches!(found, EngineState::Failing(_)),
                "{what} {kind:?}: {found:?}"
            );
            assert!(
                started.elapsed() < Duration::from_secs(6),
                "{what} {kind:?}"
            );
            assert_eq!(name(&parties, A), "0f3a7e0bb0f3");
        }
    }
}

#[test]
fn an_endless_event_leaves_the_list_s_names() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path(), Manner::EndlessEvents(list(&[(A, "web")])));
    let parties = ask(EngineKind::Docker, &engine.socket, &folder);
    parties.settle(Duration::from_secs(5));
    let until = Instant::now() + Duration::from_secs(10);
    while !matches!(state(&parties), EngineState::Failing(_)) {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(name(&parties, A), "web");
}

#[test]
fn an_absent_engine_is_no_wait_and_a_restarted_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let parties = ask(EngineKind::Docker, &socket, &folder);
    let started = Instant::now();
    parties.settle(Duration::from_secs(5));
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(state(&parties), EngineState::Absent);

    let engine = Engine::start(
        folder.path(),
        Manner::Answers(list(&[(A, "web")]), Vec::new()),
    );
    await_name(&parties, A, "web");
    drop(engine);
    let containers = list(&[(A, "web"), (B, "batch")]);
    let _engine = Engine::start(folder.path(), Manner::Answers(containers, Vec::new()));
    await_name(&parties, B, "batch");
    assert_eq!(name(&parties, A), "web");
}

#[test]
fn names_are_bounded_and_kept_raw() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = r"\u001b[2J\n".to_owned() + &"é".repeat(4096);
    let engine = Engine::start(
        folder.path(),
        Manner::Answers(list(&[(A, &hostile)]), Vec::new()),
    );
    let parties = ask(EngineKind::Docker, &engine.socket, &folder);
    parties.settle(Duration::from_secs(5));
    let name = name(&parties, A);
    assert!(name.starts_with("\u{1b}[2J\né"));
    assert_eq!(name.chars().count(), 256);
}
