//! Blobs in folders: an OCI layout, a registry's storage, containerd's content store.

use super::bytes::Section;
use super::digest::Digest;
use super::error::ImageError;
use super::limits::DOCUMENT_BYTES;
use super::platform::Wanted;
use super::reference::Reference;
use super::resolve::{Blob, Resolved, Store, from_document, verified};
use dunnage_host::{HostRoot, drain};
use std::io;
use std::path::{Path, PathBuf};

/// How a folder names its blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// `blobs/sha256/HEX`, of OCI layouts and of containerd.
    Oci,
    /// `docker/registry/v2/blobs/sha256/HE/HEX/data`, of the reference registry ("distribution").
    Registry,
}

/// A folder of blobs. Links in it are followed inside it and nowhere else.
pub(super) struct Folder {
    root: HostRoot,
    path: PathBuf,
    naming: Naming,
}

impl Folder {
    pub(super) fn new(path: &Path, naming: Naming) -> Folder {
        Folder {
            root: HostRoot::new(path),
            path: path.to_owned(),
            naming,
        }
    }

    fn place(&self, digest: &Digest) -> String {
        let hex = digest.hex();
        match self.naming {
            Naming::Oci => format!("/blobs/sha256/{hex}"),
            Naming::Registry => {
                format!("/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2])
            }
        }
    }

    fn open(&self, place: &str) -> Result<std::fs::File, ImageError> {
        self.root
            .open(place)
            .map_err(|error| self.failed(place, error))
    }

    fn failed(&self, place: &str, error: io::Error) -> ImageError {
        let what = self.path.join(place.trim_start_matches('/'));
        let what = what.display().to_string();
        if error.kind() == io::ErrorKind::NotFound {
            let why = "no such file; the image was not stored whole, or not for this platform";
            return ImageError::Absent {
                what,
                why: why.to_owned(),
            };
        }
        ImageError::reading(&what, error)
    }

    fn read(&self, place: &str) -> Result<Vec<u8>, ImageError> {
        drain(self.open(place)?, DOCUMENT_BYTES).map_err(|error| {
            if error.kind() == io::ErrorKind::FileTooLarge {
                return ImageError::refused(place, error.to_string());
            }
            self.failed(place, error)
        })
    }
}

impl Store for Folder {
    fn document(&self, blob: &Blob) -> Result<Vec<u8>, ImageError> {
        match blob {
            Blob::Digest(digest) => self.read(&self.place(digest)),
            Blob::Name(name) => self.read(name),
        }
    }

    fn section(&self, blob: &Blob) -> Result<Section, ImageError> {
        let place = match blob {
            Blob::Digest(digest) => self.place(digest),
            Blob::Name(name) => name.clone(),
        };
        Section::whole(self.open(&place)?).map_err(|error| self.failed(&place, error))
    }
}

/// Finds the image of an OCI layout directory.
pub(super) fn layout(path: &Path, wanted: &Wanted) -> Result<(Folder, Resolved), ImageError> {
    let folder = Folder::new(path, Naming::Oci);
    let index = folder.read("/index.json")?;
    let name = path.display().to_string();
    let resolved = from_document(&folder, &name, &index, None, wanted)?;
    Ok((folder, resolved))
}

/// Finds `reference` in the storage of a registry.
pub(super) fn registry(
    root: &Path,
    reference: &str,
    wanted: &Wanted,
) -> Result<(Folder, Resolved), ImageError> {
    let parsed = Reference::parse(reference)?;
    let folder = Folder::new(root, Naming::Registry);
    let digest = match &parsed.digest {
        Some(digest) => digest.clone(),
        None => tagged(&folder, root, reference, &parsed)?,
    };
    let bytes = verified(&folder, &digest)?;
    let resolved = from_document(&folder, reference, &bytes, Some(digest), wanted)?;
    Ok((folder, resolved))
}

/// What a tag leads to: a file that holds a digest.
fn tagged(
    folder: &Folder,
    root: &Path,
    reference: &str,
    parsed: &Reference,
) -> Result<Digest, ImageError> {
    let tag = parsed.tag.as_deref().unwrap_or("latest");
    for repository in parsed.repositories() {
        let place = format!(
            "/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"
        );
        let text = match folder.read(&place) {
            Ok(text) => text,
            Err(ImageError::Absent { .. }) => continue,
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&text);
        return Digest::parse(text.trim())
            .ok_or_else(|| ImageError::broken(place, "the tag leads to no sha256 digest"));
    }
    Err(ImageError::Absent {
        what: reference.to_owned(),
        why: if root.join("docker/registry/v2").is_dir() {
            format!(
                "the registry's storage in {} has no such tag",
                root.display()
            )
        } else {
            format!(
                "{} is no registry's storage: it has no docker/registry/v2",
                root.display()
            )
        },
    })
}
