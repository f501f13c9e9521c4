//! Placement against brute force, ties and noise.

use super::*;
use dunnage_inventory::{Device, Kind, PciPlace, Peer};
use proptest::prelude::*;

fn slots(ids: &[&str]) -> Vec<Slot> {
    let slot = |id: &&str| Slot {
        id: (*id).to_owned(),
        device: id.split("::").next().unwrap().to_owned(),
        ill: None,
        numa_node: None,
    };
    ids.iter().map(slot).collect()
}

fn ids(of: &[&str]) -> Vec<String> {
    of.iter().map(|id| (*id).to_owned()).collect()
}

fn ties(pairs: &[(&str, &str, u32)]) -> Ties {
    let mut ties = Ties::default();
    for (a, b, worth) in pairs {
        Arc::make_mut(&mut ties.places).link(a, b, *worth);
    }
    ties
}

#[test]
fn those_that_are_linked_go_together() {
    let all = slots(&["a", "b", "c", "d"]);
    let ties = ties(&[("b", "d", LINK), ("a", "b", SAME_NUMA_NODE)]);
    let free = ids(&["a", "b", "c", "d"]);
    let two = preferred(&all, &free, &[], 2, Spread::Packed, &ties);
    assert_eq!(two, ids(&["b", "d"]));
    let with_a = preferred(&all, &free, &ids(&["a"]), 2, Spread::Packed, &ties);
    assert_eq!(with_a, ids(&["a", "b"]));
}

#[test]
fn nearness_is_told_by_the_inventory() {
    let device = |id: &str, path: &[&str], numa_node: Option<u32>| {
        let mut device = Device::new(id, "rules", Kind::Gpu, "acme");
        device.numa_node = numa_node;
        device.pci = Some(PciPlace {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            ..PciPlace::default()
        });
        device
    };
    let mut linked = device("a", &["r1", "s1"], Some(0));
    linked.peers.push(Peer {
        id: "c".to_owned(),
        over: "nvlink",
        links: 2,
    });
    let inventory = Inventory {
        devices: vec![
            linked,
            device("b", &["r1", "s1"], Some(0)),
            device("c", &["r1", "s2"], Some(1)),
            device("d", &[], None),
            device("e", &[], None),
        ],
        gaps: Vec::new(),
    };
    let places = Ties::of(&inventory).places;
    let pair = |a: &str, b: &str| places.pair(places.index[a], places.index[b]);
    assert_eq!(pair("a", "b"), SAME_SWITCH + SAME_NUMA_NODE);
    assert_eq!(pair("a", "c"), 2 * LINK + SAME_SWITCH / 2);
    assert_eq!(pair("c", "a"), pair("a", "c"));
    assert_eq!(pair("d", "e"), 0, "what is nowhere is near nothing");
}

#[test]
fn noise_goes_before_nearness() {
    let all = slots(&["a", "b", "c"]);
    let noise = BTreeMap::from([("b".to_owned(), 3.5)]);
    let ties = ties(&[("a", "b", LINK)]).with_noise(noise);
    let free = ids(&["a", "b", "c"]);
    let two = preferred(&all, &free, &[], 2, Spread::Packed, &ties);
    assert_eq!(two, ids(&["a", "c"]));
}

#[test]
fn shared_devices_are_filled_or_spread_as_asked() {
    let all = slots(&["a::0", "a::1", "b::0", "b::1"]);
    let free = ids(&["a::0", "a::1", "b::1"]);
    let one = |spread| preferred(&all, &free, &[], 1, spread, &Ties::default());
    assert_eq!(one(Spread::Packed), ids(&["b::1"]));
    assert_eq!(one(Spread::Spread), ids(&["a::0"]));
    // Two are two devices, as long as there are two.
    let two = preferred(&all, &free, &[], 2, Spread::Packed, &Ties::default());
    assert_eq!(two, ids(&["a::0", "b::1"]));
}

