//! Which of the kernel's events show who is inside fsync: those of the one function that all file systems
//! have in common where the kernel lets programs be hooked there, else the tracepoints of ext4, which
//! only a kernel with ext4 built in shows with their types.

use super::super::resources::{Context, Means};
use super::super::tracepoint::{AttachError, attach, attach_around};
use crate::causes::chain;
use crate::host::HostRoot;
use aya::{Btf, Ebpf};
use dunnage_model::gap::Gap;
use std::collections::BTreeSet;

/// The function behind fsync, fdatasync and what is written with O_SYNC.
const FUNCTION: &str = "vfs_fsync_range";

/// The file systems that have a block device of their own and hold what containers write.
const ON_DEVICES: [&str; 4] = ["ext3", "ext4", "f2fs", "xfs"];

/// Those whose tracepoints are followed where nothing else is.
const EXT4: [&str; 2] = ["ext3", "ext4"];

/// More than any host mounts.
const MOST_MOUNTS: usize = 4 << 20;

/// Who is told to be inside fsync.
enum Followed {
    /// On every file system.
    All,
    /// On ext4; why not on all.
    Ext4(AttachError),
    /// Nowhere; why.
    Nowhere(AttachError),
}

/// What follows fsync on this kernel.
pub(super) struct Following {
    /// By which events.
    pub(super) means: Means,
    /// What stays unknown, to be said once.
    pub(super) notices: Vec<Gap>,
}

/// Attaches what follows fsync, and tells which mounted file systems' waits stay unknown.
pub(super) fn follow(ebpf: &mut Ebpf, context: &Context<'_>) -> Following {
    let hooks = ("on_sync", "on_synced");
    let followed = match attach_around(ebpf, context.btf, hooks, FUNCTION) {
        Ok(()) => Followed::All,
        Err(refused) => match follow_ext4(ebpf, context.btf) {
            Ok(()) => Followed::Ext4(refused),
            Err(_) => Followed::Nowhere(refused),
        },
    };
    let means = means(&followed, &mounts(context.root));
    let mut notices: Vec<Gap> = means.lost.iter().cloned().collect();
    // A kernel that has ext4 as a module shows nobody by its types who has the journal write how much.
    if let Err(error) = attach(ebpf, context.btf, "on_handle", "jbd2_handle_stats")
        && !error.is_unknown()
    {
        notices.push(Gap::new(JOURNALS, chain(&error)));
    }
    Following { means, notices }
}

/// What is told of it on a host with these `mounts`.
fn means(followed: &Followed, mounts: &[u8]) -> Means {
    let (by, seen, refused) = match followed {
        Followed::All => (
            format!("followed at {FUNCTION}, on every file system with a block device"),
            &ON_DEVICES[..],
            None,
        ),
        Followed::Ext4(refused) => (
            "followed at ext4's tracepoints, on ext4 alone".to_owned(),
            &EXT4[..],
            Some(chain(refused)),
        ),
        Followed::Nowhere(refused) => ("not followed".to_owned(), &[][..], Some(chain(refused))),
    };
    let unseen = unseen(mounts, seen);
    let lost = refused.as_ref().filter(|_| !unseen.is_empty());
    let lost = lost.map(|refused| {
        Gap::new(
            format!("waits in fsync on {}", unseen.join(" and ")),
            refused,
        )
    });
    let by = match refused {
        Some(refused) if lost.is_none() => {
            format!(
                "{by}; elsewhere it would not be seen, and no such file system is mounted ({refused})"
            )
        }
        _ => by,
    };
    Means {
        what: "waits in fsync",
        by,
        lost,
    }
}

/// What is lost where the kernel refuses to show what goes into journals.
const JOURNALS: &str = "who has the journal of ext4 write how much";

fn follow_ext4(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    attach(ebpf, btf, "on_synced_of_ext4", "ext4_sync_file_exit")?;
    attach(ebpf, btf, "on_sync_of_ext4", "ext4_sync_file_enter")
}

fn mounts(root: &HostRoot) -> Vec<u8> {
    let mounts = root.read("/proc/1/mounts", MOST_MOUNTS);
    mounts.unwrap_or_default()
}

/// The types among `mounts` (proc_pid_mounts(5)) on devices that nobody follows.
fn unseen(mounts: &[u8], followed: &[&str]) -> Vec<&'static str> {
    let mounted: BTreeSet<&[u8]> = mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(2))
        .collect();
    ON_DEVICES
        .into_iter()
        .filter(|kind| !followed.contains(kind) && mounted.contains(kind.as_bytes()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"/dev/vda / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n\
        /dev/vdb /var/lib xfs rw 0 0\n/dev/vdc /boot/efi vfat rw 0 0\nxfs /tmp/ext3 tmpfs rw 0 0\n";

    #[test]
    fn what_is_lost_is_told_where_it_is_mounted() {
        let ext4 = b"/dev/vda / ext4 rw 0 0\n";
        let all = means(&Followed::All, MOUNTS);
        assert_eq!(all.lost, None);
        assert!(all.by.contains("vfs_fsync_range"), "{}", all.by);

        let refused = || AttachError::Missing("on_sync");
        let enough = means(&Followed::Ext4(refused()), ext4);
        assert_eq!(enough.lost, None);
        assert!(
            enough.by.contains("on ext4 alone; elsewhere"),
            "{}",
            enough.by
        );
        let part = means(&Followed::Ext4(refused()), MOUNTS);
        assert_eq!(
            part.lost.map(|gap| gap.what).as_deref(),
            Some("waits in fsync on xfs")
        );

        let none = means(&Followed::Nowhere(refused()), ext4);
        assert_eq!(
            none.lost.map(|gap| gap.what).as_deref(),
            Some("waits in fsync on ext4")
        );
        assert!(none.by.starts_with("not followed"), "{}", none.by);
    }

    #[test]
    fn what_is_followed_or_not_mounted_is_not_missed() {
        assert_eq!(unseen(MOUNTS, &EXT4), ["xfs"]);
        assert_eq!(unseen(MOUNTS, &[]), ["ext4", "xfs"]);
        assert_eq!(unseen(MOUNTS, &ON_DEVICES), [""; 0]);
        assert_eq!(unseen(b"", &[]), [""; 0]);
        assert_eq!(unseen(b"\xff \xff\n\n xfs", &[]), [""; 0]);
    }
}
