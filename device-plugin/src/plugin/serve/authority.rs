//! Requests whose `:authority` is a socket's path.
//!
//! Kubelets before 1.26 and many other clients dial a Unix socket and send its path, plain or
//! percent-encoded, as `:authority`. That is no authority by RFC 3986, and h2 refuses the request
//! with PROTOCOL_ERROR (hyperium/h2 #487). So the bytes that come in are read frame by frame
//! (RFC 9113, 4.1), and each header block is decoded (HPACK, RFC 7541) and written again as plain
//! literals, with `localhost` for its authority. Nothing of it stays in a table: what is written
//! again needs none. All other frames go through as they came.

use bytes::{BufMut, BytesMut};
use loona_hpack::Decoder;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a client sends before its first frame.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a server allows which does not say otherwise (SETTINGS_MAX_FRAME_SIZE).
const FRAME_LIMIT: usize = 16_384;
/// The largest header block of one request, compressed; those of gRPC have some hundred bytes.
const BLOCK_LIMIT: usize = 65_536;
/// The largest header block when it is decoded: a small one can name a large table entry often.
const DECODED_LIMIT: usize = 65_536;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The head of a frame.
#[derive(Clone, Copy)]
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: [u8; 4],
}

impl Head {
    fn parse(bytes: [u8; 9]) -> Head {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        Head {
            length,
            kind,
            flags,
            stream,
        }
    }

    fn put(self, out: &mut BytesMut) {
        let [.., a, b, c] = self.length.to_be_bytes();
        out.put_slice(&[a, b, c, self.kind, self.flags]);
        out.put_slice(&self.stream);
    }
}

/// Copies what a client sends to `out`, with every authority made one, until the client ends.
///
/// # Errors
/// Where reading or writing fails, or the client does not speak HTTP/2.
pub(super) async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut out: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut preface = [0; PREFACE.len()];
    if !filled(&mut from, &mut preface).await? {
        return Ok(());
    }
    if preface != *PREFACE {
        return Err(broken("the client does not speak HTTP/2"));
    }
    out.write_all(&preface).await?;
    let mut decoder = Decoder::new();
    let mut payload = BytesMut::with_capacity(1024);
    let mut frames = BytesMut::new();
    let mut head = [0; 9];
    while filled(&mut from, &mut head).await? {
        let head = Head::parse(head);
        if head.length > FRAME_LIMIT {
            return Err(broken("a frame is larger than was agreed"));
        }
        payload.resize(head.length, 0);
        from.read_exact(&mut payload).await?;
        frames.clear();
        if head.kind == HEADERS {
            let block = whole_block(&mut from, head, &payload).await?;
            put_headers(head, &rewritten(&mut decoder, &block)?, &mut frames);
        } else {
            head.put(&mut frames);
            frames.put_slice(&payload);
        }
        out.write_all(&frames).await?;
    }
    out.shutdown().await
}

