//! The blobs of a layout as the reference registry keeps them on disk.

use anyhow::Context;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The repository.
const REFERENCE: &str = "bench:latest";

/// Links the blobs of `layout` into `storage`; what the image is called there.
pub(super) fn link(layout: &Path, storage: &Path) -> anyhow::Result<&'static str> {
    let root = storage.join("docker/registry/v2");
    for blob in fs::read_dir(layout.join("blobs/sha256"))? {
        let blob = blob?;
        let name = blob.file_name();
        let hex = name.to_str().context("a blob's name is no text")?;
        let place = root.join("blobs/sha256").join(&hex[..2]).join(hex);
        fs::create_dir_all(&place)?;
        fs::hard_link(blob.path(), place.join("data"))?;
    }
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let digest = index["manifests"][0]["digest"].as_str();
    let digest = digest.context("the layout's index names no manifest")?;
    let tag = root.join("repositories/bench/_manifests/tags/latest/current");
    fs::create_dir_all(&tag)?;
    fs::write(tag.join("link"), digest)?;
    Ok(REFERENCE)
}
