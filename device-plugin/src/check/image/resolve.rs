//! From a first document to an image: index, manifest, configuration, layers.

use super::ImageMeta;
use super::bytes::Section;
use super::digest::Digest;
use super::documents::{Configuration, Descriptor, Document, Platform, Saved, parse};
use super::error::ImageError;
use super::limits::{DOCUMENT_BYTES, INDEX_DEPTH, MANIFESTS};
use super::platform::{Wanted, reference_name};
use std::collections::BTreeMap;

/// Media types of an image's configuration: OCI's, Docker's, and what Docker sent before it had one.
const CONFIGURATIONS: [&str; 3] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
];
/// How media types of layers end that ocicrypt has encrypted.
const ENCRYPTED: &str = "+encrypted";

/// A blob of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Blob {
    /// By what it holds.
    Digest(Digest),
    /// By its place in an archive, cleaned and relative.
    Name(String),
}

impl Blob {
    /// For messages.
    pub(super) fn name(&self) -> String {
        match self {
            Blob::Digest(digest) => digest.to_string(),
            Blob::Name(name) => name.clone(),
        }
    }

    pub(super) fn digest(&self) -> Option<&Digest> {
        match self {
            Blob::Digest(digest) => Some(digest),
            Blob::Name(_) => None,
        }
    }
}

/// Where blobs lie.
pub(super) trait Store: Send + Sync {
    /// A whole document of at most [`DOCUMENT_BYTES`], not yet verified.
    fn document(&self, blob: &Blob) -> Result<Vec<u8>, ImageError>;

    /// A blob to be read.
    fn section(&self, blob: &Blob) -> Result<Section, ImageError>;
}

/// An image whose layers are known and not yet read.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) meta: ImageMeta,
    /// The lowest first.
    pub(super) layers: Vec<Blob>,
}

/// Follows `bytes`, an index or a manifest, to an image. `name` is what it is called in messages and,
/// where the documents have no better one, in the image's description.
pub(super) fn from_document(
    store: &dyn Store,
    name: &str,
    bytes: &[u8],
    digest: Option<Digest>,
    wanted: &Wanted,
) -> Result<Resolved, ImageError> {
    let mut bytes = bytes.to_vec();
    let mut digest = digest;
    let mut called = None;
    let mut annotations = BTreeMap::new();
    for _ in 0..=INDEX_DEPTH {
        let document: Document = parse(name, &bytes)?;
        let Some(manifests) = document.manifests else {
            let reference = called.unwrap_or_else(|| name.to_owned());
            let mut resolved = from_manifest(store, &reference, document, digest, wanted)?;
            annotations.append(&mut resolved.meta.annotations);
            resolved.meta.annotations = annotations;
            return Ok(resolved);
        };
        let chosen = wanted.choose(name, &manifests.0)?;
        called = reference_name(chosen).map(str::to_owned).or(called);
        annotations.extend(chosen.annotations.clone().unwrap_or_default().0);
        let next = digest_of(chosen)?;
        bytes = verified(store, &next)?;
        digest = Some(next);
    }
    let why = format!("indexes lie more than {INDEX_DEPTH} deep in each other");
    Err(ImageError::refused(name, why))
}

fn from_manifest(
    store: &dyn Store,
    name: &str,
    document: Document,
    digest: Option<Digest>,
    wanted: &Wanted,
) -> Result<Resolved, ImageError> {
    let unsupported = |why: &str| ImageError::Unsupported {
        what: name.to_owned(),
        why: why.to_owned(),
    };
    if document.schema_version == Some(1) {
        return Err(unsupported(
            "a manifest of Docker's schema 1, which no engine pulls any more; push the image again",
        ));
    }
    if let Some(kind) = document.artifact_type {
        return Err(unsupported(&format!("an artifact ({kind:?}) and no image")));
    }
    let (Some(config), Some(layers)) = (document.config, document.layers) else {
        return Err(ImageError::broken(
            name,
            "neither an index nor a manifest: it names no configuration and no layers",
        ));
    };
    // Charts, modules and signatures have a configuration and layers too, and ask for nothing.
    if !config.media_type.is_empty() && !CONFIGURATIONS.contains(&config.media_type.as_str()) {
        let kind = short(&config.media_type);
        return Err(unsupported(&format!("an artifact ({kind:?}) and no image")));
    }
    if layers
        .0
        .iter()
        .any(|one| one.media_type.ends_with(ENCRYPTED))
    {
        return Err(unsupported(
            "its layers are encrypted; decrypt it first, as by `skopeo copy --decryption-key` or \
             `ctr-enc images decrypt`",
        ));
    }
    let bytes = verified(store, &digest_of(&config)?)?;
    let configuration: Configuration = parse(&config.digest, &bytes)?;
    let layers = layers.0.iter().map(|one| digest_of(one).map(Blob::Digest));
    let layers: Vec<Blob> = layers.collect::<Result<_, _>>()?;
    let mut resolved = described(name, configuration, layers, wanted)?;
    resolved.meta.digest = digest.map(|digest| digest.to_string());
    resolved.meta.annotations = document.annotations.unwrap_or_default().0;
    Ok(resolved)
}

