//! Which of the kernel's events show who is inside fsync: those of the one function that all file systems
//! have in common where the kernel lets programs be hooked there, else the tracepoints of ext4, which
//! only a kernel with ext4 built in shows with their types.

use super::super::resources::Context;
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

/// Attaches what follows fsync, and tells which mounted file systems' waits stay unknown.
pub(super) fn follow(ebpf: &mut Ebpf, context: &Context<'_>) -> Vec<Gap> {
    let mut notices = Vec::new();
    let hooks = ("on_sync", "on_synced");
    if let Err(refused) = attach_around(ebpf, context.btf, hooks, FUNCTION) {
        let followed = match follow_ext4(ebpf, context.btf) {
            Ok(()) => &EXT4[..],
            Err(_) => &[],
        };
        let unseen = unseen(&mounts(context.root), followed);
        if !unseen.is_empty() {
            let what = format!("waits in fsync on {}", unseen.join(" and "));
            notices.push(Gap::new(what, chain(&refused)));
        }
    }
    // A kernel that has ext4 as a module shows nobody by its types who has the journal write how much.
    if let Err(error) = attach(ebpf, context.btf, "on_handle", "jbd2_handle_stats")
        && !error.is_unknown()
    {
        notices.push(Gap::new(JOURNALS, chain(&error)));
    }
    notices
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
    fn what_is_followed_or_not_mounted_is_not_missed() {
        assert_eq!(unseen(MOUNTS, &EXT4), ["xfs"]);
        assert_eq!(unseen(MOUNTS, &[]), ["ext4", "xfs"]);
        assert_eq!(unseen(MOUNTS, &ON_DEVICES), [""; 0]);
        assert_eq!(unseen(b"", &[]), [""; 0]);
        assert_eq!(unseen(b"\xff \xff\n\n xfs", &[]), [""; 0]);
    }
}
