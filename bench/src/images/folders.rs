//! The image in folders: a folder a layer, under overlayfs, and all in one.

use super::content::{Content, LAYERS};
use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Unpacks each layer into a folder of its own below `place`; the lowest is the first.
pub(super) fn unpack(content: &Content, place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for number in 0..LAYERS {
        let folder = place.join(format!("layer{number}"));
        let mut made = PathBuf::new();
        for entry in content.layer(number) {
            let path = folder.join(&entry.path);
            if let Some(parent) = path.parent().filter(|parent| *parent != made) {
                fs::create_dir_all(parent)?;
                made = parent.to_path_buf();
            }
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(entry.mode)
                .open(&path)?;
            let mut out = BufWriter::with_capacity(1 << 16, file);
            content.write(&entry, &mut out)?;
            out.flush()?;
        }
        folders.push(folder);
    }
    Ok(folders)
}

/// Moves what is in the other layers into the first one, where it is the whole image.
pub(super) fn put_together(layers: Vec<PathBuf>) -> anyhow::Result<PathBuf> {
    let mut layers = layers.into_iter();
    let root = layers.next().context("an image without layers")?;
    for layer in layers {
        merge(&layer, &root)?;
    }
    Ok(root)
}

/// Moves folders as a whole, as far as they are not in `to` as well.
fn merge(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if place.exists() {
            merge(&entry.path(), &place)?;
        } else {
            fs::rename(entry.path(), place)?;
        }
    }
    Ok(())
}

/// Layers, mounted as one; no longer when this is dropped.
pub(super) struct Overlay(PathBuf);

impl Overlay {
    pub(super) fn mount(layers: &[PathBuf], at: &Path) -> anyhow::Result<Overlay> {
        fs::create_dir(at)?;
        let lower: Vec<String> = layers
            .iter()
            .rev()
            .map(|path| path.display().to_string())
            .collect();
        let options = format!("lowerdir={}", lower.join(":"));
        let flags = MsFlags::MS_RDONLY;
        mount(Some("overlay"), at, Some("overlay"), flags, Some(&*options))
            .with_context(|| format!("mounting overlayfs with {options}"))?;
        Ok(Overlay(at.to_path_buf()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // What is busy goes when it no longer is.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