/// Follows `manifest.json` of a Docker archive.
pub(super) fn from_saved(
    store: &dyn Store,
    name: &str,
    bytes: &[u8],
    wanted: &Wanted,
) -> Result<Resolved, ImageError> {
    let images: super::documents::List<Saved, MANIFESTS> = parse(name, bytes)?;
    let image = match &images.0[..] {
        [image] => image,
        [] => return Err(ImageError::broken(name, "its manifest.json names no image")),
        several => {
            let names = several.iter().take(8).map(saved_name);
            return Err(ImageError::Several {
                what: name.to_owned(),
                names: names.collect::<Vec<_>>().join(", "),
            });
        }
    };
    let config = Blob::Name(archive_name(&image.config));
    let bytes = store.document(&config)?;
    let digest = Digest::of(&bytes);
    // The file is called after its digest, in the old layout and in the new one.
    let file = image.config.rsplit('/').next().unwrap_or_default();
    let promised = format!("sha256:{}", file.trim_end_matches(".json"));
    if Digest::parse(&promised).is_some_and(|promised| promised != digest) {
        return Err(ImageError::Digest {
            blob: config.name(),
            found: digest.hex().to_owned(),
        });
    }
    let layers = image.layers.iter().flat_map(|list| &list.0);
    let layers = layers.map(|layer| saved_layer(layer)).collect();
    let called = if image.repo_tags.is_some() {
        saved_name(image)
    } else {
        name
    };
    let mut resolved = described(called, parse(&config.name(), &bytes)?, layers, wanted)?;
    resolved.meta.digest = Some(digest.to_string());
    Ok(resolved)
}

/// `blobs/sha256/HEX` is a blob that can be verified; other names are names.
fn saved_layer(name: &str) -> Blob {
    let name = archive_name(name);
    let digest = (name.strip_prefix("blobs/sha256/"))
        .and_then(|hex| Digest::parse(&format!("sha256:{hex}")));
    digest.map_or(Blob::Name(name), Blob::Digest)
}

fn saved_name(image: &Saved) -> &str {
    let tags = image.repo_tags.as_ref().and_then(|tags| tags.0.first());
    tags.unwrap_or(&image.config)
}

/// A name as the index of an archive has it: cleaned, without the first slash.
pub(super) fn archive_name(raw: &str) -> String {
    let path = super::path::clean(raw.as_bytes()).path;
    String::from_utf8_lossy(&path[1..]).into_owned()
}

fn described(
    name: &str,
    configuration: Configuration,
    layers: Vec<Blob>,
    wanted: &Wanted,
) -> Result<Resolved, ImageError> {
    let platform = Platform {
        os: configuration
            .os
            .clone()
            .unwrap_or_else(|| "linux".to_owned()),
        architecture: configuration.architecture.clone().unwrap_or_default(),
        variant: configuration.variant.clone(),
    };
    if wanted.refuses(&platform) {
        return Err(wanted.nothing(name, &[platform]));
    }
    let promised = configuration.rootfs.and_then(|rootfs| rootfs.diff_ids);
    if let Some(promised) = promised
        && promised.0.len() != layers.len()
    {
        let (promised, there) = (promised.0.len(), layers.len());
        let why = format!("its configuration is about {promised} layers, and it has {there}");
        return Err(ImageError::broken(name, why));
    }
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    let container = configuration.config.unwrap_or_default();
    let list = |list: Option<super::documents::List<String, _>>| list.map_or(Vec::new(), |l| l.0);
    let env = list(container.env).into_iter().map(|text| variable(&text));
    let meta = ImageMeta {
        reference: name.to_owned(),
        digest: None,
        architecture: said(configuration.architecture),
        variant: said(configuration.variant),
        os: said(configuration.os),
        env: env.collect(),
        labels: container.labels.unwrap_or_default().0,
        entrypoint: list(container.entrypoint),
        cmd: list(container.cmd),
        working_dir: said(container.working_dir),
        annotations: BTreeMap::new(),
    };
    Ok(Resolved { meta, layers })
}

fn variable(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    Digest::parse(&descriptor.digest).ok_or_else(|| ImageError::Unsupported {
        what: format!("blob {:?}", short(&descriptor.digest)),
        why: "its digest is not sha256 and 64 hexadecimal digits".to_owned(),
    })
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A document whose bytes are those of its digest.
pub(super) fn verified(store: &dyn Store, digest: &Digest) -> Result<Vec<u8>, ImageError> {
    let bytes = store.document(&Blob::Digest(digest.clone()))?;
    debug_assert!(bytes.len() <= DOCUMENT_BYTES);
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(ImageError::Digest {
            blob: digest.to_string(),
            found: found.hex().to_owned(),
        });
    }
    Ok(bytes)
}
