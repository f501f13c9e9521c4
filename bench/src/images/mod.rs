//! How long `devices check` takes of large images, and what it holds in memory: one image, packed in every
//! way that is read without an engine, each asked about with nothing kept and then again.

mod answer;
mod content;
mod folders;
mod pack;
mod registry;

use crate::figures::{Table, median, spread};
use answer::Asked;
use anyhow::{Context, ensure};
use content::Content;
use nix::sys::statvfs::statvfs;
use pack::Packing;
use std::fs;
use std::path::{Path, PathBuf};

/// What is promised of an image of 5 GB: seconds, MiB, and seconds once its facts are kept.
const COLD: f64 = 10.0;
const MEMORY: f64 = 100.0;
const WARM: f64 = 0.02;

/// Second answers to each first one.
const WARM_ANSWERS: usize = 5;

/// Room beside the image itself, in bytes: the layout and its archive lie there at the same time, and
/// folders of small files take whole blocks.
const ROOM: u64 = 512 << 20;

/// What is measured.
pub(crate) struct Options {
    pub(crate) binary: PathBuf,
    /// Unpacked, in megabytes.
    pub(crate) size: u64,
    pub(crate) rounds: u32,
    pub(crate) folder: PathBuf,
    pub(crate) only: Vec<String>,
}

/// One way to pack an image: its name, and what makes and measures it.
struct Kind {
    name: &'static str,
    measure: fn(&Bench<'_>, &mut Table) -> anyhow::Result<()>,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "gzip",
        measure: |bench, table| bench.layout(Packing::Gzip, table),
    },
    Kind {
        name: "zstd",
        measure: |bench, table| bench.layout(Packing::Zstd, table),
    },
    Kind {
        name: "docker-save",
        measure: |bench, table| bench.docker_save(table),
    },
    Kind {
        name: "folder",
        measure: |bench, table| bench.folders(table),
    },
];

/// What every kind needs.
struct Bench<'a> {
    options: &'a Options,
    content: Content,
    /// Where this kind's files go.
    place: PathBuf,
}

/// Makes each kind of image in turn, asks, and takes it away again.
pub(crate) fn measure(options: &Options) -> anyhow::Result<Table> {
    let known = |name: &String| KINDS.iter().any(|kind| kind.name == name);
    if let Some(name) = options.only.iter().find(|name| !known(name)) {
        let names = KINDS.map(|kind| kind.name).join(", ");
        anyhow::bail!("no images are called {name:?}: there are {names}");
    }
    let place = tempfile::Builder::new()
        .prefix("dunnage-bench-images-")
        .tempdir_in(&options.folder)
        .with_context(|| format!("a folder in {}", options.folder.display()))?;
    let bytes = options.size * 1_000_000;
    room(place.path(), bytes + bytes / 4 + ROOM)?;
    let mut table = Table::new();
    for kind in KINDS {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == kind.name) {
            continue;
        }
        let bench = Bench {
            options,
            content: Content::new(&options.binary, bytes)?,
            place: place.path().join(kind.name),
        };
        fs::create_dir(&bench.place)?;
        (kind.measure)(&bench, &mut table)?;
        fs::remove_dir_all(&bench.place)
            .with_context(|| format!("removing {}", bench.place.display()))?;
    }
    Ok(table)
}

/// Whether there is room for so many bytes.
fn room(place: &Path, bytes: u64) -> anyhow::Result<()> {
    let about = statvfs(place)?;
    let free = about.blocks_available() * about.fragment_size();
    ensure!(
        free >= bytes,
        "{} has {} MB free, and {} MB are needed: choose another folder with --folder, or a smaller image \
         with --size",
        place.display(),
        free / 1_000_000,
        bytes / 1_000_000
    );
    Ok(())
}

