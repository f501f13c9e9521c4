//! What the engines have told, and who a cgroup belongs to by that. Pure: engines write, lookups read.
//!
//! Several may know one container (docker, containerd below it, the runtime's state below that). The
//! answers are merged, the one closest to the operator first. An engine that a user runs for himself
//! is heard only about cgroups that this user's own manager made, so that nobody can name, or hide
//! behind, a container of somebody else.

use super::bounds;
use super::engines::EngineKind;
use super::recognise::{self, Recognised};
use dunnage_model::party::{Party, PartyKind, Pod};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// How long the name of a container that is gone is kept.
const KEEP_GONE: Duration = Duration::from_secs(180);
/// How many of those an engine may have; the oldest go first.
const MOST_GONE: usize = 10_000;
/// How many containers one engine may have. More is taken for a lie.
const MOST: usize = 20_000;

/// One container as an engine describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    /// What tells it from others of the same engine: the id, with containerd's namespace before it.
    pub(super) key: String,
    pub(super) id: String,
    pub(super) engine: Option<String>,
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) pod: Option<Pod>,
    /// Its own cgroup in each hierarchy, where the engine tells it. Never `/`.
    pub(super) cgroups: Vec<String>,
}

/// Who tells: an engine at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceId(usize);

struct Told {
    kind: EngineKind,
    /// The user that runs it; `None` for root's.
    user: Option<u32>,
    entries: HashMap<String, Entry>,
    by_id: HashMap<String, String>,
    by_path: HashMap<String, String>,
    /// Those that are gone, oldest first; one that came back leaves a line without meaning.
    leavers: VecDeque<(Instant, String)>,
}

struct Entry {
    known: Known,
    gone: Option<Instant>,
}

/// Everything that was told.
#[derive(Default)]
pub(super) struct Names {
    sources: Vec<Told>,
    /// Sources in the order in which they are believed.
    order: Vec<usize>,
}

impl Names {
    /// Makes room for another source. `user` is who runs it, `None` for root.
    pub(super) fn add_source(&mut self, kind: EngineKind, user: Option<u32>) -> SourceId {
        self.sources.push(Told {
            kind,
            user,
            entries: HashMap::new(),
            by_id: HashMap::new(),
            by_path: HashMap::new(),
            leavers: VecDeque::new(),
        });
        self.order = (0..self.sources.len()).collect();
        self.order
            .sort_by_key(|&i| (self.sources[i].user.is_some(), self.sources[i].kind));
        SourceId(self.sources.len() - 1)
    }

    /// All that the source has now: what is missing in it is gone. Says whether anything changed.
    pub(super) fn replace(&mut self, source: SourceId, all: Vec<Known>, now: Instant) -> bool {
        let told = &mut self.sources[source.0];
        let mut missing: Vec<String> = told
            .entries
            .iter()
            .filter(|(_, e)| e.gone.is_none())
            .map(|(k, _)| k.clone())
            .collect();
        let present: HashSet<&str> = all.iter().map(|k| k.key.as_str()).collect();
        missing.retain(|key| !present.contains(key.as_str()));
        for key in missing {
            told.leave(&key, now);
        }
        let mut changed = false;
        for known in all.into_iter().take(MOST) {
            changed |= told.put(known);
        }
        told.prune(now);
        changed
    }

    /// One more container, or news of one. Says whether anything changed.
    pub(super) fn put(&mut self, source: SourceId, known: Known, now: Instant) -> bool {
        let told = &mut self.sources[source.0];
        told.prune(now);
        told.put(known)
    }

    /// A new name for a container that is known.
    pub(super) fn rename(&mut self, source: SourceId, key: &str, name: &str) -> bool {
        let entry = self.sources[source.0].entries.get_mut(key);
        entry.is_some_and(|entry| {
            entry.known.name = Some(bounds::name(name));
            true
        })
    }

    /// A container is gone; its name stays for a while.
    pub(super) fn leave(&mut self, source: SourceId, key: &str, now: Instant) {
        self.sources[source.0].leave(key, now);
    }

