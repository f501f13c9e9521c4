//! Collects the facts of an image while its files stream by.

use super::code::Targets;
use super::elf::{Head, Sort};
use super::names::{self, is_of_driver, is_of_interest};
use super::stream::{self, Seen};
use super::texts::{self, Text};
use super::{ImageFacts, Library, Runtime, RuntimeKind, Want};
use crate::check::image::{ImageMeta, Interest, Look};
use crate::check::version::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Files that need a driver's library; an image of a whole framework has some fifty.
const MAX_WANTS: usize = 512;
/// Files with device code that are kept one by one.
const MAX_CODE: usize = 2048;
/// Links that may lead to a program or a library.
const MAX_LINKS: usize = 65_536;
/// Entries of every other list.
const MAX_LIST: usize = 4096;
/// Links that are followed for one path.
const MAX_HOPS: usize = 16;

/// Collects; ask it for the facts at the end.
pub struct Collector {
    facts: ImageFacts,
    /// Links in folders of programs and of libraries.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Machines of programs by path, as far as the image's own program may be among them.
    programs: BTreeMap<PathBuf, u16>,
    /// Libraries of interest that files need: name and one file.
    needed: BTreeMap<String, String>,
    /// Machine of every library of interest.
    wanted_program: Vec<PathBuf>,
}

impl Collector {
    /// A collector for the image that `meta` tells of.
    #[must_use]
    pub fn new(meta: &ImageMeta) -> Collector {
        let facts = ImageFacts {
            architecture: meta.architecture.clone(),
            os: meta.os.clone(),
            env: meta.env.clone(),
            labels: meta.labels.clone(),
            annotations: meta.annotations.clone(),
            program: meta.entrypoint.first().or(meta.cmd.first()).cloned(),
            ..ImageFacts::default()
        };
        let wanted_program = programs(&facts, meta.working_dir.as_deref());
        Collector {
            facts,
            links: BTreeMap::new(),
            programs: BTreeMap::new(),
            needed: BTreeMap::new(),
            wanted_program,
        }
    }

    /// The facts, once all files were seen.
    #[must_use]
    pub fn finish(mut self) -> ImageFacts {
        self.name_links();
        self.find_program();
        for (name, library) in &mut self.facts.libraries {
            library.needed_by = self.needed.get(name).cloned();
        }
        self.add_runtimes();
        let facts = &mut self.facts;
        // A library of a driver that the image brings along is not wanted from the host; stubs are
        // for linking alone and were left out.
        facts.wants.retain(|want| {
            is_of_driver(&want.soname) || !facts.libraries.contains_key(&want.soname)
        });
        self.facts
    }

    /// Links are other names of libraries: `libcuda.so.1` of `libcuda.so.535.54.03`.
    fn name_links(&mut self) {
        for link in self.links.keys() {
            let Some(name) = link.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !is_of_interest(name) || is_beside(link) {
                continue;
            }
            let end = follow(&self.links, link);
            let version = end
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(names::version_in);
            let entry = self.facts.libraries.entry(names::without_hash(name));
            let library = entry.or_insert_with(|| Library {
                path: link.to_string_lossy().into_owned(),
                ..Library::default()
            });
            library.version = version.or(library.version.take());
        }
    }

    fn find_program(&mut self) {
        for path in &self.wanted_program {
            let end = follow(&self.links, path);
            if let Some(&machine) = self.programs.get(&end) {
                self.facts.program = Some(path.to_string_lossy().into_owned());
                self.facts.program_machine = Some(machine);
                return;
            }
        }
    }

