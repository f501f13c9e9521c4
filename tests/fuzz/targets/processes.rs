//! `/proc/PID/stat` of the processes that sit in the root cgroup.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sources::cgroup::CgroupReader;
use dunnage_profiler::sources::process::RootProcesses;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let tree = Tree::plant(text);
    let root = HostRoot::new(tree.root());
    let Ok(cgroups) = CgroupReader::open(&root) else {
        return;
    };
    let mut processes = RootProcesses::open(&root, cgroups.mounts());
    assert_eq!(processes.read(), processes.read(), "nothing changed");
});
