//! Engines that send an image: Docker, and Podman in Docker's words, by their socket.
//!
//! `GET /images/NAME/get` of Docker's Engine API streams what `docker save` writes, and
//! `GET /images/NAME/json` tells what the image is.

use super::digest::Digest;
use super::error::ImageError;
use super::limits::DOCUMENT_BYTES;
use super::reference::Reference;
use serde::Deserialize;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An engine may have to put an image together before it sends the first byte.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer's header, and of an error's text.
const HEADER: u64 = 16 << 10;

/// A request for an image that can be made again.
#[derive(Clone, Debug)]
pub(super) struct Request {
    socket: PathBuf,
    reference: String,
}

/// What is believed of an engine's description only where it can be read as one.
#[derive(Deserialize)]
struct Description {
    #[serde(rename = "Id")]
    id: String,
}

/// What engines say of an error.
#[derive(Deserialize)]
struct Complaint {
    message: String,
}

/// The sockets where engines listen, those of the environment first; each once, by whatever path.
pub(super) fn sockets() -> Vec<PathBuf> {
    let named = ["DOCKER_HOST", "CONTAINER_HOST"].iter().filter_map(|name| {
        let value = std::env::var(name).ok()?;
        value.strip_prefix("unix://").map(PathBuf::from)
    });
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = own
        .into_iter()
        .flat_map(|dir| [dir.join("docker.sock"), dir.join("podman/podman.sock")]);
    let usual = [
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/podman/podman.sock",
    ];
    let mut all: Vec<PathBuf> = Vec::new();
    let mut known: Vec<PathBuf> = Vec::new();
    for socket in named.chain(usual.map(PathBuf::from)).chain(own) {
        // /var/run is a link to /run nearly everywhere.
        let place = socket.canonicalize().unwrap_or_else(|_| socket.clone());
        if !known.contains(&place) {
            known.push(place);
            all.push(socket);
        }
    }
    all
}

/// Whether an engine can be asked for it.
///
/// # Errors
/// [`ImageError::Unsupported`] where it is neither a reference nor an image's id.
pub(super) fn check(reference: &str) -> Result<(), ImageError> {
    let id = reference.strip_prefix("sha256:").unwrap_or(reference);
    let is_id = (12..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        Reference::parse(reference)?;
    }
    Ok(())
}

impl Request {
    /// # Errors
    /// [`ImageError::Unsupported`] where `reference` is neither a reference nor an image's id.
    pub(super) fn new(socket: &Path, reference: &str) -> Result<Request, ImageError> {
        check(reference)?;
        Ok(Request {
            socket: socket.to_owned(),
            reference: reference.to_owned(),
        })
    }

    /// Asks for the image; what comes back is an archive.
    ///
    /// # Errors
    /// [`ImageError::Absent`] where the engine does not have it, [`ImageError::Io`] where nobody
    /// answers, [`ImageError::Unsupported`] with the engine's words for everything else.
    pub(super) fn send(&self) -> Result<BufReader<UnixStream>, ImageError> {
        self.answer("get")
    }

    /// What the engine says of the image, its id among that: the digest of its configuration or of
    /// its manifest. Another image has another answer.
    ///
    /// # Errors
    /// As [`Request::send`]; [`ImageError::Broken`] where no id is told.
    pub(super) fn describe(&self) -> Result<String, ImageError> {
        let what = self.what();
        let mut text = String::new();
        self.answer("json")?
            .take(DOCUMENT_BYTES as u64)
            .read_to_string(&mut text)
            .map_err(|error| ImageError::reading(&what, error))?;
        let said: Description = serde_json::from_str(&text)
            .map_err(|error| ImageError::broken(&what, error.to_string()))?;
        let id = said.id.strip_prefix("sha256:").unwrap_or(&said.id);
        if Digest::parse(&format!("sha256:{id}")).is_none() {
            return Err(ImageError::broken(&what, "the engine tells no id of it"));
        }
        Ok(text)
    }

    /// The image and the engine, for messages.
    pub(super) fn what(&self) -> String {
        format!(
            "{} of the engine at {}",
            self.reference,
            self.socket.display()
        )
    }

    fn answer(&self, question: &str) -> Result<BufReader<UnixStream>, ImageError> {
        let what = self.what();
        let reading = |error| ImageError::Io {
            what: what.clone(),
            error,
        };
        let mut answer = self.ask(question).map_err(reading)?;
        let status = status(&mut answer).map_err(reading)?;
        if status == 200 {
            return Ok(answer);
        }
        let mut text = String::new();
        // An error's text that is cut or not UTF-8 is no reason to say less.
        let _ = answer.take(HEADER).read_to_string(&mut text);
        let text = words(&text);
        if status == 404 {
            return Err(ImageError::Absent { what, why: text });
        }
        Err(ImageError::Unsupported {
            what,
            why: format!("the engine answers {status}: {text}"),
        })
    }

