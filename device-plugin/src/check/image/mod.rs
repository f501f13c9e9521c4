//! Images: what is in them, wherever they lie.
//!
//! Archives of `docker save` and of OCI layouts, plain or compressed, OCI layout folders, a registry's
//! storage, what an engine sends, containerd's content store, and root folders show the same files
//! through one [`Interest`]. Layers are merged while they stream by: nothing is unpacked to a disk,
//! and no layer is held. What is taken from an image at most stands in [`limits`].

mod apart;
mod archive;
mod budget;
mod bytes;
mod containerd;
mod digest;
mod documents;
mod engine;
mod error;
mod folder;
mod layers;
pub mod limits;
mod names;
mod path;
mod platform;
mod reference;
mod resolve;
mod rootfs;
mod stamp;
mod stream;
pub mod tar;

pub use budget::Budget;
pub use error::ImageError;
pub use stamp::Stamp;

use apart::Apart;
use archive::{Archive, Found};
use bytes::{Buffered, Packing, Section, open_tar};
use dunnage_host::open_regular;
use dunnage_model::gap::Gap;
use engine::Request;
use folder::Folder;
use layers::{Merge, Pass};
use platform::Wanted;
use resolve::{Blob, Resolved, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stream::{Origin, Streamed};

/// Where an image lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file: `docker save` of any age, an OCI layout in a tar file, or a root file system as
    /// `docker export` writes it; plain, or compressed with gzip or zstd.
    Archive(PathBuf),
    /// An OCI image layout in a folder.
    Layout(PathBuf),
    /// The storage of a registry ("distribution") on disk.
    Registry {
        /// The folder that has `docker/registry/v2`.
        root: PathBuf,
        /// `repository:tag` or `repository@sha256:...`.
        reference: String,
    },
    /// The content store of containerd on disk.
    Containerd {
        /// containerd's `root`, by default `/var/lib/containerd`.
        root: PathBuf,
        /// The reference, in full or short, or a digest.
        reference: String,
    },
    /// A root file system in a folder.
    RootFs(PathBuf),
    /// An engine of this machine: Docker or Podman by their sockets, else containerd's store.
    Engine {
        /// The reference or the id.
        reference: String,
    },
}

/// What is said of an image outside of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMeta {
    /// Its name, or its path where it has none.
    pub reference: String,
    /// Of the manifest, or of the configuration where there is no manifest; None for root folders.
    pub digest: Option<String>,
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: Option<String>,
    /// Of the architecture: `v8`.
    pub variant: Option<String>,
    /// In Go's words: `linux`.
    pub os: Option<String>,
    /// Environment variables, in their order.
    pub env: Vec<(String, String)>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The program.
    pub entrypoint: Vec<String>,
    /// Its arguments, or the program where there is no entrypoint.
    pub cmd: Vec<String>,
    /// The folder that the program is started in; `/` where it is absent.
    pub working_dir: Option<String>,
    /// Of the manifest, and of those entries of indexes that led to it.
    pub annotations: BTreeMap<String, String>,
}

/// Looks into the files of an image, several at the same time, and knows nothing but the one file.
pub trait Look: Send + Sync + 'static {
    /// What was found in one file.
    type Found: Send + 'static;

    /// Whether the content of a regular file is wanted; `size` in bytes, holes included. The path is
    /// as [`Interest`] says. Also asked of files that an upper layer turns out to hide.
    fn wants(&self, path: &Path, size: u64) -> bool;

    /// Reads the content of a file that was wanted: `size` bytes, as far as it is of use.
    ///
    /// # Errors
    /// Whatever `content` says must be passed on: it ends the walk, with what was wrong.
    fn file(&self, path: &Path, size: u64, content: &mut dyn Read) -> io::Result<Self::Found>;

    /// The memory that is held by what was found, in bytes and about.
    fn weight(found: &Self::Found) -> usize;

    /// What was found, where it was wanted.
    ///
    /// # Errors
    /// As [`Look::file`].
    fn at(
        &self,
        path: &Path,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<Option<Self::Found>> {
        let wanted = self.wants(path, size);
        wanted.then(|| self.file(path, size, content)).transpose()
    }
}

/// What the look of an interest finds.
pub type FoundBy<I> = <<I as Interest>::Look as Look>::Found;

/// Somebody who is told of the files of an image.
///
/// Called once for each path that is there in the merged file system, in no promised order. Paths are
/// absolute in the image and cleaned, as bytes; components are not resolved through links: `/lib/x`
/// may be told where `/lib` is a link to `usr/lib`.
pub trait Interest {
    /// What looks into the files.
    type Look: Look;

