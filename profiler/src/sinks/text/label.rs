//! What a party is called on a page.

use crate::sinks::escape::escaped;
use dunnage_model::party::{Party, PartyKind};

/// The name of `party` for people, escaped: `namespace/pod/container` for a container whose pod is
/// known, else its name, else its cgroup.
#[must_use]
pub fn label(party: &Party) -> String {
    if let (PartyKind::Container, Some(pod)) = (party.kind, &party.pod)
        && let (Some(namespace), Some(name)) = (&pod.namespace, &pod.name)
    {
        let container = pod.container.as_deref().unwrap_or(&party.name);
        return escaped(&format!("{namespace}/{name}/{container}"));
    }
    match (&party.name, &party.cgroup) {
        (name, Some(cgroup)) if name.is_empty() => escaped(cgroup),
        (name, _) => escaped(name),
    }
}

/// Names in a sentence: `batch`, `batch and cron`, `batch, cron and 2 others`.
#[must_use]
pub fn joined(names: &[String]) -> String {
    match names {
        [] => "nobody known".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, others @ ..] => format!("{one}, {two} and {} others", others.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_model::party::Pod;

    #[test]
    fn a_container_of_a_pod_is_called_by_its_pod() {
        let mut party = Party::new("/kubepods/x", PartyKind::Container, "0123456789ab");
        party.pod = Some(Pod {
            namespace: Some("shop".into()),
            name: Some("web-0".into()),
            container: None,
            uid: None,
        });
        assert_eq!(label(&party), "shop/web-0/0123456789ab");
    }

    #[test]
    fn a_nameless_party_is_called_by_its_cgroup() {
        let mut party = Party::new("/x\x1b", PartyKind::Service, "");
        party.cgroup = Some("/x\x1b".into());
        assert_eq!(label(&party), "/x\\x1b");
    }

    #[test]
    fn names_in_a_sentence() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        assert_eq!(joined(&names[..1]), "a");
        assert_eq!(joined(&names[..2]), "a and b");
        assert_eq!(joined(&names[..3]), "a, b and c");
        assert_eq!(joined(&names), "a, b and 2 others");
    }
}
