//! Placement against brute force, ties and noise.

use super::*;
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
    use dunnage_inventory::{Device, Kind, PciPlace, Peer};
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
