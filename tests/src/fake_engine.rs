//! An engine that lies: a Unix socket that answers garbage, without end, nothing, or names of its
//! own choosing in Docker's REST form.

use crate::keeper::own_folder;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How the engine behaves.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Bytes that are no HTTP.
    Garbage,
    /// A well-formed answer of 100 MB.
    Huge,
    /// Takes connections and says nothing.
    Silent,
    /// Closes every connection at once.
    Closing,
    /// Docker's answers with these containers: id, name, image.
    Containers(Vec<(String, String, String)>),
}

/// A listening fake.
#[derive(Debug)]
pub struct FakeEngine {
    socket: PathBuf,
    ended: Arc<AtomicBool>,
}

impl FakeEngine {
    /// Listens at a socket named after `name`.
    pub fn start(name: &str, behaviour: Behaviour) -> Result<FakeEngine> {
        let socket = own_folder(name)?.join("engine.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("listen at {}", socket.display()))?;
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (behaviour, stop) = (behaviour.clone(), Arc::clone(&stop));
                // A client that goes away in the middle is what most of these behaviours are for.
                thread::spawn(move || drop(serve(stream, &behaviour, &stop)));
            }
        });
        Ok(FakeEngine { socket, ended })
    }

    /// The argument that points `dunnage` here, as an engine of this kind.
    #[must_use]
    pub fn arguments(&self, kind: &str) -> Vec<String> {
        vec![
            "--engine-socket".to_owned(),
            format!("{kind}={}", self.socket.display()),
        ]
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener sees the end at its next connection: this one.
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
        if let Some(folder) = self.socket.parent() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn serve(mut stream: UnixStream, behaviour: &Behaviour, stop: &AtomicBool) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Closing => Ok(()),
        Behaviour::Silent => hold(stop),
        Behaviour::Garbage => {
            stream.write_all(
                &[0xff, 0x00, 0x1b, b'[', b'2', b'J', b'\n', b'{', 0xfe, 0x80].repeat(4096),
            )?;
            Ok(())
        }
        Behaviour::Huge => {
            read_request(&mut stream)?;
            huge(&mut stream)
        }
        Behaviour::Containers(containers) => {
            while let Some(path) = read_request(&mut stream)? {
                answer(&mut stream, &path, containers, stop)?;
            }
            Ok(())
        }
    }
}

fn hold(stop: &AtomicBool) -> std::io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Reads one request's head; its path, or nothing at the end of the connection.
fn read_request(stream: &mut UnixStream) -> std::io::Result<Option<String>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    Ok(first.split(' ').nth(1).map(str::to_owned))
}

fn huge(stream: &mut UnixStream) -> std::io::Result<()> {
    const LENGTH: usize = 100_000_000;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {LENGTH}\r\n\r\n[\""
    )?;
    let block = vec![b'a'; 1_000_000];
    for _ in 0..LENGTH / block.len() {
        stream.write_all(&block)?;
    }
    Ok(())
}

fn answer(
    stream: &mut UnixStream,
    path: &str,
    containers: &[(String, String, String)],
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let path = path.split('?').next().unwrap_or(path);
    let body = if path.ends_with("/containers/json") {
        Value::Array(containers.iter().map(listed).collect())
    } else if path.ends_with("/version") {
        json!({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"})
    } else if path.ends_with("/events") {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )?;
        return hold(stop);
    } else if let Some(container) = containers
        .iter()
        .find(|container| path.ends_with(&format!("/containers/{}/json", container.0)))
    {
        json!({"Id": container.0, "Name": format!("/{}", container.1), "Config": {"Image": container.2, "Labels": {}}, "State": {"Pid": 1, "Status": "running"}})
    } else if path.ends_with("/_ping") {
        Value::String("OK".to_owned())
    } else {
        json!({})
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn listed((id, name, image): &(String, String, String)) -> Value {
    json!({"Id": id, "Names": [format!("/{name}")], "Image": image, "ImageID": "", "Command": "", "Created": 1, "Labels": {"note": name}, "State": "running", "Status": "Up", "Ports": [], "HostConfig": {"NetworkMode": "none"}, "Mounts": []})
}
