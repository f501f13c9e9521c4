//! Blobs: read ahead, verified, decompressed, cut, and too much of them.

use super::super::error::ImageError;
use super::*;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn section(bytes: &[u8]) -> Section {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Section::whole(file).unwrap()
}

fn all(tar: &mut Tar) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    tar.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(next).collect()
}

#[test]
fn compressed_blobs_are_verified_and_plain_ones_are_sought_in() {
    let content = noise(3 << 20);
    for packed in [
        gzip(&content),
        ruzstd::encoding::compress_to_vec(
            &content[..],
            ruzstd::encoding::CompressionLevel::Fastest,
        ),
        content.clone(),
    ] {
        let digest = Digest::of(&packed);
        let budget = Budget::default();
        let mut tar = open_tar(section(&packed), Some(&digest), &budget).unwrap();
        let mut some = [0; 100];
        tar.read_exact(&mut some).unwrap();
        tar.skim((1 << 20) - 100).unwrap();
        assert_eq!(all(&mut tar).unwrap(), &content[1 << 20..]);
        let mut tar = open_tar(section(&packed), Some(&digest), &budget).unwrap();
        tar.skim(3 << 20).unwrap();
        assert_eq!(
            tar.skim(1).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}

#[test]
fn a_wrong_digest_a_wrong_checksum_and_a_cut_show() {
    let content = noise(1 << 20);
    let packed = gzip(&content);
    let budget = Budget::default();
    let mut tar = open_tar(section(&packed), Some(&Digest::of(b"")), &budget).unwrap();
    let error = ImageError::reading("blob", all(&mut tar).unwrap_err());
    assert!(matches!(error, ImageError::Digest { .. }), "{error}");
    let mut wrong = packed.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    for bytes in [&wrong[..], &packed[..packed.len() / 2]] {
        let mut tar = open_tar(section(bytes), None, &budget).unwrap();
        let error = ImageError::reading("blob", all(&mut tar).unwrap_err());
        assert!(matches!(error, ImageError::Broken { .. }), "{error}");
    }
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused() {
    // Magic; no content size, no checksum; an exponent of 21: 2^31 bytes; a raw last block of 1 byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 0b1001, 0, 0, b'x'];
    let mut tar = open_tar(section(&frame), None, &Budget::default()).unwrap();
    let error = ImageError::reading("blob", all(&mut tar).unwrap_err());
    assert!(matches!(error, ImageError::Refused { .. }), "{error}");
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3, 0b1001, 0, 0, b'x'];
    let mut tar = open_tar(section(&frame), None, &Budget::default()).unwrap();
    assert_eq!(all(&mut tar).unwrap(), b"x");
}

#[test]
fn forms_that_are_not_read_are_named() {
    for (bytes, name) in [
        (&b"\xfd7zXZ\0\0\0"[..], "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x04\x22\x4d\x18....", "lz4"),
    ] {
        let error = open_tar(section(bytes), None, &Budget::default())
            .err()
            .unwrap();
        let error = ImageError::reading("blob", error).to_string();
        assert!(error.contains(name), "{error}");
    }
}
