//! The image in tar files: as an OCI layout, as that in an archive, and as `docker save` writes it.

use super::content::{Content, Entry, LAYERS};
use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tar::{EntryType, Header};

/// Tar counts in such blocks.
const BLOCK: u64 = 512;

/// How layers are packed.
#[derive(Clone, Copy)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip -6",
            Packing::Zstd => "zstd -3",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Packing::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Packing::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// A blob, by what names it.
struct Blob {
    hex: String,
    size: u64,
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    fn finish(mut self) -> io::Result<(W, Blob)> {
        self.inner.flush()?;
        let blob = Blob {
            hex: hex(&self.hash.finalize()),
            size: self.size,
        };
        Ok((self.inner, blob))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the layout in `folder`, its layers side by side; false where the program that packs them is
/// missing.
pub(super) fn layout(content: &Content, packing: Packing, folder: &Path) -> anyhow::Result<bool> {
    let zstd = Command::new("zstd")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if matches!(packing, Packing::Zstd) && zstd.is_err() {
        return Ok(false);
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let made: Vec<anyhow::Result<(Blob, Blob)>> = std::thread::scope(|scope| {
        let start = |number| {
            let file = blobs.join(format!("layer{number}"));
            scope.spawn(move || layer_blob(content, number, packing, &file))
        };
        let threads: Vec<_> = (0..LAYERS).map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a layer's thread panicked")))
        };
        threads.into_iter().map(join).collect()
    });
    let mut layers = Vec::new();
    let mut plain = Vec::new();
    for (number, made) in made.into_iter().enumerate() {
        let (packed, unpacked) = made.context("packing a layer")?;
        fs::rename(
            blobs.join(format!("layer{number}")),
            blobs.join(&packed.hex),
        )?;
        layers.push(descriptor(packing.media_type(), &packed));
        plain.push(unpacked);
    }
    let config = store(&blobs, &configuration(&plain))?;
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers,
    });
    let manifest = store(&blobs, &manifest)?;
    let index = json!({"schemaVersion": 2, "manifests": [descriptor(manifest_type, &manifest)]});
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(true)
}

/// Packs a layer into `file`: the blob as it is there, and as it is unpacked.
fn layer_blob(
    content: &Content,
    number: usize,
    packing: Packing,
    file: &Path,
) -> anyhow::Result<(Blob, Blob)> {
    match packing {
        Packing::Gzip => {
            let out = Hashing::new(BufWriter::new(File::create(file)?));
            let mut out = Hashing::new(GzEncoder::new(out, Compression::new(6)));
            layer(content, number, &mut out)?;
            let (encoder, plain) = out.finish()?;
            let (_, packed) = encoder.finish()?.finish()?;
            Ok((packed, plain))
        }
        Packing::Zstd => {
            let mut child = Command::new("zstd")
                .args(["-3", "-q", "-f", "-o"])
                .arg(file)
                .stdin(Stdio::piped())
                .spawn()?;
            let pipe = child.stdin.take().context("zstd has no input")?;
            let mut out = Hashing::new(BufWriter::with_capacity(1 << 20, pipe));
            layer(content, number, &mut out)?;
            let (pipe, plain) = out.finish()?;
            drop(pipe);
            let status = child.wait()?;
            ensure!(status.success(), "zstd ended with {status}");
            let mut hash = Hashing::new(io::sink());
            io::copy(&mut File::open(file)?, &mut hash)?;
            Ok((hash.finish()?.1, plain))
        }
    }
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", blob.hex), "size": blob.size})
}

fn configuration(layers: &[Blob]) -> Value {
    let layers: Vec<String> = layers
        .iter()
        .map(|blob| format!("sha256:{}", blob.hex))
        .collect();
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/usr/bin/program"]},
        "rootfs": {"type": "layers", "diff_ids": layers},
    })
}

/// Puts a document into a folder of blobs.
fn store(blobs: &Path, document: &Value) -> anyhow::Result<Blob> {
    let text = document.to_string();
    let blob = Blob {
        hex: hex(&Sha256::digest(&text)),
        size: text.len() as u64,
    };
    fs::write(blobs.join(&blob.hex), text)?;
    Ok(blob)
}

/// Puts the layout in `folder` into a tar file.
pub(super) fn archive(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    for name in ["oci-layout", "index.json"] {
        append(&mut out, name, &fs::read(folder.join(name))?)?;
    }
    for blob in fs::read_dir(folder.join("blobs/sha256"))? {
        let blob = blob?;
        let name = blob.file_name();
        let size = blob.metadata()?.len();
        out.write_all(
            header(&format!("blobs/sha256/{}", name.display()), size, 0o644)?.as_bytes(),
        )?;
        io::copy(&mut File::open(blob.path())?, &mut out)?;
        pad(&mut out, size)?;
    }
    end(&mut out)?;
    out.flush()?;
    Ok(())
}

/// Writes what `docker save` of Docker 20.10 writes: `NAME/layer.tar`, the configuration, `manifest.json`.
pub(super) fn docker_save(content: &Content, file: &Path) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let mut plain = Vec::new();
    let mut names = Vec::new();
    for number in 0..LAYERS {
        let name = format!("{number:064x}/layer.tar");
        let size = layer_size(&content.layer(number));
        out.write_all(header(&name, size, 0o644)?.as_bytes())?;
        let mut hashing = Hashing::new(&mut out);
        layer(content, number, &mut hashing)?;
        let blob = hashing.finish()?.1;
        ensure!(
            blob.size == size,
            "a layer of {} bytes, and {size} were said",
            blob.size
        );
        plain.push(blob);
        names.push(name);
    }
    let config = configuration(&plain).to_string();
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    append(&mut out, &config_name, config.as_bytes())?;
    let manifest = json!([{"Config": config_name, "RepoTags": ["bench:latest"], "Layers": names}]);
    append(&mut out, "manifest.json", manifest.to_string().as_bytes())?;
    end(&mut out)?;
    out.flush()?;
    Ok(())
}

/// Writes the tar file of a layer.
fn layer(content: &Content, number: usize, out: &mut impl Write) -> io::Result<()> {
    for entry in content.layer(number) {
        out.write_all(header(&entry.path, entry.size, entry.mode)?.as_bytes())?;
        content.write(&entry, out)?;
        pad(out, entry.size)?;
    }
    end(out)
}

/// What [`layer`] writes of these files, in bytes.
fn layer_size(entries: &[Entry]) -> u64 {
    let each = |entry: &Entry| BLOCK + entry.size.next_multiple_of(BLOCK);
    entries.iter().map(each).sum::<u64>() + 2 * BLOCK
}

fn header(path: &str, size: u64, mode: u32) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

fn append(out: &mut impl Write, path: &str, bytes: &[u8]) -> io::Result<()> {
    let size = bytes.len() as u64;
    out.write_all(header(path, size, 0o644)?.as_bytes())?;
    out.write_all(bytes)?;
    pad(out, size)
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let missing = size.next_multiple_of(BLOCK) - size;
    io::copy(&mut io::repeat(0).take(missing), out)?;
    Ok(())
}

fn end(out: &mut impl Write) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(2 * BLOCK), out)?;
    Ok(())
}
