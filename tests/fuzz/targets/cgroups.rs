//! The cgroup files of version 1, hybrid and version 2 hosts, and the mounts that lead to them.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sources::cgroup::{CgroupReader, Want};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let tree = Tree::plant(text);
    let root = HostRoot::new(tree.root());
    let Ok(mut reader) = CgroupReader::open(&root) else {
        return;
    };
    // Twice: the second sweep goes through kept descriptors.
    for _ in 0..2 {
        let (cgroups, _gaps) = reader.read(Want::all());
        assert!(
            cgroups.windows(2).all(|two| two[0].path <= two[1].path),
            "not sorted by path"
        );
        for cgroup in &cgroups {
            assert!(cgroup.path.starts_with('/'), "{:?}", cgroup.path);
            let limits = &cgroup.cpu_limits;
            assert!(
                limits
                    .weight
                    .is_none_or(|weight| weight.is_finite() && weight >= 0.0)
            );
            assert!(
                limits
                    .quota_cpus
                    .is_none_or(|cpus| cpus.is_finite() && cpus >= 0.0)
            );
        }
    }
});
