//! Which parties an operator means by a name.

use anyhow::bail;
use dunnage_model::document::PartyDocument;
use dunnage_model::party::Party;
use dunnage_model::usage::WindowUse;
use dunnage_profiler::sinks::escaped;
use dunnage_profiler::sinks::text::label;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Shorter beginnings of an id would be names that happen to be hexadecimal.
const SHORTEST_ID: usize = 4;
/// So many near names are shown.
const NEAR_NAMES: usize = 5;
/// So many of those that one name means are shown.
const MEANT_NAMES: usize = 8;
/// Names are compared up to this length, so that hostile ones cost nothing.
const COMPARED_CHARS: usize = 64;
/// Jaro-Winkler similarity from which a name counts as near.
const NEAR: f64 = 0.7;

/// The engine that has a container of a name, running or not, and its short id.
pub(super) type Kept<'a> = dyn Fn(&str) -> Option<(&'static str, String)> + 'a;

/// The parties that a name means.
pub(super) struct Victims {
    wanted: String,
}

impl Victims {
    pub(super) fn new(wanted: &str) -> Victims {
        Victims {
            wanted: wanted.to_owned(),
        }
    }

    /// Whether `party` is meant: by its name, its cgroup, the beginning of its id, or as
    /// `namespace/pod` with or without the container.
    pub(super) fn mean(&self, party: &PartyDocument) -> bool {
        let wanted = self.wanted.as_str();
        party.name == wanted
            || party.cgroup.as_deref() == Some(wanted)
            || (wanted.len() >= SHORTEST_ID
                && party.id.as_deref().is_some_and(|id| id.starts_with(wanted)))
            || party.pod.as_ref().is_some_and(|pod| {
                let (namespace, name) = (pod.namespace.as_deref(), pod.name.as_deref());
                let container = pod.container.as_deref().unwrap_or(&party.name);
                match wanted.split('/').collect::<Vec<_>>()[..] {
                    [one] => name == Some(one),
                    [a, b] => namespace == Some(a) && name == Some(b),
                    [a, b, c] => namespace == Some(a) && name == Some(b) && container == c,
                    _ => false,
                }
            })
    }

    /// An error where nobody in `window` is meant: that it does not run where `kept` tells of an engine
    /// that has it, else with near names.
    pub(super) fn check(&self, window: &WindowUse, kept: &Kept<'_>) -> anyhow::Result<()> {
        let parties = || window.parties.iter().map(|user| &*user.party);
        if parties().any(|party| self.mean(&PartyDocument::from(party))) {
            return Ok(());
        }
        if let Some((engine, id)) = kept(&self.wanted) {
            bail!(
                "{:?} is a container of {engine} ({}) and does not run now, so that there is nothing to watch; start it, or ask again while it runs",
                self.wanted,
                escaped(&id)
            );
        }
        let near = self.near(parties());
        if near.is_empty() {
            bail!(
                "no container or service is called {:?}; dunnage ps lists them all",
                self.wanted
            );
        }
        bail!(
            "no container or service is called {:?}; near: {}",
            self.wanted,
            near.join(", ")
        );
    }

    /// The one party in `window` that is meant.
    ///
    /// A name can be that of several: an operator must say which, by id, cgroup or pod.
    pub(super) fn one(&self, window: &WindowUse, kept: &Kept<'_>) -> anyhow::Result<Arc<Party>> {
        self.check(window, kept)?;
        let parties = window.parties.iter().map(|user| &user.party);
        let meant: Vec<&Arc<Party>> = parties
            .filter(|party| self.mean(&PartyDocument::from(&***party)))
            .collect();
        if let [only] = meant[..] {
            return Ok(Arc::clone(only));
        }
        let told: Vec<String> = meant
            .iter()
            .take(MEANT_NAMES)
            .map(|party| told_apart(party))
            .collect();
        bail!(
            "{:?} means {} parties; name one by the start of its id, its cgroup, or NAMESPACE/POD/CONTAINER: {}",
            self.wanted,
            meant.len(),
            told.join(", ")
        );
    }