    fn ask(&self, question: &str) -> io::Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // 1.0, so that the body comes as it is and ends with the connection.
        let request = format!(
            "GET /images/{}/{question} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            self.reference
        );
        stream.write_all(request.as_bytes())?;
        Ok(BufReader::with_capacity(1 << 16, stream))
    }
}

/// What an engine says of an error, out of its JSON where it is that.
fn words(answer: &str) -> String {
    let said = serde_json::from_str::<Complaint>(answer);
    let text = said.map_or_else(|_| answer.to_owned(), |said| said.message);
    text.trim().chars().take(512).collect()
}

/// Reads the header of an answer; its status.
fn status(answer: &mut BufReader<UnixStream>) -> io::Result<u16> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "no answer in HTTP");
    let mut header = answer.take(HEADER);
    let mut line = Vec::new();
    let mut status = None;
    loop {
        line.clear();
        header.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(odd());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        match status {
            None => {
                let code = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
                status = Some(code.and_then(|code| code.parse().ok()).ok_or_else(odd)?);
            }
            Some(status) if text.is_empty() => return Ok(status),
            Some(_) if text.to_ascii_lowercase().starts_with("transfer-encoding:") => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the engine sends in pieces what was asked for in one",
                ));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Answers one request with `answer`; what was asked, and what the client made of it.
    fn exchange(reference: &str, answer: &[u8]) -> (String, Result<Vec<u8>, ImageError>) {
        served(answer, |socket| {
            let mut body = Request::new(socket, reference).unwrap().send()?;
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes).unwrap();
            Ok(bytes)
        })
    }

    /// What was asked of an engine that answers once, and what `client` made of that.
    fn served<T>(answer: &[u8], client: impl FnOnce(&Path) -> T) -> (String, T) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = answer.to_vec();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream);
            let mut asked = String::new();
            while !asked.ends_with("\r\n\r\n") {
                assert!(lines.read_line(&mut asked).unwrap() > 0);
            }
            // A client that has read enough hangs up.
            let _ = lines.get_mut().write_all(&answer);
            asked
        });
        let made = client(&socket);
        (server.join().unwrap(), made)
    }

    #[test]
    fn the_body_is_what_comes_behind_the_header() {
        let (asked, body) = exchange("a/b:1", b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nbody\r\n\r\n");
        assert!(
            asked.starts_with("GET /images/a/b:1/get HTTP/1.0\r\n"),
            "{asked}"
        );
        assert_eq!(body.unwrap(), b"body\r\n\r\n");
    }

    #[test]
    fn an_image_is_known_by_all_that_the_engine_says_of_it() {
        let said = |body: &str| {
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
            served(answer.as_bytes(), |socket| {
                Request::new(socket, "a/b:1").unwrap().describe()
            })
        };
        let docker = format!(r#"{{"Id":"sha256:{}","Size":1}}"#, "0a".repeat(32));
        let (asked, text) = said(&docker);
        assert!(asked.starts_with("GET /images/a/b:1/json HTTP/1.0\r\n"));
        assert_eq!(text.unwrap(), docker);
        let podman = format!(r#"{{"Id":"{}"}}"#, "0a".repeat(32));
        assert!(said(&podman).1.is_ok());
        for odd in [
            "",
            "{}",
            "[]",
            r#"{"Id":"../x"}"#,
            r#"{"Id":7}"#,
            r#"{"Id":""}"#,
        ] {
            assert!(said(odd).1.is_err(), "{odd}");
        }
    }

    #[test]
    fn odd_answers_are_errors() {
        let endless = [b'a'; 100_000];
        for answer in [
            &b""[..],
            b"HTTP/1.0 2",
            b"HTTP/1.0 200 OK\r\n",
            b"SSH-2.0\r\n\r\n",
            &endless,
        ] {
            let (_, body) = exchange("a", answer);
            assert!(matches!(body.unwrap_err(), ImageError::Io { .. }));
        }
        let (_, body) = exchange(
            "a",
            b"HTTP/1.1 404 Not Found\r\n\r\n{\"message\":\"no such\"}",
        );
        let error = body.unwrap_err();
        assert!(matches!(&error, ImageError::Absent { why, .. } if why == "no such"));
        let (_, body) = exchange("a", b"HTTP/1.1 404 Not Found\r\n\r\n<p>not here");
        let error = body.unwrap_err();
        assert!(matches!(&error, ImageError::Absent { why, .. } if why == "<p>not here"));
        let (_, body) = exchange("a", b"HTTP/1.1 500 Oh\r\n\r\nbad");
        assert!(body.unwrap_err().to_string().contains("500: bad"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert!(exchange("a", chunked).1.is_err());
    }

    #[test]
    fn no_name_leads_to_another_request() {
        for reference in ["a b", "a\r\nX: y", "../x", "a?b", "a#b", "a%2e"] {
            assert!(
                Request::new(Path::new("/s"), reference).is_err(),
                "{reference:?}"
            );
        }
        assert!(Request::new(Path::new("/s"), &"0a".repeat(32)).is_ok());
    }
}