    /// What looks into the files.
    fn look(&self) -> Self::Look;

    /// A regular file, and what was found where its content was wanted.
    fn file(&mut self, path: &Path, size: u64, found: Option<FoundBy<Self>>);

    /// A symbolic link, with its target as it is written there (relative, absolute, of any form); or
    /// a further name of a file of an archive (a hard link), with the absolute path of that file,
    /// which [`Interest::file`] was or will be told of. Its content is not shown again.
    fn link(&mut self, path: &Path, target: &Path);
}

/// What a walk has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Regular files; hard links of archives are not counted.
    pub files: u64,
    /// Their bytes, holes included.
    pub bytes: u64,
    /// What could not be read, or means different things to different engines.
    pub gaps: Vec<Gap>,
}

/// An image that was found and can be walked.
pub struct Image {
    meta: ImageMeta,
    body: Body,
}

enum Body {
    /// Blobs that can be opened one by one; the lowest layer first.
    Layers(Box<dyn Store>, Vec<Blob>),
    /// An archive that cannot be sought in.
    Streamed(Streamed),
    /// A root file system in a tar file.
    Flat(Section),
    /// The same, compressed.
    StreamedFlat(Origin, String),
    Folder(PathBuf),
}

/// Finds the image in `source`: reads its documents and no layer, but for archives that cannot be
/// sought in, which are read through once.
///
/// `platform` chooses among the images of an index: `linux/amd64`, `linux/arm64/v8`; without it that of
/// this machine is taken, or the only one that there is.
///
/// # Errors
/// [`ImageError`], with what was read and why it cannot be.
pub fn open(source: &Source, platform: Option<&str>) -> Result<Image, ImageError> {
    let wanted = Wanted::parse(platform)?;
    match source {
        Source::Archive(path) => open_archive(path, &wanted),
        Source::Layout(path) => folder::layout(path, &wanted).map(of_folder),
        Source::Registry { root, reference } => {
            folder::registry(root, reference, &wanted).map(of_folder)
        }
        Source::Containerd { root, reference } => {
            containerd::find(root, reference, &wanted).map(of_folder)
        }
        Source::RootFs(path) => {
            rootfs::find(path)?;
            Ok(Image {
                meta: named(path),
                body: Body::Folder(path.clone()),
            })
        }
        Source::Engine { reference } => open_engine(reference, &wanted),
    }
}

/// The stamp of an image, as far as it is had without opening it: of archives and of what an engine
/// keeps. `None` for others; those that are opened quickly tell theirs by [`Image::stamp`].
#[must_use]
pub fn stamp(source: &Source, platform: Option<&str>) -> Option<Stamp> {
    let platform = platform.unwrap_or_default();
    match source {
        Source::Archive(path) => {
            let file = open_regular(path).ok()?;
            let mut stamp = Stamp::new(&path.to_string_lossy(), platform);
            stamp.add_file(&file.metadata().ok()?);
            Some(stamp)
        }
        Source::Engine { reference } => {
            let mut sockets = engine::sockets().into_iter().filter(|path| path.exists());
            sockets.find_map(|socket| of_engine(&Request::new(&socket, reference).ok()?, platform))
        }
        _ => None,
    }
}

fn of_engine(request: &Request, platform: &str) -> Option<Stamp> {
    let said = format!("{platform} {}", request.describe().ok()?);
    Some(Stamp::new(&request.what(), &said))
}