    fn add_runtimes(&mut self) {
        let mut found = Vec::new();
        for (name, library) in &self.facts.libraries {
            let Some(version) = &library.version else {
                continue;
            };
            let (kind, version) = if name.starts_with("libcudart") {
                (RuntimeKind::Cuda, version.clone())
            } else if name.starts_with("libamdhip64.so") {
                // 6.1.60100 is HIP 6.1 of ROCm 6.1.0.
                (
                    RuntimeKind::Rocm,
                    Version::of(&[version.major(), version.minor()]),
                )
            } else {
                continue;
            };
            found.push(Runtime {
                kind,
                version,
                said_by: library.path.clone(),
            });
        }
        if let Some(version) = self.facts.env("CUDA_VERSION").and_then(Version::leading) {
            found.push(Runtime {
                kind: RuntimeKind::Cuda,
                version,
                said_by: "CUDA_VERSION in the image's environment".to_owned(),
            });
        }
        self.facts.runtimes.extend(found);
        self.facts.runtimes.sort();
        self.facts.runtimes.dedup();
        self.facts.runtimes.truncate(MAX_LIST);
    }

    fn elf(&mut self, path: &Path, seen: &Seen) {
        let shown = path.to_string_lossy().into_owned();
        if seen.broken && self.facts.unread.len() < MAX_LIST {
            let why = "begins as an ELF file and is cut off or broken";
            self.facts.unread.insert(shown.clone(), why.to_owned());
        }
        let Some(head) = &seen.head else {
            return;
        };
        self.machine(path, head, seen);
        self.code(&shown, &seen.targets);
        self.libc(&shown, seen);
        self.library(path, seen);
        if seen.dynamic.incomplete && self.facts.unread.len() < MAX_LIST {
            let why = "its tables of libraries and symbols could not be read";
            self.facts.unread.insert(shown.clone(), why.to_owned());
        }
        self.wants(path, &shown, head, seen);
    }

    fn machine(&mut self, path: &Path, head: &Head, seen: &Seen) {
        let dynamic = &seen.dynamic;
        let started = head.sort == Sort::Program
            || dynamic.interpreter.is_some()
            || dynamic.is_program && dynamic.soname.is_none();
        if !started || matches!(head.machine, 190 | 224) {
            return;
        }
        if self.facts.machines.len() < 64 {
            let shown = || path.to_string_lossy().into_owned();
            self.facts
                .machines
                .entry(head.machine)
                .or_insert_with(shown);
        }
        if self.programs.len() < MAX_LINKS {
            self.programs.insert(path.to_path_buf(), head.machine);
        }
    }

    fn code(&mut self, path: &str, targets: &Targets) {
        if !targets.is_empty() && self.facts.code.len() < MAX_CODE {
            self.facts.code.insert(path.to_owned(), targets.clone());
        } else if !targets.is_empty() {
            self.facts.unread.insert(
                path.to_owned(),
                "more files with device code than are looked at".to_owned(),
            );
        }
    }

