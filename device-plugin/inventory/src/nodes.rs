//! Device nodes: the kernel's numbers from sysfs, the node from `/dev`.

use crate::device::{Access, Node, Role};
use dunnage_host::{HostRoot, Located};
use nix::sys::stat::{major, minor};
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The node of a sysfs device directory, by its `dev` and `uevent` files
/// (`Documentation/ABI/stable/sysfs-devices`, `Documentation/ABI/testing/sysfs-uevent`); `None` where it
/// has none.
///
/// The numbers are the kernel's. Where the node in `/dev` is missing, or is another device, the
/// access is absent.
#[must_use]
pub fn of_sysfs(host: &HostRoot, directory: impl AsRef<Path>, role: Role) -> Option<Node> {
    let directory = directory.as_ref();
    let (major, minor) = numbers(&host.fact(directory.join("dev"))?)?;
    let name = host
        .fact(directory.join("uevent"))
        .and_then(|uevent| {
            uevent
                .lines()
                .find_map(|line| line.strip_prefix("DEVNAME=").map(str::to_owned))
        })
        .or_else(|| Some(directory.file_name()?.to_str()?.to_owned()))?;
    let path = below_dev(&name)?;
    let block = host
        .link(directory.join("subsystem"))
        .is_ok_and(|link| link.ends_with("block"));
    let there = at(host, &path, role)
        .filter(|node| (node.block, node.major, node.minor) == (block, major, minor));
    Some(Node {
        access: there.and_then(|node| node.access),
        path,
        role,
        block,
        major,
        minor,
    })
}

/// The node at `path` below `/dev`; `None` where there is none or it is no device.
#[must_use]
pub fn at(host: &HostRoot, path: impl AsRef<Path>, role: Role) -> Option<Node> {
    let path = path.as_ref();
    of_metadata(path.to_path_buf(), &host.locate(path).ok()?.metadata, role)
}

/// The node that was located, by its real path; `None` where it is no device.
#[must_use]
pub fn located(there: Located, role: Role) -> Option<Node> {
    of_metadata(there.path, &there.metadata, role)
}

fn of_metadata(path: PathBuf, metadata: &Metadata, role: Role) -> Option<Node> {
    // Engines are told of nodes in JSON, which has text alone.
    path.to_str()?;
    let kind = metadata.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return None;
    }
    Some(Node {
        path,
        role,
        block: kind.is_block_device(),
        major: u32::try_from(major(metadata.rdev())).ok()?,
        minor: u32::try_from(minor(metadata.rdev())).ok()?,
        access: Some(Access {
            mode: metadata.mode() & 0o777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        }),
    })
}

/// `226:128`.
#[must_use]
pub fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `dri/card0`, as the kernel names nodes, below `/dev`; `None` for a name that leads elsewhere.
fn below_dev(name: &str) -> Option<PathBuf> {
    let ordinary = !name.is_empty()
        && name.len() < 256
        && Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
    ordinary.then(|| Path::new("/dev").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_name_of_a_node_stays_below_dev() {
        assert_eq!(
            below_dev("dri/card0"),
            Some(PathBuf::from("/dev/dri/card0"))
        );
        for bad in ["", "../etc/shadow", "/etc/shadow", "a/../../b"] {
            assert_eq!(below_dev(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_node_whose_name_is_no_text_is_none() {
        use std::os::unix::ffi::OsStrExt;
        let metadata = std::fs::metadata("/dev/null").unwrap();
        let named = |bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let node = |bytes| of_metadata(named(bytes), &metadata, Role::Own);
        assert!(node(b"/dev/x").is_some());
        assert!(node(b"/dev/\xff").is_none());
    }

    #[test]
    fn numbers_are_two() {
        assert_eq!(numbers("226:128\n"), Some((226, 128)));
        for bad in ["", "226", "226:", "a:b", "1:2:3", "-1:2"] {
            assert_eq!(numbers(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_node_of_sysfs_without_its_file_has_no_access() {
        let dir = tempfile::tempdir().unwrap();
        let card = dir.path().join("sys/class/drm/renderD128");
        std::fs::create_dir_all(&card).unwrap();
        std::fs::write(card.join("dev"), "226:128\n").unwrap();
        std::fs::write(card.join("uevent"), "MAJOR=226\nDEVNAME=dri/renderD128\n").unwrap();
        let host = HostRoot::new(dir.path());
        let node = of_sysfs(&host, "/sys/class/drm/renderD128", Role::Render).unwrap();
        assert_eq!(node.path, Path::new("/dev/dri/renderD128"));
        assert_eq!((node.major, node.minor, node.access), (226, 128, None));
        assert_eq!(
            at(&HostRoot::default(), "/dev/null", Role::Own).map(|n| (n.major, n.minor)),
            Some((1, 3))
        );
    }
}
