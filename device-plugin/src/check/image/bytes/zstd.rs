//! Zstandard, frame after frame (RFC 8878); the decoder itself knows one frame.

use super::super::error::StreamFault;
use super::super::limits::ZSTD_WINDOW;
use std::io::{self, BufRead, Read};
use structured_zstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use structured_zstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What comes out of all frames of `source`.
pub(super) struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    inside: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> Frames<R> {
        Frames {
            source,
            decoder: FrameDecoder::new(),
            inside: false,
        }
    }

    /// Enters the next frame; false where there is none.
    fn enter(&mut self) -> io::Result<bool> {
        (self.decoder)
            .set_max_window_size(ZSTD_WINDOW)
            .map_err(of_frame)?;
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.pass(u64::from(length))?,
                Err(error) => return Err(of_frame(error)),
            }
        }
        Ok(false)
    }

    fn pass(&mut self, count: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.source).take(count), &mut io::sink())?;
        if passed < count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        self.inside = false;
        self.decoder.verify_content_size().map_err(of_frame)?;
        let promised = self.decoder.get_checksum_from_data();
        if promised.is_some() && promised != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "zstd: the checksum of a frame is wrong",
            ));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside && !self.enter()? {
                return Ok(0);
            }
            while self.decoder.can_collect() < buffer.len() && !self.decoder.is_finished() {
                let wanted = buffer.len() - self.decoder.can_collect();
                let strategy = BlockDecodingStrategy::UptoBytes(wanted);
                (self.decoder)
                    .decode_blocks(&mut self.source, strategy)
                    .map_err(of_frame)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.leave()?;
        }
    }
}

/// The words of the decoder; a fault of the source stays what it was.
fn of_frame(error: FrameDecoderError) -> io::Error {
    let text = format!("zstd: {error}");
    if let FrameDecoderError::WindowSizeTooBig { .. } = error {
        return StreamFault::Refused(text).into_io();
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