    /// Whether the source has this container, gone or not.
    pub(super) fn has(&self, source: SourceId, key: &str) -> bool {
        self.sources[source.0].entries.contains_key(key)
    }

    /// How many containers of the source are there now.
    pub(super) fn count(&self, source: SourceId) -> usize {
        self.sources[source.0]
            .entries
            .values()
            .filter(|e| e.gone.is_none())
            .count()
    }

    /// Who the cgroup at `path` belongs to.
    pub(super) fn party(&self, path: &str) -> Party {
        let seen = recognise::recognise(path);
        let told = self.by_path(path);
        let found = match (seen, told) {
            // The outermost container owns the rest, whoever found it.
            (Some(seen), Some(told)) if told.root_len < seen.root_len => Some(told),
            (None, told) => told,
            (seen, _) => seen,
        };
        match found {
            Some(found) => self.container(path, found),
            None => service(path),
        }
    }

    /// The engine that has a container of this name or id, running or not, and its short id.
    pub(super) fn kept(&self, name: &str) -> Option<(&'static str, String)> {
        let mut all = self.order.iter().flat_map(|&i| {
            let told = &self.sources[i];
            told.entries.values().map(move |entry| (told.kind, entry))
        });
        all.find_map(|(kind, entry)| {
            let short = bounds::short_id(&entry.known.id);
            let is_meant = entry.known.name.as_deref() == Some(name)
                || entry.known.id == name
                || short == name;
            (entry.gone.is_none() && is_meant).then_some((kind.as_str(), short))
        })
    }

    /// Whether those who should know the container at `path` have not told anything: the kubelet's
    /// runtime for one in a pod, anybody for the others.
    pub(super) fn is_unknown(&self, path: &str) -> bool {
        let Some(seen) = recognise::recognise(path) else {
            return self.by_path(path).is_none();
        };
        let has_cri = self.sources.iter().any(|told| told.kind == EngineKind::Cri);
        let from_cri = seen.pod_uid.is_some() && has_cri;
        let mut told = self.about(&path[..seen.root_len], &seen.id);
        !told.any(|(told, _)| !from_cri || told.kind == EngineKind::Cri)
    }

    /// The sources that may speak about the container with this cgroup, most believed first. What
    /// the container makes below its own cgroup has no say in it.
    fn believed(&self, cgroup: &str) -> impl Iterator<Item = &Told> {
        let user = recognise::owner(cgroup);
        self.order
            .iter()
            .map(|&i| &self.sources[i])
            .filter(move |told| told.user == user)
    }

    /// The outermost part of the path that an engine says is a container's own cgroup.
    fn by_path(&self, path: &str) -> Option<Recognised> {
        let path = recognise::alive(path);
        let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        ends.filter(|&end| end > 1).find_map(|end| {
            let cgroup = &path[..end];
            let (told, key) = self
                .believed(cgroup)
                .find_map(|told| Some((told, told.by_path.get(cgroup)?)))?;
            let id = told.entries.get(key)?.known.id.clone();
            Some(Recognised {
                engine: None,
                id,
                root_len: end,
                pod_uid: None,
            })
        })
    }