    fn libc(&mut self, path: &str, seen: &Seen) {
        let libc = &mut self.facts.libc;
        match seen.dynamic.soname.as_deref() {
            Some("libc.so.6") => {
                let versions = seen.dynamic.defines.iter();
                let newest = versions
                    .filter_map(|name| Version::parse(name.strip_prefix("GLIBC_")?))
                    .max();
                // Where several lie about, the oldest is the careful choice.
                if let Some(version) = newest
                    && libc.glibc.as_ref().is_none_or(|(old, _)| version < *old)
                {
                    libc.glibc = Some((version, path.to_owned()));
                }
            }
            Some(name) if name.starts_with("libgcompat.so") => {
                libc.gcompat = Some(path.to_owned());
            }
            _ => {}
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with("ld-musl-") || seen.dynamic.soname.as_deref() == Some("libc.musl") {
            libc.musl = Some(path.to_owned());
        }
    }

    fn library(&mut self, path: &Path, seen: &Seen) {
        if is_beside(path) {
            self.compat(path, seen);
            return;
        }
        let file = path.file_name().and_then(|name| name.to_str());
        let file = file.unwrap_or_default();
        let soname = seen.dynamic.soname.as_deref();
        for name in [Some(file), soname].into_iter().flatten() {
            let name = names::without_hash(name);
            if !is_of_interest(&name) || self.facts.libraries.len() >= MAX_LIST {
                continue;
            }
            let version =
                names::version_in(&names::without_hash(file)).or_else(|| names::version_in(&name));
            let library = Library {
                path: path.to_string_lossy().into_owned(),
                version,
                needed_by: None,
            };
            self.facts.libraries.entry(name).or_insert(library);
        }
        if !soname.is_some_and(is_of_driver) {
            let room = MAX_LIST.saturating_sub(self.facts.defined.len());
            let exported = seen.dynamic.exported.iter().take(room).cloned();
            self.facts.defined.extend(exported);
        }
    }

    /// The forward compatibility package: `/usr/local/cuda/compat/libcuda.so.550.54.15`.
    fn compat(&mut self, path: &Path, seen: &Seen) {
        let file = path.file_name().and_then(|name| name.to_str());
        let version = file
            .filter(|name| name.starts_with("libcuda.so."))
            .filter(|_| seen.dynamic.soname.as_deref() == Some("libcuda.so.1"))
            .and_then(names::version_in)
            .filter(|version| version.len() > 1);
        if let Some(version) = version
            && path.components().any(|c| c.as_os_str() == "compat")
        {
            self.facts.runtimes.push(Runtime {
                kind: RuntimeKind::CudaCompat,
                version,
                said_by: path.to_string_lossy().into_owned(),
            });
        }
    }

    fn wants(&mut self, path: &Path, shown: &str, head: &Head, seen: &Seen) {
        let own: BTreeSet<&str> = seen.dynamic.needed.iter().map(String::as_str).collect();
        for &soname in &own {
            let name = names::without_hash(soname);
            if is_of_interest(&name) && self.needed.len() < MAX_LIST {
                self.needed.entry(name).or_insert_with(|| shown.to_owned());
            }
            // Libraries of the driver need each other; what the image wants is another matter.
            let of_driver = seen.dynamic.soname.as_deref().is_some_and(is_of_driver);
            if !is_of_driver(soname) || of_driver || is_beside(path) {
                continue;
            }
            if self.facts.wants.len() == MAX_WANTS {
                self.facts.wants_cut = true;
                return;
            }
            let versions = seen.dynamic.wants.iter();
            let versions = versions.filter(|(library, _)| library == soname);
            let symbols = seen.dynamic.undefined.iter();
            let symbols = symbols.filter(|symbol| names::library_of_symbol(symbol) == soname);
            self.facts.wants.push(Want {
                soname: soname.to_owned(),
                path: shown.to_owned(),
                machine: head.machine,
                versions: versions.map(|(_, version)| version.clone()).collect(),
                symbols: symbols.cloned().collect(),
            });
        }
    }

    fn text(&mut self, text: Text, path: &str, bytes: &[u8]) {
        if text == Text::Xclbin {
            match texts::xclbin(bytes) {
                Some(xclbin) if self.facts.xclbins.len() < MAX_LIST => {
                    self.facts.xclbins.insert(path.to_owned(), xclbin);
                }
                _ => {
                    let why = "no xclbin of the second format";
                    self.facts.unread.insert(path.to_owned(), why.to_owned());
                }
            }
        } else if let Some(runtime) = texts::runtime(text, bytes, path) {
            self.facts.runtimes.push(runtime);
        }
    }
}

/// Looks into programs and libraries, and into the small files that state a version.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looker;

/// What was found in one file.
pub struct Found(Inside);

enum Inside {
    /// The beginning of a text.
    Text(Text, Vec<u8>),
    Elf(Box<Seen>),
    Nothing,
}

impl Look for Looker {
    type Found = Found;

    fn wants(&self, path: &Path, size: u64) -> bool {
        let shown = path.to_string_lossy();
        texts::of(&shown).is_some() || (size >= 52 && !is_text(&shown))
    }

