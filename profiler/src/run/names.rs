//! Lets the command's cgroup be a party of its own, wherever it lies.

use crate::parties::PartyLookup;
use dunnage_model::party::{Party, PartyKind};
use std::sync::Arc;

/// A lookup that answers for the command's cgroup and asks another one for all else.
pub struct RunNames<'a> {
    others: &'a dyn PartyLookup,
    paths: &'a [String],
    party: Arc<Party>,
}

impl<'a> RunNames<'a> {
    /// `paths` are those of the command's cgroup, `program` is what it is called.
    #[must_use]
    pub fn new(others: &'a dyn PartyLookup, paths: &'a [String], program: &str) -> RunNames<'a> {
        let path = paths.first().cloned().unwrap_or_default();
        let mut party = Party::new(path.as_str(), PartyKind::Service, program);
        party.cgroup = Some(path);
        RunNames {
            others,
            paths,
            party: Arc::new(party),
        }
    }

    /// The command's party.
    #[must_use]
    pub fn party(&self) -> &Arc<Party> {
        &self.party
    }
}

impl PartyLookup for RunNames<'_> {
    fn of_cgroup(&self, path: &str) -> Arc<Party> {
        let is_inside = |own: &String| {
            let rest = path.strip_prefix(own.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.paths.iter().any(is_inside) {
            return self.party.clone();
        }
        self.others.of_cgroup(path)
    }

    fn of_root_process(&self, command: &str) -> Arc<Party> {
        self.others.of_root_process(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::Services;

    #[test]
    fn the_command_is_one_party_in_every_hierarchy_and_the_rest_is_what_it_was() {
        let paths = [
            "/user.slice/dunnage-run-7".to_owned(),
            "/dunnage-run-7".to_owned(),
        ];
        let names = RunNames::new(&Services, &paths, "cargo");
        let party = names.of_cgroup("/user.slice/dunnage-run-7");
        assert_eq!(party.name, "cargo");
        assert_eq!(party, names.of_cgroup("/dunnage-run-7/deeper"));
        for path in ["/user.slice", "/dunnage-run-77", "/docker/x/dunnage-run-7"] {
            assert_eq!(&*names.of_cgroup(path).key, path);
        }
    }
}
