//! What an entry of a tar file is, and what can be wrong with it.

/// What is wrong with a tar file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TarFault {
    /// The checksum of a header.
    #[error("no tar header: its checksum is wrong")]
    Checksum,
    /// A size.
    #[error("a size that is no number, negative, or beyond 2^63")]
    Size,
    /// A sparse map.
    #[error("the map of a sparse file that cannot be, or is larger than is read")]
    Sparse,
    /// An extended header.
    #[error("an extended header that is not made of records, or longer than 1 MiB")]
    Pax,
    /// A name.
    #[error("a name longer than the 4096 bytes that Linux takes")]
    Name,
    /// The end.
    #[error("it ends within an entry")]
    Truncated,
    /// The end mark.
    #[error("a block of zeros that is not the end")]
    LoneZero,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// A device, a fifo, or a type of no meaning here; the flag.
    Other(u8),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as it stands there.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of content, holes included; 0 for all but files.
    pub size: u64,
    /// The target, of links.
    pub link: Vec<u8>,
    /// Where the content begins in the tar file, in bytes.
    pub offset: u64,
    /// Whether the content has holes, and is not simply what begins at `offset`.
    pub sparse: bool,
    /// Whether anybody may run it, by its mode.
    pub executable: bool,
}