/// Whether `buffer` could be filled; an end before its first byte is the client's end.
async fn filled(from: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<bool> {
    let first = from.read(buffer).await?;
    if first == 0 {
        return Ok(false);
    }
    let rest = buffer.get_mut(first..).unwrap_or_default();
    from.read_exact(rest).await?;
    Ok(true)
}

/// The header block of a request: of its first frame, and of those that continue it.
async fn whole_block(
    from: &mut (impl AsyncRead + Unpin),
    head: Head,
    payload: &[u8],
) -> io::Result<Vec<u8>> {
    let mut block = fragment(head, payload)
        .ok_or_else(|| broken("the padding of a header frame is longer than the frame"))?
        .to_vec();
    let mut flags = head.flags;
    while flags & END_HEADERS == 0 {
        let mut next = [0; 9];
        from.read_exact(&mut next).await?;
        let next = Head::parse(next);
        if next.kind != CONTINUATION || next.stream != head.stream {
            return Err(broken("a header block is not continued"));
        }
        if next.length > FRAME_LIMIT || block.len() + next.length > BLOCK_LIMIT {
            return Err(broken("a header block is too large"));
        }
        let start = block.len();
        block.resize(start + next.length, 0);
        from.read_exact(block.get_mut(start..).unwrap_or_default())
            .await?;
        flags = next.flags;
    }
    Ok(block)
}

/// A header frame's own part of the block, without padding and priority.
fn fragment(head: Head, mut payload: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    if head.flags & PADDED != 0 {
        let (first, rest) = payload.split_first()?;
        padding = usize::from(*first);
        payload = rest;
    }
    if head.flags & PRIORITY != 0 {
        payload = payload.get(5..)?;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

/// The block with `localhost` for its authority, as literals that need no table.
fn rewritten(decoder: &mut Decoder<'_>, block: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(block.len() * 2);
    let decoded = decoder.decode_with_cb(block, |name, value| {
        let value: &[u8] = if *name == *b":authority" {
            b"localhost"
        } else {
            &value
        };
        if out.len() <= DECODED_LIMIT {
            // Literal without indexing, with a name of its own: RFC 7541, 6.2.2.
            out.push(0);
            put_string(&name, &mut out);
            put_string(value, &mut out);
        }
    });
    match decoded {
        Ok(()) if out.len() <= DECODED_LIMIT => Ok(out),
        Ok(()) => Err(broken("a header block is too large")),
        Err(_) => Err(broken("a header block cannot be decoded")),
    }
}

/// A string literal without Huffman coding: RFC 7541, 5.2.
fn put_string(text: &[u8], out: &mut Vec<u8>) {
    let length = text.len();
    if length < 127 {
        out.extend(u8::try_from(length));
    } else {
        out.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            out.extend(u8::try_from(rest % 128 + 128));
            rest /= 128;
        }
        out.extend(u8::try_from(rest));
    }
    out.extend_from_slice(text);
}

/// A block as one header frame and as many continuations as it needs.
fn put_headers(head: Head, block: &[u8], out: &mut BytesMut) {
    let mut parts = block.chunks(FRAME_LIMIT).peekable();
    let mut kind = HEADERS;
    let mut flags = head.flags & END_STREAM;
    if parts.peek().is_none() {
        let (length, flags) = (0, flags | END_HEADERS);
        Head {
            length,
            kind,
            flags,
            ..head
        }
        .put(out);
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            flags |= END_HEADERS;
        }
        let length = part.len();
        Head {
            length,
            kind,
            flags,
            ..head
        }
        .put(out);
        out.put_slice(part);
        kind = CONTINUATION;
        flags = 0;
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block that names its authority by the table of the connection, as grpc-go does from the
    /// second request on.
    fn block(authority: &[u8]) -> Vec<u8> {
        // 0x41: literal with incremental indexing, name of entry 1 (`:authority`).
        let mut block = vec![0x83, 0x86, 0x41];
        put_string(authority, &mut block);
        block
    }

    fn decoded(block: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        Decoder::new().decode(block).unwrap()
    }

    #[test]
    fn every_authority_becomes_one_also_by_the_table() {
        let mut decoder = Decoder::new();
        let path = b"%2Fvar%2Flib%2Fkubelet%2Fdevice-plugins%2Fx.sock";
        // 0xbe: indexed, the newest entry of the table.
        for sent in [block(path), vec![0x83, 0x86, 0xbe], block(b"/run/x.sock")] {
            let headers = decoded(&rewritten(&mut decoder, &sent).unwrap());
            let authority = (b":authority".to_vec(), b"localhost".to_vec());
            assert_eq!(headers.len(), 3);
            assert!(headers.contains(&authority), "{headers:?}");
        }
    }

    #[test]
    fn padding_and_priority_are_no_part_of_the_block() {
        let head = |flags| Head {
            length: 0,
            kind: HEADERS,
            flags,
            stream: [0; 4],
        };
        assert_eq!(fragment(head(0), b"abc"), Some(&b"abc"[..]));
        let padded = [2, b'a', 0, 0];
        assert_eq!(fragment(head(PADDED), &padded), Some(&b"a"[..]));
        let both = [1, 0, 0, 0, 0, 9, b'a', 0];
        assert_eq!(fragment(head(PADDED | PRIORITY), &both), Some(&b"a"[..]));
        assert_eq!(fragment(head(PADDED), &[9, 0]), None);
        assert_eq!(fragment(head(PRIORITY), &[0, 0]), None);
    }

    #[test]
    fn a_small_block_cannot_become_a_large_one() {
        let mut decoder = Decoder::new();
        let mut bomb = vec![0x40];
        put_string(b"x", &mut bomb);
        put_string(&[b'y'; 4000], &mut bomb);
        bomb.extend(std::iter::repeat_n(0xbe, 60));
        assert!(rewritten(&mut decoder, &bomb).is_err());
    }

    proptest! {
        #[test]
        fn a_block_of_any_length_goes_into_frames(length in 0_usize..50_000) {
            let head = Head { length: 0, kind: HEADERS, flags: END_STREAM, stream: [0, 0, 0, 7] };
            let block = vec![7; length];
            let mut out = BytesMut::new();
            put_headers(head, &block, &mut out);
            let mut rest = &out[..];
            let mut joined = Vec::new();
            let mut ended = false;
            while !rest.is_empty() {
                prop_assert!(!ended);
                let head = Head::parse(rest[..9].try_into().unwrap());
                prop_assert!(head.length <= FRAME_LIMIT);
                joined.extend_from_slice(&rest[9..9 + head.length]);
                rest = &rest[9 + head.length..];
                ended = head.flags & END_HEADERS != 0;
            }
            prop_assert!(ended);
            prop_assert_eq!(joined, block);
        }

        #[test]
        fn no_bytes_break_the_copy(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut sent = PREFACE.to_vec();
            sent.extend_from_slice(&bytes);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut out = Vec::new();
            let _ = runtime.block_on(copy(&sent[..], &mut out));
            prop_assert!(out.len() <= sent.len() * 100 + 100_000);
        }
    }
}