    /// All that was told about one container. Where the exact cgroup was told, that decides; an id
    /// decides only where it is one that nobody chooses.
    fn about<'a>(
        &'a self,
        cgroup: &'a str,
        id: &'a str,
    ) -> impl Iterator<Item = (&'a Told, &'a Known)> {
        self.believed(cgroup).filter_map(move |told| {
            let by_id = || {
                recognise::is_full_id(id)
                    .then(|| told.by_id.get(id))
                    .flatten()
            };
            let key = told.by_path.get(cgroup).or_else(by_id)?;
            Some((told, &told.entries.get(key)?.known))
        })
    }

    fn container(&self, path: &str, found: Recognised) -> Party {
        let cgroup = &path[..found.root_len];
        let mut party = Party::new(cgroup, PartyKind::Container, "");
        party.cgroup = Some(cgroup.to_owned());
        party.engine = found.engine.map(str::to_owned);
        let mut name = None;
        let mut pod: Option<Pod> = None;
        for (told, known) in self.about(cgroup, &found.id) {
            name = name.or_else(|| known.name.clone());
            party.engine = party.engine.or_else(|| known.engine.clone());
            party.image = better_image(party.image, known.image.as_deref());
            if party.labels.is_empty() {
                party.labels.clone_from(&known.labels);
            }
            // Labels of an image could claim a pod; a path in one, or the kubelet's runtime, cannot.
            if found.pod_uid.is_some() || told.kind == EngineKind::Cri {
                pod = pod.or_else(|| known.pod.clone());
            }
        }
        if let Some(uid) = found.pod_uid {
            let empty = Pod {
                namespace: None,
                name: None,
                container: None,
                uid: None,
            };
            pod.get_or_insert(empty).uid = Some(uid);
        }
        party.pod = pod;
        party.name = name.unwrap_or_else(|| bounds::short_id(&found.id));
        party.id = bounds::name(&found.id);
        party
    }
}

/// A reference says more than the digest that the kubelet's runtime shows.
fn better_image(have: Option<String>, other: Option<&str>) -> Option<String> {
    let is_digest = |image: &str| image.starts_with("sha256:");
    match (have, other) {
        (Some(have), Some(other)) if is_digest(&have) && !is_digest(other) => {
            Some(other.to_owned())
        }
        (None, other) => other.map(str::to_owned),
        (have, _) => have,
    }
}

/// A cgroup that is no container: its unit, or itself.
fn service(path: &str) -> Party {
    let path = recognise::alive(path);
    let path = match path.trim_end_matches('/') {
        "" => "/",
        rest => rest,
    };
    let unit = recognise::unit(path);
    let is_slice = path.ends_with(".slice");
    let engine = (unit.is_some() || is_slice).then(|| "systemd".to_owned());
    let (end, name) = unit.unwrap_or_else(|| {
        let last = path.rsplit('/').next().unwrap_or(path);
        // A bare cgroup has no name but its place.
        (
            path.len(),
            if is_slice {
                last.to_owned()
            } else {
                path.to_owned()
            },
        )
    });
    let mut party = Party::new(&path[..end], PartyKind::Service, bounds::name(&name));
    party.cgroup = Some(path[..end].to_owned());
    party.engine = engine;
    party
}

impl Told {
    fn put(&mut self, known: Known) -> bool {
        if self
            .entries
            .get(&known.key)
            .is_some_and(|e| e.gone.is_none() && e.known == known)
        {
            return false;
        }
        if self.entries.len() >= MOST + MOST_GONE && !self.entries.contains_key(&known.key) {
            return false;
        }
        let key = known.key.clone();
        self.forget(&key);
        self.by_id.insert(known.id.clone(), key.clone());
        for path in &known.cgroups {
            self.by_path.insert(path.clone(), key.clone());
        }
        self.entries.insert(key, Entry { known, gone: None });
        true
    }

    fn leave(&mut self, key: &str, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.gone.is_none()
        {
            entry.gone = Some(now);
            self.leavers.push_back((now, key.to_owned()));
        }
    }

    /// Drops the containers that are gone for long, and the oldest where there are too many.
    fn prune(&mut self, now: Instant) {
        while let Some((since, _)) = self.leavers.front() {
            let is_old = now.saturating_duration_since(*since) > KEEP_GONE;
            if !is_old && self.leavers.len() <= MOST_GONE {
                break;
            }
            let Some((since, key)) = self.leavers.pop_front() else {
                break;
            };
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.gone == Some(since))
            {
                self.forget(&key);
            }
        }
    }

    fn forget(&mut self, key: &str) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        let is_ours = |owner: Option<&String>| owner.is_some_and(|owner| owner == key);
        if is_ours(self.by_id.get(&entry.known.id)) {
            self.by_id.remove(&entry.known.id);
        }
        for path in &entry.known.cgroups {
            if is_ours(self.by_path.get(path)) {
                self.by_path.remove(path);
            }
        }
    }
}

#[cfg(test)]
mod tests;
