//! Where plugins are measured: a mount namespace of the bench's own, with a folder of the kubelet's that
//! is not the host's, and devices to give away that nobody else sees.
//!
//! The devices are nodes of `/dev/null` under other names, and a tree of sysfs for the plugin that looks
//! for GPUs there.

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The kubelet's folder: most plugins know no other.
const KUBELET: &str = "/var/lib/kubelet";

/// Where the devices are: below `/dev`, as a rule wants them.
const DEVICES: &str = "/dev/shm";

/// It lasts as long as the process.
pub(super) struct Stage {
    made_kubelet: bool,
}

impl Stage {
    /// Goes into the namespace, with all that this process starts from now on.
    pub(super) fn set() -> anyhow::Result<Stage> {
        let made_kubelet = !Path::new(KUBELET).exists();
        fs::create_dir_all(KUBELET).with_context(|| format!("making {KUBELET}"))?;
        unshare(CloneFlags::CLONE_NEWNS)
            .context("a mount namespace of its own needs root (CAP_SYS_ADMIN)")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("keeping mounts from the host")?;
        for folder in [KUBELET, DEVICES] {
            mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), none)
                .with_context(|| format!("mounting over {folder}"))?;
        }
        Ok(Stage { made_kubelet })
    }

    /// The folder of the kubelet's and the plugins' sockets.
    pub(super) fn sockets(&self) -> PathBuf {
        Path::new(KUBELET).join("device-plugins")
    }

    /// The pattern of all device nodes.
    pub(super) fn nodes(&self) -> String {
        format!("{DEVICES}/nodes/card*")
    }

    /// A folder for files of a plugin.
    pub(super) fn scratch(&self) -> PathBuf {
        DEVICES.into()
    }

    /// The root of a tree in which `sys/class/drm` has the same number of GPUs of Intel.
    pub(super) fn tree(&self) -> PathBuf {
        Path::new(DEVICES).join("tree")
    }

    /// So many devices instead of those before.
    pub(super) fn put_devices(&self, count: usize) -> anyhow::Result<()> {
        let nodes = Path::new(DEVICES).join("nodes");
        let (class, dri) = (
            self.tree().join("sys/class/drm"),
            self.tree().join("dev/dri"),
        );
        for folder in [&nodes, &self.tree()] {
            let _ = fs::remove_dir_all(folder);
        }
        for folder in [&nodes, &class, &dri] {
            fs::create_dir_all(folder)?;
        }
        let null = makedev(1, 3);
        let mode = Mode::from_bits_truncate(0o666);
        for number in 0..count {
            let node = nodes.join(format!("card{number:04}"));
            mknod(&node, SFlag::S_IFCHR, mode, null)
                .with_context(|| format!("making the node {}", node.display()))?;
            let card = format!("card{number}");
            let device = class.join(&card).join("device");
            fs::create_dir_all(device.join("drm").join(&card))?;
            fs::write(device.join("vendor"), "0x8086\n")?;
            fs::write(device.join("device"), "0x56c0\n")?;
            symlink("../../../bus/pci/drivers/i915", device.join("driver"))?;
            fs::write(dri.join(&card), "")?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.made_kubelet {
            // Refused while the mount is on it, and where somebody put something there meanwhile.
            let _ = nix::mount::umount(KUBELET);
            let _ = fs::remove_dir(KUBELET);
        }
    }
}
