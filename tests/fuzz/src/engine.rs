//! An engine that answers every question with the same bytes.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The frames of HTTP/2 that matter here (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What the client says first (section 3.4).
const PREFACE: usize = 24;
/// The largest frame that needs no settings.
const FRAME: usize = 16_384;

/// What the bytes are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// The body of an HTTP/1.1 answer, as Docker's and Podman's interface give it.
    Rest,
    /// The message of a gRPC answer, as containerd and CRI give it.
    Grpc,
    /// Nothing at all.
    Raw,
}

/// Listens on a Unix socket until the process ends.
pub struct Engine {
    socket: PathBuf,
    answer: Arc<Mutex<(Wrapping, Vec<u8>)>>,
}

impl Engine {
    /// Starts to listen.
    ///
    /// # Panics
    /// Where the socket cannot be made: then nothing can be tested.
    #[must_use]
    pub fn start() -> Engine {
        // The fuzzer's main is not Rust's, which would have seen to this: who is gone costs an error.
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::default())
            .expect("SIGPIPE can be caught");
        let name = format!("dunnage-fuzz-engine-{}", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).expect("the socket cannot be made");
        let answer = Arc::new(Mutex::new((Wrapping::Raw, Vec::new())));
        let shared = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (wrapping, bytes) = shared.lock().expect("nobody panics with it").clone();
                // A client that goes away is no fault of the engine's.
                std::thread::spawn(move || serve(stream, wrapping, &bytes));
            }
        });
        Engine { socket, answer }
    }

    /// What is answered from now on.
    ///
    /// # Panics
    /// Never: nobody panics while the answer is held.
    pub fn answer(&self, wrapping: Wrapping, bytes: &[u8]) {
        *self.answer.lock().expect("nobody panics with it") = (wrapping, bytes.to_vec());
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

fn serve(mut stream: UnixStream, wrapping: Wrapping, bytes: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    match wrapping {
        Wrapping::Rest => {
            let mut request = [0; 4096];
            if stream.read(&mut request)? == 0 {
                return Ok(());
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
            stream.write_all(format!("{head}{}\r\n\r\n", bytes.len()).as_bytes())?;
            stream.write_all(bytes)
        }
        Wrapping::Grpc => serve_grpc(stream, bytes),
        Wrapping::Raw => stream.write_all(bytes),
    }
}

/// Answers each request with one message and the status "ok".
fn serve_grpc(mut stream: UnixStream, message: &[u8]) -> io::Result<()> {
    stream.read_exact(&mut [0; PREFACE])?;
    stream.write_all(&frame(SETTINGS, 0, 0, b""))?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        stream.read_exact(&mut vec![0; length])?;
        if kind == SETTINGS && flags & ACK == 0 {
            stream.write_all(&frame(SETTINGS, ACK, 0, b""))?;
        }
        if (kind == HEADERS || kind == DATA) && flags & END_STREAM != 0 {
            stream.write_all(&answer(id, message))?;
        }
    }
}

fn answer(id: u32, message: &[u8]) -> Vec<u8> {
    // :status 200 is number 8 of HPACK's static table (RFC 7541, appendix A).
    let mut headers = vec![0x88];
    headers.extend(literal("content-type", "application/grpc"));
    let mut out = frame(HEADERS, END_HEADERS, id, &headers);
    let mut body = vec![0];
    body.extend(
        u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    body.extend(message);
    for part in body.chunks(FRAME) {
        out.extend(frame(DATA, 0, id, part));
    }
    out.extend(frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        id,
        &literal("grpc-status", "0"),
    ));
    out
}

/// A header field that is not remembered; both texts are shorter than 127 bytes.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let short = |text: &str| u8::try_from(text.len()).unwrap_or(0);
    let mut out = vec![0, short(name)];
    out.extend(name.bytes());
    out.push(short(value));
    out.extend(value.bytes());
    out
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(id.to_be_bytes());
    out.extend(payload);
    out
}
