//! The labelled scenarios, a file a resource.

mod cache;
mod cpu;
mod disk;
mod interrupts;
mod memory;
mod network;
mod ordinary;

pub(super) use ordinary::mixed_load;

use super::scenario::Scenario;

/// All of them, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(cpu::scenarios());
    all.extend(disk::scenarios());
    all.extend(memory::scenarios());
    all.extend(network::scenarios());
    all.extend(interrupts::scenarios());
    all.extend(cache::scenarios());
    all
}

#[cfg(test)]
mod tests {
    use super::all;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_can_be_scored() {
        let all = all();
        let names: BTreeSet<&str> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len(), "two scenarios have one name");
        for scenario in &all {
            scenario.check().unwrap();
        }
        super::mixed_load(60.0).check().unwrap();
    }
}
