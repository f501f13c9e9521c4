//! Where the trees come from: each stands in the table of `trees/README.md`, and each family of
//! hardware is looked for on at least three hosts that exist.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod tree;

use dunnage_host::HostRoot;
use dunnage_inventory::{Config, Device, Inventory, scan};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tree::Tree;

/// The families of hardware. `rules` finds what the operator names, and has no hardware of its own.
const FAMILIES: [&str; 12] = [
    "accel",
    "amd-gpu",
    "dfl",
    "drm-gpu",
    "habana",
    "idxd",
    "intel-gpu",
    "media",
    "nvidia",
    "qat",
    "vfio",
    "xrt",
];

/// How much of a tree was captured, as in the README's tables.
const SORTS: [&str; 4] = ["captured", "partly", "virtual", "composed"];

/// The hosts of `fixtures/nvidia`, of which its own README tells.
const NVIDIA: [(&str, &str); 5] = [
    ("p100-in-vm", "captured"),
    ("power9-six-v100", "captured"),
    ("a10g-on-aws", "partly"),
    ("eight-rtx4090", "composed"),
    ("eight-a100-mig", "composed"),
];

fn of_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

/// The table of the README: how much of each tree was captured.
fn table() -> BTreeMap<String, String> {
    let text = fs::read_to_string(of_tests("trees/README.md")).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (trees, values) = (cells.next()?, cells.next()?);
            SORTS
                .contains(&values)
                .then(|| (trees.to_owned(), values.to_owned()))
        })
        .flat_map(|(trees, values)| {
            let names: Vec<String> = trees.split(", ").map(str::to_owned).collect();
            names.into_iter().map(move |name| (name, values.clone()))
        })
        .collect()
}

/// The names of all trees.
fn trees() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(of_tests("trees"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".tree")?.to_owned())
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_tree_says_where_it_comes_from() {
    let table = table();
    let names = trees();
    assert_eq!(
        names,
        table.keys().cloned().collect::<Vec<_>>(),
        "the trees, and the table of the README"
    );
    for name in &names {
        let text = fs::read_to_string(of_tests(&format!("trees/{name}.tree"))).unwrap();
        let head: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let head = head.join(" ");
        let says = ["Captured", "captured", "Composed", "Made by hand"];
        assert!(
            says.iter().any(|word| head.contains(word)),
            "{name}: {head}"
        );
    }
}

/// The sums at the head of the README: for each family how many hosts there are of each sort.
fn sums() -> BTreeMap<String, Vec<usize>> {
    let text = fs::read_to_string(of_tests("trees/README.md")).unwrap();
    text.lines()
        .filter_map(|line| {
            let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
            let mut cells = cells.split(" | ");
            let family = cells.next()?.to_owned();
            let counts = cells.map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
            Some((family, counts))
        })
        .collect()
}

#[test]
fn every_family_is_looked_for_on_three_hosts_that_exist() {
    let table = table();
    let mut counted: BTreeMap<String, Vec<usize>> = FAMILIES
        .map(|family| (family.to_owned(), vec![0; SORTS.len()]))
        .into();
    let mut count = |inventory: &Inventory, sort: &str| {
        let column = SORTS.iter().position(|of| *of == sort).unwrap();
        for (family, counts) in &mut counted {
            let here = |device: &Device| device.family == family.as_str();
            counts[column] += usize::from(inventory.devices.iter().any(here));
        }
    };
    for (name, sort) in &table {
        count(&scan(&Tree::load(name).host(), &Config::default()), sort);
    }
    for (name, sort) in NVIDIA {
        let host = HostRoot::new(of_tests(&format!("fixtures/nvidia/{name}")));
        count(&scan(&host, &Config::default()), sort);
    }
    let mut sums = sums();
    sums.remove("rules");
    assert_eq!(
        sums, counted,
        "the sums of the README, and those of the trees"
    );
    for (family, counts) in &counted {
        assert!(counts[0] + counts[1] >= 3, "{family}: {counts:?}");
    }
}