    /// The names most like the wanted one, the most alike first.
    fn near<'a>(&self, parties: impl Iterator<Item = &'a Party>) -> Vec<String> {
        let wanted = cut(&self.wanted);
        let names: BTreeSet<String> = parties.map(label).collect();
        let likeness = |name: &String| {
            let name = cut(name);
            let contained = name.contains(&wanted) || wanted.contains(&name) && !name.is_empty();
            if contained {
                1.0
            } else {
                strsim::jaro_winkler(&name, &wanted)
            }
        };
        let mut near: Vec<(f64, String)> = names
            .into_iter()
            .map(|name| (likeness(&name), name))
            .collect();
        near.retain(|(likeness, _)| *likeness >= NEAR);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.into_iter()
            .take(NEAR_NAMES)
            .map(|(_, name)| name)
            .collect()
    }
}

/// What tells a party from others of its name: its pod, its id, or its cgroup.
fn told_apart(party: &Party) -> String {
    let name = label(party);
    if !party.id.is_empty() {
        let id: String = party.id.chars().take(12).collect();
        return format!("{name} ({})", escaped(&id));
    }
    match &party.cgroup {
        Some(cgroup) => format!("{name} ({})", escaped(cgroup)),
        None => name,
    }
}

fn cut(name: &str) -> String {
    name.chars()
        .take(COMPARED_CHARS)
        .collect::<String>()
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_model::observation::{CgroupLayout, CpuTimes, Fidelity, Host};
    use dunnage_model::party::{PartyKind, Pod};
    use dunnage_model::units::Nanos;
    use dunnage_model::usage::{PartyUse, PressureUse, Stalls};

    fn pod() -> Party {
        let mut party = Party::new("/kubepods/x", PartyKind::Container, "app");
        party.id = "77aa0011".into();
        party.pod = Some(Pod {
            namespace: Some("shop".into()),
            name: Some("web-0".into()),
            container: Some("app".into()),
            uid: None,
        });
        party
    }

    #[test]
    fn a_party_is_meant_by_name_id_or_pod() {
        let party = PartyDocument::from(&pod());
        for name in [
            "app",
            "77aa",
            "77aa0011",
            "web-0",
            "shop/web-0",
            "shop/web-0/app",
        ] {
            assert!(Victims::new(name).mean(&party), "{name}");
        }
        for name in [
            "",
            "ap",
            "77a",
            "77aa00112",
            "shop",
            "shop/web",
            "shop/web-0/db",
            "a/shop/web-0/app",
        ] {
            assert!(!Victims::new(name).mean(&party), "{name}");
        }
    }

    #[test]
    fn a_name_of_several_is_told_apart_by_id_or_cgroup() {
        let user = |party: Party| PartyUse::new(party);
        let mut other = Party::new("/a\x1b", PartyKind::Service, "app");
        other.cgroup = Some("/a\x1b".to_owned());
        let window = WindowUse {
            host: Host {
                name: String::new(),
                kernel: String::new(),
                cpus: 1,
                cgroup: CgroupLayout::V2,
            },
            start_unix: Nanos::ZERO,
            length: Nanos::ZERO,
            machine: CpuTimes::default(),
            machine_pressure: PressureUse::default(),
            parties: vec![user(pod()), user(other)],
            waits: None,
            stalls: Stalls::default(),
            fidelity: Fidelity::Exact,
            gaps: Vec::new(),
        };
        let kept = |name: &str| (name == "batch").then(|| ("docker", "9f3c".to_owned()));
        let one = |name: &str| Victims::new(name).one(&window, &kept);
        assert_eq!(&*one("77aa").unwrap().key, "/kubepods/x");
        assert_eq!(&*one("shop/web-0").unwrap().key, "/kubepods/x");
        let error = one("app").unwrap_err().to_string();
        assert!(error.contains("\"app\" means 2 parties"), "{error}");
        assert!(
            error.contains("shop/web-0/app (77aa0011), app (/a\\x1b)"),
            "{error}"
        );
        let error = one("batch").unwrap_err().to_string();
        assert!(
            error.starts_with("\"batch\" is a container of docker (9f3c) and does not run now"),
            "{error}"
        );
        let error = one("nobody").unwrap_err().to_string();
        assert!(error.contains("is called \"nobody\""), "{error}");
    }

    #[test]
    fn near_names_come_most_alike_first() {
        let party = |name: &str| Party::new(format!("/{name}"), PartyKind::Service, name);
        let parties = [
            party("frontend"),
            party("database"),
            party("frontend-canary"),
            pod(),
        ];
        let near = Victims::new("frontned").near(parties.iter());
        assert_eq!(near, ["frontend", "frontend-canary"]);
        assert!(Victims::new("zzz").near(parties.iter()).is_empty());
    }
}
