//! Frames of two other encoders, and frames that somebody damaged.

use super::*;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// By `zstd` 1.5.4: the text at level 19, then the first 20,000 bytes of it at level 1.
const REFERENCE: &[u8] = include_bytes!("reference.zst");
const FIRST: usize = 20_000;

fn text() -> Vec<u8> {
    let line = |n: u32| {
        format!(
            "{} {} lib{}.so.{}\n",
            n * n % 977,
            n % 13,
            n % 31,
            n * 7 % 5
        )
    };
    (0..6000).map(line).collect::<String>().into_bytes()
}

fn unpack(frames: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    // A source that yields little at a time: frames begin and end anywhere in its buffer.
    let mut frames = Frames::new(io::BufReader::with_capacity(piece.max(1), frames));
    let mut bytes = Vec::new();
    frames.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn what_the_reference_packed_comes_out_whole() {
    let mut expected = text();
    expected.extend_from_within(..FIRST);
    for piece in [1, 7, 4096, 1 << 18] {
        assert_eq!(unpack(REFERENCE, piece).unwrap(), expected, "{piece}");
    }
}

#[test]
fn a_frame_that_is_cut_anywhere_is_an_error() {
    let frame = compress_to_vec(&text()[..FIRST], CompressionLevel::Fastest);
    // At 0 there is no frame at all.
    for end in 1..frame.len() {
        assert!(unpack(&frame[..end], 4096).is_err(), "{end}");
    }
}

#[test]
fn a_frame_with_a_wrong_byte_in_its_checksum_is_an_error() {
    let mut frame = compress_to_vec(&text()[..FIRST], CompressionLevel::Fastest);
    *frame.last_mut().unwrap() ^= 1;
    let error = unpack(&frame, 4096).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn a_frame_that_holds_less_than_it_promises_is_an_error() {
    // One segment of 2 bytes, no checksum; a raw last block of 1 byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 2, 0b1001, 0, 0, b'x'];
    assert!(unpack(&frame, 4096).is_err());
}

proptest! {
    #[test]
    fn what_another_encoder_packed_comes_out_whole(
        words in prop::collection::vec((0usize..40, any::<u8>()), 0..2000),
        piece in 1usize..5000,
    ) {
        let content: Vec<u8> = words.iter().flat_map(|&(count, byte)| vec![byte; count]).collect();
        let frame = compress_to_vec(&content[..], CompressionLevel::Fastest);
        prop_assert_eq!(unpack(&frame, piece).unwrap(), content);
    }

    /// The digest is checked at the end of a layer, so that everything before it may be anybody's.
    #[test]
    fn damage_ends_in_an_error_or_in_as_many_bytes(
        damage in prop::collection::vec((0usize..REFERENCE.len(), any::<u8>()), 1..8),
    ) {
        let mut frames = REFERENCE.to_vec();
        for (at, byte) in damage {
            frames[at] = byte;
        }
        if let Ok(bytes) = unpack(&frames, 4096) {
            // A block holds at most 128 KiB, and its head alone takes three bytes.
            prop_assert!(bytes.len() <= frames.len() / 3 * (128 << 10));
        }
    }
}