    fn file(&self, path: &Path, size: u64, content: &mut dyn Read) -> io::Result<Found> {
        if let Some(text) = texts::of(&path.to_string_lossy()) {
            let mut bytes = Vec::new();
            content.take(text.limit()).read_to_end(&mut bytes)?;
            return Ok(Found(Inside::Text(text, bytes)));
        }
        let seen = stream::read(content, size, &names::is_driver_symbol)?;
        Ok(Found(match seen {
            Some(seen) => Inside::Elf(Box::new(seen)),
            None => Inside::Nothing,
        }))
    }

    fn weight(found: &Found) -> usize {
        match &found.0 {
            Inside::Text(_, bytes) => bytes.capacity(),
            Inside::Elf(seen) => seen.weight(),
            Inside::Nothing => 0,
        }
    }
}

impl Interest for Collector {
    type Look = Looker;

    fn look(&self) -> Looker {
        Looker
    }

    fn file(&mut self, path: &Path, _: u64, found: Option<Found>) {
        let shown = path.to_string_lossy();
        if let Some(runtime) = texts::of_package(&shown)
            && self.facts.runtimes.len() < MAX_LIST
        {
            self.facts.runtimes.push(runtime);
        }
        match found.map(|found| found.0) {
            Some(Inside::Text(text, bytes)) => self.text(text, &shown, &bytes),
            Some(Inside::Elf(seen)) => self.elf(path, &seen),
            Some(Inside::Nothing) | None => {}
        }
    }

    fn link(&mut self, path: &Path, target: &Path) {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else { return };
        if name.starts_with("ld-musl-") {
            self.facts.libc.musl = Some(path.to_string_lossy().into_owned());
        }
        let in_bin = path
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("bin" | "sbin")));
        // The folders themselves may be links, as /bin is in merged systems.
        let short = path.components().count() <= 3;
        if (in_bin
            || short
            || name.contains(".so")
            || self.wanted_program.iter().any(|p| p == path))
            && self.links.len() < MAX_LINKS
        {
            self.links.insert(path.to_path_buf(), target.to_path_buf());
        }
    }
}

/// Names of files that are no programs, so that nobody need look into them.
fn is_text(path: &str) -> bool {
    const ENDINGS: [&str; 24] = [
        ".py", ".pyc", ".h", ".hpp", ".c", ".cpp", ".cu", ".cuh", ".txt", ".md", ".html", ".js",
        ".json", ".xml", ".gz", ".xz", ".png", ".svg", ".pyi", ".cmake", ".mo", ".yaml", ".css",
        ".a",
    ];
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// Folders whose libraries no program loads by itself: stubs for linking, and the package for forward
/// compatibility, that an engine's hook or `LD_LIBRARY_PATH` puts in front.
fn is_beside(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str();
        part == "stubs" || part == "compat"
    })
}

/// Where the image's program may be: as it is written, from the folder that it is started in, or along
/// PATH.
fn programs(facts: &ImageFacts, working_dir: Option<&str>) -> Vec<PathBuf> {
    const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let Some(program) = &facts.program else {
        return Vec::new();
    };
    if program.contains('/') {
        let folder = Path::new("/").join(working_dir.unwrap_or_default());
        return vec![clean(&folder.join(program))];
    }
    let folders = facts.env("PATH").unwrap_or(PATH);
    let folders = folders.split(':').take(64);
    folders
        .map(|folder| Path::new("/").join(folder).join(program))
        .collect()
}

/// Where a path leads, by the links that were kept; any part of it may be one.
fn follow(links: &BTreeMap<PathBuf, PathBuf>, path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_HOPS {
        let step = path.ancestors().find_map(|part| {
            let target = links.get(part)?;
            let rest = path.strip_prefix(part).ok()?;
            let base = part.parent().unwrap_or(Path::new("/"));
            Some(clean(&base.join(target).join(rest)))
        });
        match step {
            Some(next) if next != path => path = next,
            _ => break,
        }
    }
    path
}

/// Without `.` and `..`; a path cannot climb above the root.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests;