#[test]
fn what_nobody_has_is_not_given() {
    let all = slots(&["a"]);
    let asked = preferred(
        &all,
        &ids(&["a", "x"]),
        &[],
        2,
        Spread::Packed,
        &Ties::default(),
    );
    assert_eq!(asked, ids(&["a"]));
    assert!(preferred(&[], &ids(&["x"]), &[], 1, Spread::Packed, &Ties::default()).is_empty());
}

/// Sixty-four devices, of which the best eight are to be found by growing.
fn many(pairs: &[u32], count: usize) -> (Vec<Slot>, Vec<String>, Ties) {
    let names: Vec<String> = (0..count).map(|at| format!("{at:02}")).collect();
    let mut ties = Ties::default();
    let mut worth = pairs.iter().cycle();
    for (at, a) in names.iter().enumerate() {
        for b in names.iter().skip(at + 1) {
            let worth = *worth.next().unwrap();
            Arc::make_mut(&mut ties.places).link(a, b, worth);
        }
    }
    let all = slots(&names.iter().map(String::as_str).collect::<Vec<_>>());
    (all, names, ties)
}

#[test]
fn eight_of_sixty_four_find_their_island() {
    // Eight islands of eight, each device with seven links.
    let (all, names, mut ties) = many(&[SAME_NUMA_NODE], 64);
    for (at, a) in names.iter().enumerate() {
        for (other, b) in names.iter().enumerate().skip(at + 1) {
            if at % 8 == other % 8 {
                Arc::make_mut(&mut ties.places).link(a, b, LINK);
            }
        }
    }
    let chosen = preferred(&all, &names, &[], 8, Spread::Packed, &ties);
    assert_eq!(chosen.len(), 8);
    let island = |id: &String| id.parse::<usize>().unwrap() % 8;
    assert!(
        chosen.iter().all(|id| island(id) == island(&chosen[0])),
        "{chosen:?}"
    );
}

/// One device of a made-up host: the bridges on its path, its NUMA node, and to whom it has how many
/// links of what sort.
type Made = (Vec<u8>, Option<u32>, Vec<(usize, usize, u32)>);

fn made() -> impl Strategy<Value = Made> {
    (
        prop::collection::vec(0_u8..3, 0..3),
        prop::option::of(0_u32..2),
        prop::collection::vec((0_usize..16, 0_usize..3, 0_u32..40), 0..3),
    )
}

fn inventory(made: &[Made]) -> Inventory {
    let name = |at: usize| format!("{at:02}");
    let device = |(at, (path, numa_node, links)): (usize, &Made)| {
        let mut device = Device::new(name(at), "nvidia", Kind::Gpu, "nvidia");
        device.numa_node = *numa_node;
        device.pci = Some(PciPlace {
            path: path.iter().map(|bridge| format!("b{bridge}")).collect(),
            ..PciPlace::default()
        });
        let links = links.iter().filter(|(to, ..)| *to != at);
        let peer = |(to, sort, links): &(usize, usize, u32)| Peer {
            id: name(*to),
            over: ["nvlink", "xgmi", "pcie"][*sort],
            links: *links,
        };
        device.peers = links.map(peer).collect();
        device
    };
    Inventory {
        devices: made.iter().enumerate().map(device).collect(),
        gaps: Vec::new(),
    }
}

/// The worth of two devices by the inventory itself: nothing here is shared with the placement but the
/// weights.
fn nearness(a: &Device, b: &Device) -> u32 {
    let links = |from: &Device, to: &Device| -> u32 {
        let to = from.peers.iter().filter(|peer| peer.id == to.id);
        to.filter(|peer| peer.over != "pcie")
            .map(|peer| peer.links.clamp(1, 32))
            .sum()
    };
    let path = |device: &Device| device.pci.as_ref().unwrap().path.clone();
    let (left, right) = (path(a), path(b));
    let bridge = match (left.is_empty() || right.is_empty(), &left, &right) {
        (true, ..) => 0,
        _ if left.last() == right.last() => SAME_SWITCH,
        _ if left.first() == right.first() => SAME_SWITCH / 2,
        _ => 0,
    };
    let node = if a.numa_node.is_some() && a.numa_node == b.numa_node {
        SAME_NUMA_NODE
    } else {
        0
    };
    links(a, b).max(links(b, a)) * LINK + bridge + node
}

