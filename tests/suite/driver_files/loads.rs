//! The driver's libraries load in every sort of image, by mounts alone.
//!
//! Real runc starts a root file system of each sort with the changes that we make, and a program in it
//! loads the libraries as CUDA programs do. There is no GPU, so that the right answer of the management
//! library is that no driver is loaded. That the file which was loaded is the host's is told by its
//! device and inode.

use super::{BRANCHES, Scratch, gpus, options, prepared, said};
use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::engines::bundle;
use dunnage_device_plugin::offer::{Edits, offer};
use dunnage_host::HostRoot;
use dunnage_inventory::driver_files::Search;
use dunnage_inventory::driver_files::nvidia::find;
use dunnage_inventory::{Role, nodes};
use dunnage_tests::script;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is loaded, and which of the driver's files that must be.
const LIBRARIES: &[(&str, &str)] = &[
    ("libcuda.so.1", "libcuda.so."),
    ("libnvidia-ml.so.1", "libnvidia-ml.so."),
    // Many programs ask without the number.
    ("libcuda.so", "libcuda.so."),
    // What libcuda loads itself, when it compiles.
    (
        "libnvidia-ptxjitcompiler.so.1",
        "libnvidia-ptxjitcompiler.so.",
    ),
    ("libnvidia-nvvm.so.4", "libnvidia-nvvm.so."),
    ("libnvcuvid.so.1", "libnvcuvid.so."),
];

/// What musl and gcompat can load. The others want functions of glibc that gcompat does not have.
const ON_MUSL: usize = 2;

/// A program in an image, and how it is started.
struct Case {
    /// The sort of root file system, as `nvidia-roots.sh` makes it.
    root: &'static str,
    program: &'static str,
    libraries: &'static [(&'static str, &'static str)],
    environment: &'static [&'static str],
    user: u32,
    read_only: bool,
}

const PLAIN: Case = Case {
    root: "debian",
    program: "/bin/load-driver",
    libraries: LIBRARIES,
    environment: &[],
    user: 0,
    read_only: false,
};

const CASES: &[Case] = &[
    PLAIN,
    Case {
        root: "ubuntu",
        // As CUDA's images for Ubuntu set it: it must neither be needed nor be lost.
        environment: &["LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64"],
        ..PLAIN
    },
    Case {
        root: "distroless",
        user: 65532,
        read_only: true,
        ..PLAIN
    },
    Case {
        root: "redhat",
        ..PLAIN
    },
    // A program that was built for glibc: gcompat is its loader.
    Case {
        root: "alpine",
        libraries: LIBRARIES.split_at(ON_MUSL).0,
        ..PLAIN
    },
    // A program that was built for musl, and preloads gcompat, as Alpine's documentation says.
    Case {
        root: "alpine",
        program: "/bin/load-driver-musl",
        libraries: LIBRARIES.split_at(ON_MUSL).0,
        environment: &["LD_PRELOAD=/lib/libgcompat.so.0"],
        ..PLAIN
    },
];

#[test]
fn the_libraries_load_in_every_sort_of_image_without_hooks() -> Result<()> {
    for branch in BRANCHES {
        let tree = prepared("nvidia-driver.sh", branch)?;
        for case in CASES {
            let Some(image) = Image::of(case.root, branch)? else {
                println!(
                    "{branch} {}: LEFT OUT, its root file system cannot be made",
                    case.root
                );
                continue;
            };
            let (edits, ran) = image.run(case, &tree)?;
            println!(
                "{branch} {} {}: {} mounts, {:.0} ms\n{ran}",
                case.root,
                case.program,
                edits.mounts.len(),
                image.seconds.get() * 1000.0
            );
            judge(case, &tree, &ran).with_context(|| format!("{branch}, {}: {ran}", case.root))?;
        }
    }
    Ok(())
}

#[test]
fn a_driver_that_the_image_has_itself_is_covered() -> Result<()> {
    let own = prepared("nvidia-driver.sh", "535")?;
    let host = prepared("nvidia-driver.sh", "550")?;
    let image = Image::of("ubuntu", "covered")?.context("no root file system")?;
    image.install(&own, &["libcuda", "libnvidia-ml"])?;
    let without = image.run_with(&PLAIN, &Edits::default())?;
    ensure!(
        without.contains("libcuda.so.1 loaded") && !is_of(&host, "libcuda.so.", &without)?,
        "the image's own driver is not the one that loads by itself: {without}"
    );
    let (_, ran) = image.run(&PLAIN, &host)?;
    judge(&PLAIN, &host, &ran)
}

/// All libraries loaded, each from the host's file, and the driver says that it is not loaded.
fn judge(case: &Case, tree: &Path, ran: &str) -> Result<()> {
    for (asked, file) in case.libraries {
        let line = ran
            .lines()
            .find(|line| line.split(' ').next() == Some(asked))
            .with_context(|| format!("{asked} was not tried"))?;
        ensure!(line.contains(" loaded"), "{line}");
        // Only a library with a known function tells where it lies.
        if line.contains(':') {
            ensure!(is_of(tree, file, line)?, "{line} is not the host's file");
        }
        if case.root == "redhat" && line.contains(':') {
            ensure!(line.contains("lib64/"), "{line}: not a folder of Red Hat's");
        }
    }
    // With a driver in the kernel, its version decides.
    if !Path::new("/proc/driver/nvidia").exists() {
        ensure!(
            ran.contains("nvmlInit=9 (Driver Not Loaded)"),
            "the management library said something else: {ran}"
        );
    }
    Ok(())
}

