//! What an archive holds: `docker save` of any age, an OCI layout in a tar file, or a root file
//! system as `docker export` writes it.

use super::budget::Budget;
use super::bytes::Section;
use super::error::ImageError;
use super::limits::{ARCHIVE_BLOBS, DOCUMENT_BYTES, DOCUMENTS_BYTES};
use super::platform::Wanted;
use super::resolve::{Blob, Resolved, Store, archive_name, from_document, from_saved};
use super::rootfs::{PROGRAM_DEPTH, PROGRAM_MAGIC, ROOT_FOLDERS};
use super::tar::{Entries, Entry, Kind, Skim};
use std::collections::HashMap;
use std::io::Read;

/// How many links lead from one name of an archive to a file.
const LINKS: usize = 8;

/// Where a name of the archive leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Offset and size of a file.
    File(u64, u64),
    /// Another name: old `docker save` writes a layer once, and links to it.
    Link(String),
}

/// The blobs of an archive, and its documents where it cannot be sought in.
pub(super) struct Archive {
    name: String,
    places: HashMap<String, Place>,
    /// Whether there were more names than are remembered.
    full: bool,
    /// Whether it has `/usr`, `/etc` or the like, or a program where an image of one has it.
    root: bool,
    /// The archive itself, where it can be sought in.
    file: Option<Section>,
    documents: HashMap<String, Vec<u8>>,
}

/// What an archive turned out to be.
pub(super) enum Found {
    /// An image.
    Image(Box<Resolved>),
    /// A root file system: one layer, and nothing said of it.
    Root,
}

impl Archive {
    /// Reads all headers of `tar`. With `file`, the same archive to seek in, documents are read later;
    /// else they are kept.
    pub(super) fn scan(
        name: &str,
        tar: impl Skim,
        file: Option<Section>,
        budget: &Budget,
    ) -> Result<Archive, ImageError> {
        let mut archive = Archive {
            name: name.to_owned(),
            places: HashMap::new(),
            full: false,
            root: false,
            file,
            documents: HashMap::new(),
        };
        let mut entries = Entries::new(tar, budget.clone());
        let mut left = DOCUMENTS_BYTES;
        let reading = |error| ImageError::reading(name, error);
        let mut first = true;
        while let Some(entry) = entries.next_entry().map_err(|error| match reading(error) {
            ImageError::Broken { what, why } if first => no_archive(what, &why),
            other => other,
        })? {
            first = false;
            let path = archive_name(&String::from_utf8_lossy(&entry.path));
            archive.root |= is_root(&path);
            let wanted = archive.file.is_none() && may_be_document(&path, &entry);
            let mut beginning = Vec::new();
            if wanted || !archive.root && may_be_program(&path, &entry) {
                let mut head = (&mut entries).take(PROGRAM_MAGIC.len() as u64);
                head.read_to_end(&mut beginning).map_err(reading)?;
            }
            archive.root |= may_be_program(&path, &entry) && beginning == PROGRAM_MAGIC;
            if wanted {
                let bytes = document(&mut entries, &entry, beginning, left).map_err(reading)?;
                left = left.saturating_sub(bytes.as_ref().map_or(0, Vec::len));
                archive
                    .documents
                    .extend(bytes.map(|bytes| (path.clone(), bytes)));
            }
            archive.note(path, &entry);
        }
        Ok(archive)
    }

    fn note(&mut self, path: String, entry: &Entry) {
        // Blobs lie at most three deep, as blobs/sha256/HEX; root file systems go deeper.
        if path.matches('/').count() > 2 {
            return;
        }
        let place = match entry.kind {
            Kind::File if !entry.sparse => Place::File(entry.offset, entry.size),
            Kind::HardLink => Place::Link(archive_name(&String::from_utf8_lossy(&entry.link))),
            Kind::Symlink => {
                let link = String::from_utf8_lossy(&entry.link);
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                Place::Link(archive_name(&format!("{folder}/{link}")))
            }
            _ => return,
        };
        if self.places.len() < ARCHIVE_BLOBS || self.places.contains_key(&path) {
            // As with any tar file, the last one of a name is what unpacking leaves.
            self.places.insert(path, place);
        } else {
            self.full = true;
        }
    }

