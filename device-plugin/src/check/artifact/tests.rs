//! Tests of `artifact`.

use super::*;
use sha2::{Digest, Sha256};
use std::fs;

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plant(dir: &Path, bytes: &[u8]) -> String {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(digest(bytes)), bytes).unwrap();
    format!("sha256:{}", digest(bytes))
}

fn layout(dir: &Path, specification: &[u8], subject: &str) -> String {
    let layer = plant(dir, specification);
    let manifest = format!(
        r#"{{"artifactType":"{ARTIFACT}","layers":[{{"digest":"{layer}"}}],"subject":{{"digest":"{subject}"}}}}"#
    );
    let manifest = plant(dir, manifest.as_bytes());
    let index = format!(r#"{{"manifests":[{{"digest":"{manifest}"}}]}}"#);
    fs::write(dir.join("index.json"), index).unwrap();
    layer
}

const TEXT: &[u8] = b"version: v1alpha1\ncompatibilities: []\n";

#[test]
fn the_artifact_of_this_image_is_found_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let ours = format!("sha256:{}", "a".repeat(64));
    let meta = ImageMeta {
        digest: Some(ours.clone()),
        ..ImageMeta::default()
    };
    let source = Source::Layout(dir.path().to_path_buf());
    let layer = layout(dir.path(), TEXT, &ours);
    let (found, gaps) = find(&source, &meta);
    assert_eq!(found.unwrap().1, format!("compatibility artifact {layer}"));
    assert!(gaps.is_empty());
    layout(dir.path(), TEXT, &format!("sha256:{}", "b".repeat(64)));
    assert_eq!(find(&source, &meta), (None, Vec::new()));
}

#[test]
fn an_artifact_that_was_changed_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let ours = format!("sha256:{}", "a".repeat(64));
    let meta = ImageMeta {
        digest: Some(ours.clone()),
        ..ImageMeta::default()
    };
    let layer = layout(dir.path(), TEXT, &ours);
    let blob = dir
        .path()
        .join("blobs/sha256")
        .join(layer.strip_prefix("sha256:").unwrap());
    fs::write(blob, b"version: other\ncompatibilities: []\n").unwrap();
    let (found, gaps) = find(&Source::Layout(dir.path().to_path_buf()), &meta);
    assert_eq!((found, gaps.len()), (None, 1));
}
