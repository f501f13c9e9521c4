//! What `dunnage why` reads of one party: the limits of every level, its tasks, what the machine shows.

#![no_main]

use dunnage_fuzz::Tree;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sources::closeup::CloseReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let tree = Tree::plant(text);
    let root = HostRoot::new(tree.root());
    // The second leads out of the cgroups, as a name from elsewhere may.
    for cgroup in ["/docker/web", "/../../proc/1", "/"] {
        if let Ok(reader) = CloseReader::open(&root, cgroup) {
            let before = reader.read();
            let _closed = reader.close(before);
        }
    }
});
