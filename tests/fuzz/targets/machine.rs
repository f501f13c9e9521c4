//! `/proc/stat`, `/proc/meminfo`, `/proc/diskstats` and `/proc/pressure`.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::sources::machine::MachineReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let tree = Tree::plant(text);
    let mut reader = MachineReader::open(&HostRoot::new(tree.root()));
    let (before, _gaps) = reader.read(Want::all());
    let (after, _gaps) = reader.read(Want::all());
    assert_eq!(after.cpu.since(before.cpu).busy().0, 0, "nothing changed");
});