impl Bench<'_> {
    /// An OCI layout, the same blobs as a registry keeps them, and the layout in a tar file.
    fn layout(&self, packing: Packing, table: &mut Table) -> anyhow::Result<()> {
        let name = packing.name();
        let layout = self.place.join("layout");
        if !pack::layout(&self.content, packing, &layout)? {
            let why = "the program zstd is not installed";
            table.leave_out(format!("layers packed by {name}"), why);
            return Ok(());
        }
        let what = format!("OCI layout, {name}");
        self.ask(&what, &["--image", &text(&layout)?], &layout, true, table)?;

        let storage = self.place.join("registry");
        let reference = registry::link(&layout, &storage)?;
        let arguments = ["--registry", &text(&storage)?, "--image", reference];
        let what = format!("registry's storage, {name}");
        self.ask(&what, &arguments, &storage, true, table)?;
        fs::remove_dir_all(&storage)?;

        let archive = self.place.join("archive.tar");
        pack::archive(&layout, &archive)?;
        fs::remove_dir_all(&layout)?;
        let what = format!("OCI archive, {name}");
        self.ask(&what, &["--image", &text(&archive)?], &archive, true, table)
    }

    /// What `docker save` writes: layers as they are, in one tar file.
    fn docker_save(&self, table: &mut Table) -> anyhow::Result<()> {
        let archive = self.place.join("saved.tar");
        pack::docker_save(&self.content, &archive)?;
        let image = ["--image", &text(&archive)?];
        self.ask("docker save", &image, &archive, true, table)
    }

    /// Layers in folders that overlayfs puts together, as engines run containers, and one folder.
    fn folders(&self, table: &mut Table) -> anyhow::Result<()> {
        let layers = folders::unpack(&self.content, &self.place)?;
        match folders::Overlay::mount(&layers, &self.place.join("merged")) {
            Ok(overlay) => {
                let image = ["--rootfs", &text(overlay.path())?];
                self.ask("folder of overlayfs", &image, &self.place, false, table)?;
            }
            Err(error) => table.leave_out("folder of overlayfs", format!("{error:#}")),
        }
        let root = folders::put_together(layers)?;
        self.ask("folder", &["--rootfs", &text(&root)?], &root, false, table)
    }

    /// Asks about the image that lies below `files`; `kept` where a second answer comes from what was
    /// kept.
    fn ask(
        &self,
        what: &str,
        image: &[&str],
        files: &Path,
        kept: bool,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let binary = &self.options.binary;
        let seen = self.content.must_be_seen();
        let mut cold: Vec<Asked> = Vec::new();
        let mut warm = Vec::new();
        let mut all_forgotten = true;
        for _ in 0..self.options.rounds.max(1) {
            all_forgotten &= answer::forget(files)?;
            let cache = tempfile::tempdir_in(&self.options.folder)?;
            // A host without accelerators lacks whatever the image asks for, and says so.
            let host = tempfile::tempdir_in(&self.options.folder)?;
            cold.push(answer::ask(
                binary,
                host.path(),
                image,
                cache.path(),
                &seen,
            )?);
            for _ in 0..if kept { WARM_ANSWERS } else { 0 } {
                let here = Path::new("/");
                warm.push(answer::ask(binary, here, image, cache.path(), &[])?.seconds);
            }
        }
        let seconds: Vec<f64> = cold.iter().map(|asked| asked.seconds).collect();
        let from = if all_forgotten {
            "from the disk"
        } else {
            "from the disk but for names, which root alone can have forgotten"
        };
        let note = format!("{}; {from}", spread(&seconds));
        let row = format!("{what}: first answer");
        table.add(row, median(&seconds), "s", Some(COLD), note);
        if kept {
            let row = format!("{what}: second answer");
            table.add(row, median(&warm), "s", Some(WARM), spread(&warm));
        }
        let most = cold.iter().map(|asked| asked.peak_mib).fold(0.0, f64::max);
        let note = "VmHWM in /proc/PID/status, read every 5 ms; the highest";
        table.add(format!("{what}: memory"), most, "MiB", Some(MEMORY), note);
        Ok(())
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("a path that is no text")?;
    Ok(text.to_owned())
}