impl Image {
    /// The stamp of an image whose layers are files of their own: its digest, and what tells that these
    /// files are as they were. `None` for others: [`stamp`] has to be asked before they are opened, and
    /// what changes in a root folder shows only by reading it.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        let Body::Layers(store, layers) = &self.body else {
            return None;
        };
        // Not all that is said of it is covered by its digest: indexes have annotations.
        let said = serde_json::to_string(&self.meta).ok()?;
        let mut stamp = Stamp::new(self.meta.digest.as_deref()?, &said);
        for blob in layers {
            stamp.add_file(&store.section(blob).ok()?.metadata().ok()?);
        }
        Some(stamp)
    }

    /// Whether the image, opened from `source` for `platform`, is still the one of the stamp, which was
    /// taken before.
    #[must_use]
    pub fn is_still(&self, before: &Stamp, source: &Source, platform: Option<&str>) -> bool {
        let now = match (source, &self.body) {
            (Source::Archive(_), _) => stamp(source, platform),
            // The engine that sent it, should another one have been asked first.
            (_, Body::Streamed(Streamed { origin, .. }) | Body::StreamedFlat(origin, _)) => {
                match origin {
                    Origin::Engine(request) => of_engine(request, platform.unwrap_or_default()),
                    Origin::File(..) => None,
                }
            }
            _ => self.stamp(),
        };
        now.as_ref() == Some(before)
    }

    /// What is said of the image outside of its files.
    #[must_use]
    pub fn meta(&self) -> &ImageMeta {
        &self.meta
    }

    /// Shows all files of the image to `interest`. What the interest learned holds only where this
    /// returns well: a digest that does not match shows at the end of a layer.
    ///
    /// Layers that are compressed are verified against their digests; those that are not are sought
    /// in, not read whole, and so not verified.
    ///
    /// # Errors
    /// [`ImageError`], with the layer and what is wrong in it.
    pub fn walk<I: Interest>(&self, interest: &mut I) -> Result<Walked, ImageError> {
        let budget = Budget::default();
        let name = &self.meta.reference;
        if let Body::Folder(path) = &self.body {
            return rootfs::walk(path, interest);
        }
        let mut merge = Merge::new(interest, budget.clone());
        match &self.body {
            Body::Layers(store, layers) => {
                read_layers(&mut merge, store.as_ref(), layers, &budget)?;
            }
            Body::Streamed(streamed) => streamed.walk(&mut merge, &budget)?,
            Body::Flat(section) => {
                let again = || Ok(Buffered::new(section.clone()));
                read_flat(&mut merge, name, again)?;
            }
            Body::StreamedFlat(origin, name) => {
                read_flat(&mut merge, name, || origin.open(name, &budget))?;
            }
            Body::Folder(_) => {}
        }
        Ok(merge.finish())
    }
}

/// A layer whose turn has not come.
enum Next<F> {
    /// Its tar is sought in when its turn comes.
    Plain(Section),
    /// It is being read.
    Apart(Section, Apart<F>),
}

/// Reads all layers, the uppermost first; of compressed ones the next is read meanwhile.
fn read_layers<I: Interest>(
    merge: &mut Merge<'_, I>,
    store: &dyn Store,
    layers: &[Blob],
    budget: &Budget,
) -> Result<(), ImageError> {
    let mut next = VecDeque::new();
    let mut unopened = layers.iter().rev();
    for (number, blob) in (0..).zip(layers.iter().rev()) {
        while next.len() < apart::AT_ONCE
            && let Some(blob) = unopened.next()
        {
            next.push_back(open_layer(store, blob, merge.look(), budget));
        }
        // What is wrong with the next one is told when this one is done.
        if let Some(layer) = next.pop_front() {
            read_layer(merge, layer?, blob, number, budget)?;
        }
    }
    Ok(())
}

fn open_layer<L: Look>(
    store: &dyn Store,
    blob: &Blob,
    look: &Arc<L>,
    budget: &Budget,
) -> Result<Next<L::Found>, ImageError> {
    let reading = |error| ImageError::reading(&blob.name(), error);
    let section = store.section(blob)?;
    let packed = Packing::of(&section.beginning().map_err(reading)?).map_err(reading)?;
    if packed == Packing::None {
        return Ok(Next::Plain(section));
    }
    let tar = open_tar(section.clone(), blob.digest(), budget).map_err(reading)?;
    let apart = Apart::start(tar, look, budget).map_err(reading)?;
    Ok(Next::Apart(section, apart))
}

/// Reads one layer, and once more where a hard link is all that is left of a file.
fn read_layer<I: Interest>(
    merge: &mut Merge<'_, I>,
    layer: Next<FoundBy<I>>,
    blob: &Blob,
    number: u16,
    budget: &Budget,
) -> Result<(), ImageError> {
    let name = blob.name();
    let open = |section: &Section| {
        open_tar(section.clone(), blob.digest(), budget)
            .map_err(|error| ImageError::reading(&name, error))
    };
    let section = match layer {
        Next::Plain(section) => {
            merge.layer(open(&section)?, number, Pass::Together, &name, false)?;
            section
        }
        Next::Apart(section, apart) => {
            merge.apart(apart, number, &name)?;
            section
        }
    };
    if merge.has_orphans(number) {
        merge.orphans(open(&section)?, number, &name)?;
    }
    Ok(())
}

fn read_flat<T: tar::Skim>(
    merge: &mut Merge<'_, impl Interest>,
    name: &str,
    open: impl Fn() -> Result<T, ImageError>,
) -> Result<(), ImageError> {
    merge.layer(open()?, 0, Pass::Together, name, true)?;
    if merge.has_orphans(0) {
        merge.orphans(open()?, 0, name)?;
    }
    Ok(())
}

