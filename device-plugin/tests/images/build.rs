//! Images made by hand, in every form, from one list of layers.

use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// An entry of a layer, with a path as it stands in the tar file.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Dir(&'static str),
    File(&'static str, Vec<u8>),
    Symlink(&'static str, &'static str),
    HardLink(&'static str, &'static str),
    Device(&'static str),
}

pub(crate) fn file(path: &'static str, content: &str) -> Item {
    Item::File(path, content.as_bytes().to_vec())
}

/// How layers or archives are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    /// Two members, as parallel compressors write them.
    GzipTwice,
    Zstd,
    /// A frame to be passed over, and two with content.
    ZstdFrames,
}

pub(crate) const PACKINGS: [Packing; 5] = [
    Packing::None,
    Packing::Gzip,
    Packing::GzipTwice,
    Packing::Zstd,
    Packing::ZstdFrames,
];

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub(crate) fn pack(bytes: &[u8], packing: Packing) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    match packing {
        Packing::None => bytes.to_vec(),
        Packing::Gzip => gzip(bytes),
        Packing::GzipTwice => [gzip(first), gzip(second)].concat(),
        Packing::Zstd => zstd(bytes),
        Packing::ZstdFrames => {
            let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z'];
            [&skipped[..], &zstd(first), &zstd(second)].concat()
        }
    }
}

/// A header without the checks of the crate, so that names may be hostile.
pub(crate) fn header(path: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o755);
    header.set_cksum();
    header
}

/// A layer's tar file.
pub(crate) fn layer(items: &[Item]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for item in items {
        let linked = |path: &str, kind, target: &str| {
            let mut header = header(path, kind, 0);
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            header
        };
        match item {
            Item::Dir(path) => {
                tar.append(&header(path, EntryType::Directory, 0), &[][..])
                    .unwrap();
            }
            Item::File(path, content) if path.len() > 99 => {
                let mut header = header("long", EntryType::Regular, content.len() as u64);
                tar.append_data(&mut header, path, &content[..]).unwrap();
            }
            Item::File(path, content) => {
                let header = header(path, EntryType::Regular, content.len() as u64);
                tar.append(&header, &content[..]).unwrap();
            }
            Item::Symlink(path, target) => {
                tar.append(&linked(path, EntryType::Symlink, target), &[][..])
                    .unwrap();
            }
            Item::HardLink(path, target) => {
                tar.append(&linked(path, EntryType::Link, target), &[][..])
                    .unwrap();
            }
            Item::Device(path) => {
                tar.append(&header(path, EntryType::Char, 0), &[][..])
                    .unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An image: its layers' tar files, lowest first, and how they are compressed.
pub(crate) struct Made {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) packing: Packing,
}

impl Made {
    pub(crate) fn new(layers: &[Vec<Item>], packing: Packing) -> Made {
        Made {
            layers: layers.iter().map(|items| layer(items)).collect(),
            packing,
        }
    }

    fn config(&self) -> Vec<u8> {
        let ids: Vec<String> = self
            .layers
            .iter()
            .map(|l| format!("sha256:{}", hex(l)))
            .collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin", "A=b=c"], "Cmd": ["/bin/x"], "Labels": {"l": "m"}},
            "rootfs": {"type": "layers", "diff_ids": ids},
        });
        config.to_string().into_bytes()
    }

    /// The blobs, the last one the manifest.
    fn blobs(&self) -> Vec<Vec<u8>> {
        let mut blobs: Vec<_> = self.layers.iter().map(|l| pack(l, self.packing)).collect();
        let described = |blob: &Vec<u8>, kind: &str| json!({"mediaType": kind, "size": blob.len(), "digest": format!("sha256:{}", hex(blob))});
        // The media type is wrong on purpose where the layer is compressed.
        let layers: Vec<Value> = (blobs.iter())
            .map(|blob| described(blob, "application/vnd.oci.image.layer.v1.tar"))
            .collect();
        let config = self.config();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers,
            "annotations": {"made": "by hand"},
        });
        blobs.push(config);
        blobs.push(manifest.to_string().into_bytes());
        blobs
    }

    fn index(manifest: &[u8]) -> Vec<u8> {
        let other = format!("sha256:{}", "0".repeat(64));
        let index = json!({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
             "digest": other, "platform": {"os": "linux", "architecture": "s390x"}},
            {"mediaType": "application/vnd.oci.image.manifest.v1+json",
             "size": manifest.len(), "digest": format!("sha256:{}", hex(manifest)),
             "platform": {"os": "linux", "architecture": "amd64"},
             "annotations": {"org.opencontainers.image.ref.name": "made:1"}},
        ]});
        index.to_string().into_bytes()
    }

    /// The files of an OCI layout.
    pub(crate) fn layout_files(&self) -> Vec<(String, Vec<u8>)> {
        let blobs = self.blobs();
        let mut files: Vec<_> = (blobs.iter())
            .map(|blob| (format!("blobs/sha256/{}", hex(blob)), blob.clone()))
            .collect();
        files.push(("index.json".to_owned(), Made::index(blobs.last().unwrap())));
        files.push((
            "oci-layout".to_owned(),
            b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec(),
        ));
        files
    }

    /// The files of `docker save` before version 25: a layer that is there twice is a link.
    pub(crate) fn saved_files(&self) -> Vec<(String, Vec<u8>)> {
        let config = self.config();
        let name = format!("{}.json", hex(&config));
        let mut files = Vec::new();
        let mut layers = Vec::new();
        for (number, tar) in self.layers.iter().enumerate() {
            let name = format!("{number:064x}/layer.tar");
            files.push((name.clone(), pack(tar, self.packing)));
            layers.push(name);
        }
        let manifest = json!([{"Config": name, "RepoTags": ["made:1"], "Layers": layers}]);
        files.push((name, config));
        files.push((
            "manifest.json".to_owned(),
            manifest.to_string().into_bytes(),
        ));
        files
    }

    pub(crate) fn write_layout(&self, dir: &Path) {
        for (name, bytes) in self.layout_files() {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// A registry's storage with `made/it:1` in it.
    pub(crate) fn write_registry(&self, dir: &Path) {
        let base = dir.join("docker/registry/v2");
        let blobs = self.blobs();
        for blob in &blobs {
            let hex = hex(blob);
            let place = base.join(format!("blobs/sha256/{}/{hex}", &hex[..2]));
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("data"), blob).unwrap();
        }
        let tag = base.join("repositories/made/it/_manifests/tags/1/current");
        fs::create_dir_all(&tag).unwrap();
        let digest = format!("sha256:{}", hex(blobs.last().unwrap()));
        fs::write(tag.join("link"), digest).unwrap();
    }
}

/// Files as one archive.
pub(crate) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = header("x", EntryType::Regular, bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}