    /// What the archive is.
    ///
    /// # Errors
    /// As following its documents; [`ImageError::Unsupported`] where it is neither an image nor a root
    /// file system.
    pub(super) fn find(&self, wanted: &Wanted) -> Result<Found, ImageError> {
        let by_index = self
            .optional("index.json")?
            .map(|bytes| from_document(self, &self.name, &bytes, None, wanted));
        // Docker may save one platform and name all of them in the index.
        if let Some(Ok(resolved)) = by_index {
            return Ok(Found::Image(Box::new(resolved)));
        }
        let by_index = match by_index {
            Some(Err(error)) if !matches!(error, ImageError::Absent { .. }) => return Err(error),
            other => other,
        };
        if let Some(bytes) = self.optional("manifest.json")? {
            let resolved = from_saved(self, &self.name, &bytes, wanted)?;
            return Ok(Found::Image(Box::new(resolved)));
        }
        match by_index {
            Some(Err(error)) => Err(error),
            _ if self.root => Ok(Found::Root),
            _ => Err(no_archive(
                self.name.clone(),
                "neither an image (no index.json, no manifest.json) nor a root file system (no usr, \
                 etc or bin, and no program in it)",
            )),
        }
    }

    fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        if self.places.contains_key(name) {
            self.document(&Blob::Name(name.to_owned())).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The name under which the archive holds the bytes of `blob`, and where.
    pub(super) fn place(&self, blob: &Blob) -> Result<(&str, u64, u64), ImageError> {
        let first = match blob {
            Blob::Digest(digest) => format!("blobs/sha256/{}", digest.hex()),
            Blob::Name(name) => name.clone(),
        };
        let mut name = first.as_str();
        for _ in 0..LINKS {
            match self.places.get_key_value(name) {
                Some((name, Place::File(offset, size))) => return Ok((name, *offset, *size)),
                Some((_, Place::Link(next))) => name = next,
                None => break,
            }
        }
        let why = if self.full {
            format!("the archive has more than the {ARCHIVE_BLOBS} blobs that are looked through")
        } else {
            format!(
                "{} does not have it; was it saved whole, for this platform?",
                self.name
            )
        };
        Err(ImageError::Absent { what: first, why })
    }
}

impl Store for Archive {
    fn document(&self, blob: &Blob) -> Result<Vec<u8>, ImageError> {
        let (name, _, size) = self.place(blob)?;
        if usize::try_from(size).is_ok_and(|size| size <= DOCUMENT_BYTES)
            && (self.file.is_some() || self.documents.contains_key(name))
        {
            if let Some(bytes) = self.documents.get(name) {
                return Ok(bytes.clone());
            }
            let mut bytes = Vec::new();
            let read = self.section(blob)?.read_to_end(&mut bytes);
            read.map_err(|error| ImageError::reading(name, error))?;
            return Ok(bytes);
        }
        let why = format!(
            "{size} bytes; documents have at most {DOCUMENT_BYTES}, and those of a compressed \
             archive {DOCUMENTS_BYTES} together"
        );
        Err(ImageError::refused(name, why))
    }

    fn section(&self, blob: &Blob) -> Result<Section, ImageError> {
        let (name, offset, size) = self.place(blob)?;
        let part = self.file.as_ref().map(|file| file.part(offset, size));
        match part {
            Some(part) if part.len() == size => Ok(part),
            _ => Err(ImageError::broken(name, "the archive ends within it")),
        }
    }
}

/// That a file is none of those that are read.
fn no_archive(what: String, why: &str) -> ImageError {
    let why = format!(
        "{why}; what is read is an archive of `docker save`, an OCI layout, or a whole root file \
         system as `docker export` writes it, as they are or compressed by gzip or zstd"
    );
    ImageError::Unsupported { what, why }
}

fn is_root(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    ROOT_FOLDERS.contains(&first)
}

fn may_be_document(path: &str, entry: &Entry) -> bool {
    entry.kind == Kind::File
        && !entry.sparse
        && usize::try_from(entry.size).is_ok_and(|size| size <= DOCUMENT_BYTES)
        && (path.starts_with("blobs/") || !path.contains('/'))
}

/// Whether it stands where an image of one program has that program.
fn may_be_program(path: &str, entry: &Entry) -> bool {
    entry.kind == Kind::File && entry.executable && path.matches('/').count() < PROGRAM_DEPTH
}

/// The content, which begins with `bytes`, where it may be JSON and there is room for it.
fn document(
    entries: &mut Entries<impl Skim>,
    entry: &Entry,
    mut bytes: Vec<u8>,
    left: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    let room = usize::try_from(entry.size).is_ok_and(|size| size <= left);
    if !room || !matches!(bytes.first(), Some(b'{' | b'[')) {
        return Ok(None);
    }
    entries.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
