//! Finds the compatibility artifact of an image: a manifest beside it whose subject is the image.
//!
//! OCI layouts list it in their index, a registry's storage among the manifests of the repository.
//! Archives and engines do not carry it.

use super::facts::nfd::{self, Specification};
use super::image::{ImageMeta, Source};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use serde::Deserialize;
use std::path::{Path, PathBuf};

const ARTIFACT: &str = "application/vnd.nfd.image-compatibility.v1alpha1";
/// The longest manifest.
const MANIFEST: usize = 4 << 20;
/// Manifests that are looked at.
const MANIFESTS: usize = 4096;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// Where blobs lie.
enum Store {
    Layout,
    Registry,
}

impl Store {
    /// The file of a digest; `None` for what is no SHA-256 digest.
    fn blob(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:")?;
        let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| match self {
            Store::Layout => Path::new("/blobs/sha256").join(hex),
            Store::Registry => Path::new("/docker/registry/v2/blobs/sha256")
                .join(&hex[..2])
                .join(hex)
                .join("data"),
        })
    }
}

/// The specification that is attached to an image, and where it is; a gap for one that cannot be read.
pub(super) fn find(
    source: &Source,
    meta: &ImageMeta,
) -> (Option<(Specification, String)>, Vec<Gap>) {
    let (root, store) = match source {
        Source::Layout(path) => (HostRoot::new(path), Store::Layout),
        Source::Registry { root, .. } => (HostRoot::new(root), Store::Registry),
        _ => return (None, Vec::new()),
    };
    let listed = match (&store, source) {
        (Store::Registry, Source::Registry { reference, .. }) => of_repository(&root, reference),
        _ => of_index(&root),
    };
    for digest in listed.iter().take(MANIFESTS) {
        let Some(layer) = artifact(&root, &store, digest, meta, &listed) else {
            continue;
        };
        let name = format!("compatibility artifact {layer}");
        let Some(path) = store.blob(&layer) else {
            continue;
        };
        let bytes = root
            .read(path, nfd::LIMIT)
            .map_err(|error| error.to_string());
        return match bytes.and_then(|bytes| verified(&bytes, &layer)) {
            Ok(specification) => (Some((specification, name)), Vec::new()),
            Err(why) => (None, vec![Gap::new(name, why)]),
        };
    }
    (None, Vec::new())
}

fn verified(bytes: &[u8], digest: &str) -> Result<Specification, String> {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    if digest.strip_prefix("sha256:") != Some(&*hex) {
        return Err("its content is not that of its digest".to_owned());
    }
    nfd::parse(bytes)
}

/// The digest of the specification, where the manifest is the image's compatibility artifact.
fn artifact(
    root: &HostRoot,
    store: &Store,
    digest: &str,
    meta: &ImageMeta,
    listed: &[String],
) -> Option<String> {
    let bytes = root.read(store.blob(digest)?, MANIFEST).ok()?;
    let manifest: Manifest = serde_json::from_slice(&bytes).ok()?;
    if manifest.artifact_type.as_deref() != Some(ARTIFACT) {
        return None;
    }
    let subject = manifest.subject?.digest;
    // The image itself, or the index that led to it.
    let is_ours = meta.digest.as_deref() == Some(&*subject)
        || (matches!(store, Store::Layout) && listed.contains(&subject));
    is_ours.then(|| Some(manifest.layers.first()?.digest.clone()))?
}

fn of_index(root: &HostRoot) -> Vec<String> {
    let bytes = root.read("/index.json", MANIFEST).unwrap_or_default();
    let index: Result<Index, _> = serde_json::from_slice(&bytes);
    let manifests = index.map(|index| index.manifests).unwrap_or_default();
    manifests
        .into_iter()
        .map(|manifest| manifest.digest)
        .collect()
}

fn of_repository(root: &HostRoot, reference: &str) -> Vec<String> {
    let name = reference.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let folder = format!("/docker/registry/v2/repositories/{name}/_manifests/revisions/sha256");
    let (names, _) = root.entries(folder, MANIFESTS).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.to_str());
    names.map(|hex| format!("sha256:{hex}")).collect()
}

#[cfg(test)]
mod tests;