fn of_folder((folder, resolved): (Folder, Resolved)) -> Image {
    Image {
        meta: resolved.meta,
        body: Body::Layers(Box::new(folder), resolved.layers),
    }
}

fn open_archive(path: &Path, wanted: &Wanted) -> Result<Image, ImageError> {
    let name = path.display().to_string();
    let failed = |error| ImageError::reading(&name, error);
    let unsupported = |why: &str| ImageError::Unsupported {
        what: name.clone(),
        why: why.to_owned(),
    };
    match std::fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => {
            let why = "a folder that is no OCI layout (it has no index.json); the folder of a root \
                       file system is given by --rootfs";
            return Err(unsupported(why));
        }
        Ok(kind) if !kind.is_file() => {
            return Err(unsupported(
                "no regular file; save the image into one first",
            ));
        }
        // That it is not there is told by opening it.
        _ => {}
    }
    let file = open_regular(path).map_err(failed)?;
    let whole = Section::whole(file).map_err(failed)?;
    let beginning = whole.beginning().map_err(failed)?;
    let packing = Packing::of(&beginning).map_err(failed)?;
    if packing != Packing::None {
        return open_stream(Origin::File(whole, packing), &name, wanted);
    }
    let tar = Buffered::new(whole.clone());
    let budget = Budget::default();
    let archive = Archive::scan(&name, tar, Some(whole.clone()), &budget)?;
    Ok(match archive.find(wanted)? {
        Found::Image(resolved) => Image {
            meta: resolved.meta,
            body: Body::Layers(Box::new(archive), resolved.layers),
        },
        Found::Root => Image {
            meta: named(path),
            body: Body::Flat(whole),
        },
    })
}

fn open_stream(origin: Origin, name: &str, wanted: &Wanted) -> Result<Image, ImageError> {
    let budget = Budget::default();
    let archive = Archive::scan(name, origin.open(name, &budget)?, None, &budget)?;
    Ok(match archive.find(wanted)? {
        Found::Image(resolved) => Image {
            meta: resolved.meta,
            body: Body::Streamed(Streamed::new(origin, name, &archive, &resolved.layers)?),
        },
        Found::Root => Image {
            meta: named(Path::new(name)),
            body: Body::StreamedFlat(origin, name.to_owned()),
        },
    })
}

/// Asks one engine after the other.
fn open_engine(reference: &str, wanted: &Wanted) -> Result<Image, ImageError> {
    engine::check(reference).map_err(|error| match error {
        ImageError::Unsupported { what, why } => ImageError::Unsupported {
            what,
            why: format!("there is no file of this name; as an image's name, {why}"),
        },
        other => other,
    })?;
    let mut tried = Vec::new();
    let mut all_answered = true;
    for socket in engine::sockets() {
        if !socket.exists() {
            continue;
        }
        let request = Request::new(&socket, reference)?;
        match open_stream(Origin::Engine(request), reference, wanted) {
            Ok(image) => return Ok(image),
            Err(ImageError::Io { what, error }) => {
                all_answered = false;
                tried.push(format!("{what}: {error}{}", remedy(&error)));
            }
            Err(ImageError::Absent { why, .. }) => {
                tried.push(format!("the engine at {} says {why:?}", socket.display()));
            }
            Err(error) => return Err(error),
        }
    }
    let root = Path::new(containerd::ROOT);
    if root.join(containerd::DATABASE).exists() {
        match containerd::find(root, reference, wanted) {
            Ok(found) => return Ok(of_folder(found)),
            Err(error) => {
                all_answered &= matches!(error, ImageError::Absent { .. });
                tried.push(format!("containerd: {error}"));
            }
        }
    }
    if tried.is_empty() {
        let none = "no socket of Docker or Podman and no store of containerd is there; start the \
                    engine, set DOCKER_HOST=unix://..., or give an archive, a layout or a root folder";
        tried.push(none.to_owned());
        all_answered = false;
    }
    let reference = reference.to_owned();
    let tried = tried.join("; ");
    Err(if all_answered {
        ImageError::Unknown { reference, tried }
    } else {
        ImageError::Engine { reference, tried }
    })
}

/// What helps where an engine cannot be asked.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run it as root, or as one of the engine's group",
        io::ErrorKind::ConnectionRefused => "; start the engine",
        _ => "",
    }
}

fn named(path: &Path) -> ImageMeta {
    ImageMeta {
        reference: path.display().to_string(),
        ..ImageMeta::default()
    }
}
