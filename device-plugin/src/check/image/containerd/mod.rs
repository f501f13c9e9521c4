//! containerd's content store on disk: which manifest a name means stands in a bolt database, and the
//! blobs lie in a folder like those of an OCI layout.
//!
//! The buckets: containerd's `core/metadata/buckets.go`: `v1`, namespace, `images`, name, `target`.

mod bolt;

use super::digest::Digest;
use super::error::ImageError;
use super::folder::{Folder, Naming};
use super::platform::Wanted;
use super::reference::Reference;
use super::resolve::{Resolved, from_document, verified};
use bolt::{Bolt, Bucket};
use dunnage_host::HostRoot;
use std::io;
use std::path::Path;

/// containerd's default `root`.
pub(super) const ROOT: &str = "/var/lib/containerd";
/// Where it keeps names, below its root.
pub(super) const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";
/// Where it keeps blobs, below its root.
const CONTENT: &str = "io.containerd.content.v1.content";
/// Namespaces that are looked through.
const NAMESPACES: usize = 1000;
/// containerd writes while its database is read without its lock, so what looks broken may have been
/// half new; then it is read again.
const ATTEMPTS: usize = 3;

/// Finds `reference` below containerd's `root`, in any namespace.
///
/// # Errors
/// [`ImageError`] where there is no such store, no such image, or a part of it.
pub(super) fn find(
    root: &Path,
    reference: &str,
    wanted: &Wanted,
) -> Result<(Folder, Resolved), ImageError> {
    let digest = match Digest::parse(reference) {
        Some(digest) => digest,
        None => named(root, reference)?,
    };
    let folder = Folder::new(&root.join(CONTENT), Naming::Oci);
    let bytes = verified(&folder, &digest)?;
    let resolved = from_document(&folder, reference, &bytes, Some(digest), wanted)?;
    Ok((folder, resolved))
}

/// The digest that the database has for a name.
fn named(root: &Path, reference: &str) -> Result<Digest, ImageError> {
    let in_full = Reference::parse(reference)?.in_full();
    let place = root.join(DATABASE).display().to_string();
    let mut attempt = 1;
    let found = loop {
        match look(root, &[reference, &in_full]) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData && attempt < ATTEMPTS => {
                attempt += 1;
            }
            other => break other.map_err(|error| ImageError::reading(&place, error))?,
        }
    };
    let Some(text) = found else {
        return Err(ImageError::Absent {
            what: reference.to_owned(),
            why: format!("no namespace in {place} has it, neither as {in_full}"),
        });
    };
    let text = String::from_utf8_lossy(&text);
    Digest::parse(&text).ok_or_else(|| ImageError::broken(place, "an image without a digest"))
}

fn look(root: &Path, names: &[&str]) -> io::Result<Option<Vec<u8>>> {
    let bolt = Bolt::open(HostRoot::new(root).open(DATABASE)?)?;
    let Some(version) = bolt.bucket(&bolt.root(), b"v1")? else {
        return Ok(None);
    };
    for namespace in bolt.keys(&version, NAMESPACES)? {
        let Some(namespace) = bolt.bucket(&version, &namespace)? else {
            continue;
        };
        for name in names {
            let digest = digest(&bolt, &namespace, name)?;
            if digest.is_some() {
                return Ok(digest);
            }
        }
    }
    Ok(None)
}

fn digest(bolt: &Bolt, namespace: &Bucket, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut bucket = namespace.clone();
    for key in [&b"images"[..], name.as_bytes(), b"target"] {
        match bolt.bucket(&bucket, key)? {
            Some(next) => bucket = next,
            None => return Ok(None),
        }
    }
    bolt.value(&bucket, b"digest")
}
