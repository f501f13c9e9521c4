//! The parties add up to the machine, whatever came and went.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// A consistent world: a tree of cgroups, each with its own use before and within the window, some
/// born in it, some gone at its end.
#[derive(Clone, Debug)]
struct Leaf {
    path: String,
    past: u64,
    used: u64,
    born: bool,
    gone: bool,
}

fn leaves() -> impl Strategy<Value = Vec<Leaf>> {
    let name = prop::sample::select(vec!["docker", "kubepods", "a", "b", "c"]);
    let path = prop::collection::vec(name, 1..5).prop_map(|parts| format!("/{}", parts.join("/")));
    let leaf = (
        path,
        0..1_000_000u64,
        0..1_000_000u64,
        any::<bool>(),
        any::<bool>(),
    );
    prop::collection::vec(
        leaf.prop_map(|(path, past, used, born, gone)| Leaf {
            path,
            past,
            used,
            born,
            gone,
        }),
        0..12,
    )
}

/// Sums the leaves up the tree as the kernel does: what is gone stays in its parents.
fn world(leaves: &[Leaf], rest: u64, ebpf: bool) -> Observation {
    let mut before = std::collections::BTreeMap::<String, u64>::new();
    let mut after = std::collections::BTreeMap::<String, u64>::new();
    let mut owners = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for leaf in leaves.iter().filter(|leaf| seen.insert(leaf.path.clone())) {
        let nested = leaves
            .iter()
            .any(|other| other.path.starts_with(&format!("{}/", leaf.path)));
        // A cgroup with children neither comes nor goes without them.
        let (born, gone) = (leaf.born && !nested, leaf.gone && !nested);
        let past = if born { 0 } else { leaf.past };
        for path in std::iter::once(leaf.path.as_str()).chain(tree::parents(&leaf.path)) {
            let own = path == leaf.path;
            if !(own && born) {
                *before.entry(path.to_owned()).or_default() += past;
            }
            if !(own && gone) {
                *after.entry(path.to_owned()).or_default() += past + leaf.used;
            }
        }
        let key = Owner::V2(id(&leaf.path));
        owners.push(owner(key, Some(&leaf.path), leaf.used as f64 / 1e9, 0.0));
    }
    let total: u64 = owners.iter().map(|owner| owner.cpus[0].run.0).sum();
    let readings = |counters: std::collections::BTreeMap<String, u64>| {
        counters
            .into_iter()
            .map(|(path, nanos)| cgroup(&path, nanos as f64 / 1e9))
            .collect()
    };
    let mut observation = window(0.0, readings(before), readings(after));
    Arc::make_mut(&mut observation.after).machine.cpu.user = Nanos(total);
    Arc::make_mut(&mut observation.after).machine.cpu.system = Nanos(rest);
    observation.sched = if ebpf {
        sched(owners, Vec::new())
    } else {
        None
    };
    observation
}

proptest! {
    #[test]
    fn the_parties_add_up_to_the_machine(
        leaves in leaves(), rest in 0..1_000_000u64, ebpf: bool
    ) {
        let observation = world(&leaves, rest, ebpf);
        let charged = charge(&observation, &Names);
        prop_assert_eq!(sum(&charged), charged.machine.busy());
        if ebpf {
            prop_assert_eq!(party(&charged, "kernel").cpu.usage, Nanos(rest));
            // Each leaf is charged to its own party, gone or not.
            let mut wanted = HashMap::<String, u64>::new();
            let mut seen = std::collections::HashSet::new();
            for leaf in leaves.iter().filter(|leaf| seen.insert(leaf.path.clone())) {
                *wanted.entry(Names.of_cgroup(&leaf.path).key.to_string()).or_default() += leaf.used;
            }
            for (key, used) in wanted.into_iter().filter(|&(_, used)| used > 0) {
                prop_assert_eq!(party(&charged, &key).cpu.usage, Nanos(used), "{}", key);
            }
        }
    }
}