/// Whether the line tells the device and inode of the file of `tree` whose name begins so.
fn is_of(tree: &Path, file: &str, line: &str) -> Result<bool> {
    let search = Search {
        driver_root: tree.to_path_buf(),
    };
    let files = find(&HostRoot::default(), &search)?.files;
    let found = files.iter().find(|found| {
        let name = found.container_path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(file)
    });
    let real = fs::metadata(&found.with_context(|| format!("no {file}"))?.host_path)?;
    Ok(line.contains(&format!(" {}:{} ", real.dev(), real.ino())))
}

/// A root file system, and a bundle of runc around it.
struct Image {
    bundle: Scratch,
    name: String,
    /// How long the last run took.
    seconds: std::cell::Cell<f64>,
}

impl Image {
    /// `None` where the script says that it cannot have what it needs.
    fn of(root: &str, name: &str) -> Result<Option<Image>> {
        let made = Command::new(script("nvidia-roots.sh")).arg(root).output()?;
        if made.status.code() == Some(77) {
            return Ok(None);
        }
        let root = prepared("nvidia-roots.sh", root)?;
        let name = format!("dunnage-driver-files-{}-{name}", std::process::id());
        let bundle = Scratch(super::cache()?.join(&name));
        // What a test that was killed left behind.
        let _ = fs::remove_dir_all(&bundle.0);
        fs::create_dir_all(&bundle.0)?;
        said(
            Command::new("cp")
                .arg("-al")
                .arg(&root)
                .arg(bundle.0.join("rootfs")),
        )?;
        Ok(Some(Image {
            bundle,
            name,
            seconds: std::cell::Cell::new(0.0),
        }))
    }

    /// Installs libraries of another driver in the image, as its own package manager would.
    fn install(&self, tree: &Path, names: &[&str]) -> Result<()> {
        let root = self.bundle.0.join("rootfs");
        let folder = root.join("usr/lib/x86_64-linux-gnu");
        let search = Search {
            driver_root: tree.to_path_buf(),
        };
        for file in find(&HostRoot::default(), &search)?.files {
            let name = file.container_path.file_name().unwrap_or_default();
            let text = name.to_string_lossy();
            if names
                .iter()
                .any(|wanted| text.starts_with(&format!("{wanted}.so.")))
            {
                fs::copy(&file.host_path, folder.join(name))?;
                for link in &file.links {
                    symlink(name, folder.join(link))?;
                }
            }
        }
        // The cache is replaced, not written: other images share the file.
        fs::remove_file(root.join("etc/ld.so.cache"))?;
        said(Command::new("/sbin/ldconfig").arg("-r").arg(&root)).map(drop)
    }

    /// Runs a case with what a container gets for a GPU of a host with the driver in `tree`.
    fn run(&self, case: &Case, tree: &Path) -> Result<(Edits, String)> {
        let host = HostRoot::default();
        // A node with the harmless numbers of /dev/tty60, under the name of a GPU's.
        let mut inventory = gpus(&host, &[("GPU-1", &[])]);
        let mut node = nodes::at(&host, "/dev/tty60", Role::Own).context("no /dev/tty60")?;
        node.path = PathBuf::from("/dev/nvidia0");
        inventory.devices[0].nodes.push(node);
        let all: Vec<_> = inventory.devices.iter().collect();
        let (edits, gaps) = offer(&host, &inventory, &all, &options(tree, &self.bundle))?;
        ensure!(gaps.is_empty(), "{gaps:?}");
        ensure!(edits.hooks.is_empty(), "{:?}", edits.hooks);
        ensure!(!edits.env.contains_key("LD_LIBRARY_PATH"));
        let ran = self.run_with(case, &edits)?;
        Ok((edits, ran))
    }

    fn run_with(&self, case: &Case, edits: &Edits) -> Result<String> {
        let mut config = configuration(case, &self.name);
        bundle::apply(&mut config, edits)?;
        fs::write(self.bundle.0.join("config.json"), config.to_string())?;
        let start = Instant::now();
        let output = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(&self.bundle.0)
            .arg(&self.name)
            .output()
            .context("start runc: is it installed?")?;
        self.seconds.set(start.elapsed().as_secs_f64());
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "it took too long"
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            !text.is_empty(),
            "runc: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }
}

fn configuration(case: &Case, name: &str) -> Value {
    let arguments: Vec<&str> = std::iter::once(case.program)
        .chain(case.libraries.iter().map(|(asked, _)| *asked))
        .collect();
    let mut environment = vec!["PATH=/usr/bin:/bin"];
    environment.extend(case.environment);
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": case.user, "gid": case.user},
            "args": arguments, "env": environment, "cwd": "/"},
        "root": {"path": "rootfs", "readonly": case.read_only},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
        "linux": {
            "cgroupsPath": format!("/dunnage-tests/{name}"),
            "namespaces": namespaces}
    })
}
