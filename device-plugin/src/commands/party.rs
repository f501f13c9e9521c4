//! Who a cgroup belongs to, as far as its path alone tells. `dunnage` has engines to ask; this is for
//! `dunnage-devices`, which has not.

use dunnage_inventory::users::User;
use dunnage_model::document::PartyDocument;

/// How many digits of a container's id stand for its name.
const SHORT_ID: usize = 12;

/// The party of a process: the container whose id is on its cgroup path, else its unit, else the
/// command itself.
pub(super) fn of_user(user: &User) -> PartyDocument {
    let path = user.cgroup.as_deref().unwrap_or("/");
    // From the root downwards: a container may name what is below it as it likes.
    let parts = || path.split('/').filter(|part| !part.is_empty());
    if let Some(id) = parts().find_map(container_id) {
        return party("container", id[..SHORT_ID].to_owned(), Some(id), user);
    }
    let unit = parts()
        .find(|part| is_unit(part))
        .or_else(|| parts().last());
    party("service", unit.unwrap_or(&user.comm).to_owned(), None, user)
}

fn party(kind: &'static str, name: String, id: Option<&str>, user: &User) -> PartyDocument {
    PartyDocument {
        kind: kind.into(),
        id: id.map(str::to_owned),
        name,
        engine: None,
        image: None,
        cgroup: user.cgroup.clone(),
        pod: None,
    }
}

/// The 64 hexadecimal digits that every engine gives a container, wherever they stand in the part:
/// `ID`, `docker-ID.scope`, `libpod-ID`, `cri-containerd-ID.scope`.
fn container_id(part: &str) -> Option<&str> {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    part.split(|c: char| !is_digit(c)).find(|id| id.len() == 64)
}

fn is_unit(part: &str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(cgroup: Option<&str>) -> PartyDocument {
        of_user(&User {
            pid: 1,
            comm: "trainer".to_owned(),
            cgroup: cgroup.map(str::to_owned),
        })
    }

    #[test]
    fn a_container_is_told_by_its_id() {
        let id = "9f3c".repeat(16);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope/init"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubepods/burstable/pod1/{id}/{}", "77aa".repeat(16)),
        ] {
            let party = user(Some(&path));
            assert_eq!(party.kind, "container", "{path}");
            assert_eq!(party.id.as_deref(), Some(id.as_str()), "{path}");
            assert_eq!(party.name, "9f3c9f3c9f3c");
        }
    }

    #[test]
    fn what_is_no_container_is_a_service() {
        assert_eq!(
            user(Some("/system.slice/ollama.service/worker")).name,
            "ollama.service"
        );
        assert_eq!(user(Some("/user/batch")).name, "batch");
        assert_eq!(user(Some("/")).name, "trainer");
        assert_eq!(user(None).kind, "service");
        let not_an_id = format!("/docker/{}", "Z".repeat(64));
        assert_eq!(user(Some(&not_an_id)).kind, "service");
    }
}
