//! Why an image cannot be read.

use std::io;

/// Why an image cannot be read, in words for an operator: what was read, where, what is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file or a socket of this machine cannot be opened or read.
    #[error("cannot read {what}: {error}")]
    Io {
        /// The path or the blob, and what it is.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// The bytes are not what their place says: no archive, no manifest, a broken layer.
    #[error("{what} is broken: {why}")]
    Broken {
        /// The path or the blob.
        what: String,
        /// What is wrong, and where in it.
        why: String,
    },
    /// More than is taken from any image; the limits stand in [`super::limits`].
    #[error("{what} is refused: {why}")]
    Refused {
        /// The path or the blob.
        what: String,
        /// Which limit, and what was there.
        why: String,
    },
    /// The bytes of a blob are not those that its digest promises.
    #[error(
        "{blob} does not hold what its digest says; found sha256:{found}. Pull or save the image again"
    )]
    Digest {
        /// The digest that was asked for.
        blob: String,
        /// The digest of the bytes, in hexadecimal.
        found: String,
    },
    /// There is no such image here, or a part of it is absent.
    #[error("{what} is not there: {why}")]
    Absent {
        /// The reference, the tag or the blob.
        what: String,
        /// Where it was looked for, and what helps.
        why: String,
    },
    /// The image is not made for the platform.
    #[error("{what} has nothing for {wanted}; it has {there}")]
    Platform {
        /// The image.
        what: String,
        /// The platform asked for.
        wanted: String,
        /// The platforms that it is made for.
        there: String,
    },
    /// The archive or folder holds several images.
    #[error("{what} holds several images ({names}); say which one: save it alone")]
    Several {
        /// The archive or folder.
        what: String,
        /// Their names, some of them.
        names: String,
    },
    /// A form that this reader does not know.
    #[error("{what}: {why}")]
    Unsupported {
        /// The path or the blob.
        what: String,
        /// What it is.
        why: String,
    },
    /// No engine answers.
    #[error("no engine that has {reference} could be asked: {tried}")]
    Engine {
        /// The image asked for.
        reference: String,
        /// What was tried, and what each said.
        tried: String,
    },
    /// All engines answer, and none has it.
    #[error(
        "no engine here has {reference} ({tried}): pull it first, or give the path of an archive, of a \
         layout or of a root folder"
    )]
    Unknown {
        /// The image asked for.
        reference: String,
        /// What each said.
        tried: String,
    },
}

/// What goes wrong inside a stream, carried by an [`io::Error`] through the decoders.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamFault {
    /// The digest of a blob is another.
    #[error("the digest does not match; found sha256:{found}")]
    Digest {
        /// What was computed.
        found: String,
    },
    /// A limit is passed.
    #[error("{0}")]
    Refused(String),
    /// What is compressed in a way that is not read here.
    #[error("{0}")]
    Unsupported(String),
}

impl StreamFault {
    /// As an error of reading.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

impl ImageError {
    /// What an error of reading `what` means: a fault that travelled inside it, broken data, or the
    /// system's own words.
    pub(super) fn reading(what: &str, error: io::Error) -> ImageError {
        let what = what.to_owned();
        match fault_in(&error) {
            Some(StreamFault::Digest { found }) => ImageError::Digest {
                blob: what,
                found: found.clone(),
            },
            Some(StreamFault::Refused(why)) => ImageError::Refused {
                what,
                why: why.clone(),
            },
            Some(StreamFault::Unsupported(why)) => ImageError::Unsupported {
                what,
                why: why.clone(),
            },
            None => match error.kind() {
                io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::Other => ImageError::Broken {
                    what,
                    why: error.to_string(),
                },
                _ => ImageError::Io { what, error },
            },
        }
    }

    /// `what` is broken because of `why`.
    pub(super) fn broken(what: impl Into<String>, why: impl Into<String>) -> ImageError {
        ImageError::Broken {
            what: what.into(),
            why: why.into(),
        }
    }

    /// `what` is refused because of `why`.
    pub(super) fn refused(what: impl Into<String>, why: impl Into<String>) -> ImageError {
        ImageError::Refused {
            what: what.into(),
            why: why.into(),
        }
    }
}

/// The fault inside `error`: decoders wrap what they are given, so its sources are looked through.
fn fault_in(error: &io::Error) -> Option<&StreamFault> {
    let mut next: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|inner| inner as _);
    while let Some(inner) = next {
        if let Some(fault) = inner.downcast_ref::<StreamFault>() {
            return Some(fault);
        }
        // An io::Error shows the source of what it carries, and not what it carries.
        next = match inner.downcast_ref::<io::Error>() {
            Some(carrier) => carrier.get_ref().map(|inner| inner as _),
            None => inner.source(),
        };
    }
    None
}
