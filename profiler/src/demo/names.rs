//! Lets the demo's cgroups pass for containers: no engine knows them.

use super::cgroups::ROLES;
use crate::parties::PartyLookup;
use dunnage_model::party::{Party, PartyKind};
use std::sync::Arc;

/// A lookup that answers for the demo's own cgroups and asks another one for all else.
pub struct RoleNames<'a> {
    others: &'a dyn PartyLookup,
    /// The folder with a slash on both ends.
    folder: String,
}

impl<'a> RoleNames<'a> {
    /// `folder` is the cgroup path of the folder that holds the roles, with a slash in front.
    #[must_use]
    pub fn new(others: &'a dyn PartyLookup, folder: &str) -> RoleNames<'a> {
        RoleNames {
            others,
            folder: format!("{folder}/"),
        }
    }
}

impl PartyLookup for RoleNames<'_> {
    fn of_cgroup(&self, path: &str) -> Arc<Party> {
        // Not at the start alone: a reader that sees more of the tree has more in front.
        let role = path.find(&self.folder).and_then(|at| {
            let rest = &path[at + self.folder.len()..];
            let name = rest.split('/').next()?;
            let role = ROLES.iter().find(|role| **role == name)?;
            Some((role, path[..at + self.folder.len() + role.len()].to_owned()))
        });
        let Some((role, cgroup)) = role else {
            return self.others.of_cgroup(path);
        };
        let mut party = Party::new(cgroup.as_str(), PartyKind::Container, *role);
        party.id = format!("{}{role}", self.folder.trim_start_matches('/'));
        party.engine = Some("demo".to_owned());
        party.cgroup = Some(cgroup);
        Arc::new(party)
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
    fn the_roles_are_containers_and_the_rest_is_what_it_was() {
        let names = RoleNames::new(&Services, "/dunnage-demo-7");
        let victim = names.of_cgroup("/dunnage-demo-7/victim");
        assert_eq!(
            (victim.kind, victim.name.as_str()),
            (PartyKind::Container, "victim")
        );
        assert_eq!(victim.engine.as_deref(), Some("demo"));
        assert_eq!(&*victim.key, "/dunnage-demo-7/victim");
        assert_eq!(victim, names.of_cgroup("/dunnage-demo-7/victim/deeper"));
        for path in [
            "/dunnage-demo-7",
            "/dunnage-demo-77/victim",
            "/dunnage-demo-7/victimless",
        ] {
            assert_eq!(names.of_cgroup(path).kind, PartyKind::Service, "{path}");
        }
    }
}