proptest! {
    // Sixteen devices have 65,536 sets.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn up_to_sixteen_devices_with_links_are_placed_as_by_brute_force(
        made in prop::collection::vec(made(), 1..=16),
        size in 1_usize..=8,
        must in prop::option::of(0_usize..16),
    ) {
        let inventory = inventory(&made);
        let count = made.len();
        let size = size.min(count);
        let must = must.filter(|at| *at < count);
        let near: Vec<Vec<u32>> = inventory
            .devices
            .iter()
            .map(|a| inventory.devices.iter().map(|b| nearness(a, b)).collect())
            .collect();
        let worth = |bits: u32| -> u32 {
            let set: Vec<usize> = (0..count).filter(|at| bits >> at & 1 == 1).collect();
            let pairs = set.iter().enumerate();
            pairs.flat_map(|(at, a)| set[at + 1..].iter().map(|b| near[*a][*b])).sum()
        };
        let best = (0_u32..1 << count)
            .filter(|bits| bits.count_ones() as usize == size)
            .filter(|bits| must.is_none_or(|at| bits >> at & 1 == 1))
            .map(worth)
            .max();
        let names: Vec<String> = inventory.devices.iter().map(|device| device.id.clone()).collect();
        let all = slots(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let wanted: Vec<String> = must.iter().map(|at| names[*at].clone()).collect();
        let ties = Ties::of(&inventory);
        let chosen = preferred(&all, &names, &wanted, size, Spread::Packed, &ties);
        prop_assert!(wanted.iter().all(|id| chosen.contains(id)));
        let bits = chosen.iter().map(|id| 1 << id.parse::<u32>().unwrap()).sum();
        prop_assert_eq!(Some(worth(bits)), best);
    }
}

proptest! {
    #[test]
    fn all_that_is_asked_for_is_given_once_and_what_must_be_is_there(
        count in 1_usize..20,
        size in 0_usize..20,
        must in prop::collection::btree_set(0_usize..20, 0..4),
        pairs in prop::collection::vec(0_u32..1000, 1..50),
    ) {
        let (all, names, ties) = many(&pairs, count);
        let must: Vec<String> = must.iter().filter_map(|at| names.get(*at).cloned()).collect();
        let size = size.clamp(must.len(), count.max(must.len()));
        let chosen = preferred(&all, &names, &must, size, Spread::Packed, &ties);
        let once: BTreeSet<&String> = chosen.iter().collect();
        prop_assert_eq!(once.len(), chosen.len());
        prop_assert_eq!(chosen.len(), size);
        prop_assert!(must.iter().all(|id| chosen.contains(id)));
    }

    /// The other way to the best set: all bit patterns.
    #[test]
    fn up_to_sixteen_it_is_the_best_set(
        count in 1_usize..12,
        size in 1_usize..6,
        pairs in prop::collection::vec(0_u32..1000, 1..70),
    ) {
        let (all, names, ties) = many(&pairs, count);
        let size = size.min(count);
        let places = &ties.places;
        let pair = |a: &String, b: &String| places.pair(places.index[a], places.index[b]);
        let worth = |set: &[&String]| -> u64 {
            let mut sum = 0;
            for (at, a) in set.iter().enumerate() {
                sum += set[at + 1..].iter().map(|b| u64::from(pair(a, b))).sum::<u64>();
            }
            sum
        };
        let best = (0_u32..1 << count)
            .filter(|bits| bits.count_ones() as usize == size)
            .map(|bits| {
                let set: Vec<&String> =
                    (0..count).filter(|at| bits >> at & 1 == 1).map(|at| &names[at]).collect();
                worth(&set)
            })
            .max()
            .unwrap();
        let chosen = preferred(&all, &names, &[], size, Spread::Packed, &ties);
        prop_assert_eq!(worth(&chosen.iter().collect::<Vec<_>>()), best);
    }
}
