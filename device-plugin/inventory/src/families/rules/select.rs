//! What a rule selects: devices of sysfs, or nodes below `/dev`.

use super::pattern;
use crate::config::Selection;
use crate::device::{Node, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The most names of a folder, and the most matches of a rule, that are looked at.
const MATCHES_LIMIT: usize = 4096;

/// The most folders below a device that are searched for nodes, and how deep.
const FOLDERS_LIMIT: usize = 256;
const DEPTH_LIMIT: usize = 4;

/// One device that a rule selects.
pub(super) struct Match {
    /// The kernel's name of it, or its path below `/dev` with `-` between the parts.
    pub(super) name: String,
    /// Its directory in sysfs, where it was selected there.
    pub(super) directory: Option<PathBuf>,
    /// Its nodes.
    pub(super) nodes: Vec<Node>,
    /// What the first `*` of the pattern stood for.
    pub(super) star: Option<String>,
}

/// What `selection` selects, in a stable order, and whether bounds have cut it short.
pub(super) fn matches(host: &HostRoot, selection: &Selection) -> (Vec<Match>, bool) {
    match selection {
        Selection::Sysfs {
            class: Some(class),
            driver,
        } => of_class(host, class, driver.as_deref()),
        Selection::Sysfs {
            class: None,
            driver: Some(driver),
        } => of_driver(host, driver),
        Selection::Sysfs { .. } => (Vec::new(), false),
        Selection::Nodes(patterns) => of_patterns(host, patterns),
    }
}

/// The names in a folder that are text, and whether there were too many.
fn names(host: &HostRoot, folder: &Path) -> (Vec<String>, bool) {
    let (names, more) = host.entries(folder, MATCHES_LIMIT).unwrap_or_default();
    let texts = names.into_iter().filter_map(|name| name.into_string().ok());
    (texts.collect(), more)
}

/// The devices of a class that have a node, with `driver` alone where it is given.
fn of_class(host: &HostRoot, class: &str, driver: Option<&str>) -> (Vec<Match>, bool) {
    let folder = Path::new("/sys/class").join(class);
    let (names, more) = names(host, &folder);
    let matches = names
        .into_iter()
        .filter_map(|name| {
            let directory = folder.join(&name);
            let bound = |at: &Path| pci::driver(host, at).map(|driver| driver.name);
            let fits = driver.is_none_or(|wanted| {
                [bound(&directory), bound(&directory.join("device"))]
                    .iter()
                    .any(|name| name.as_deref() == Some(wanted))
            });
            let node = nodes::of_sysfs(host, &directory, Role::Own).filter(|_| fits)?;
            Some(Match {
                name,
                directory: Some(directory),
                nodes: vec![node],
                star: None,
            })
        })
        .collect();
    (matches, more)
}

/// The devices that a driver is bound to, on any bus, with all nodes below them.
fn of_driver(host: &HostRoot, driver: &str) -> (Vec<Match>, bool) {
    let (buses, mut cut) = names(host, Path::new("/sys/bus"));
    let mut matches = Vec::new();
    for bus in buses {
        let folder = Path::new("/sys/bus").join(bus).join("drivers").join(driver);
        let (names, more) = names(host, &folder);
        cut |= more;
        for name in names {
            let directory = folder.join(&name);
            // Beside the devices stands `module`, which is a link too.
            if host.link(directory.join("subsystem")).is_err() || name == "module" {
                continue;
            }
            let nodes = nodes_below(host, &directory, &mut cut);
            if !nodes.is_empty() {
                matches.push(Match {
                    name,
                    directory: Some(directory),
                    nodes,
                    star: None,
                });
            }
        }
    }
    cut |= matches.len() > MATCHES_LIMIT;
    matches.truncate(MATCHES_LIMIT);
    (matches, cut)
}

/// The nodes of a device and of what is below it. Links are not followed: they lead to other devices.
fn nodes_below(host: &HostRoot, directory: &Path, cut: &mut bool) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut open = vec![(directory.to_path_buf(), 0)];
    let mut searched = 0;
    while let Some((folder, depth)) = open.pop() {
        searched += 1;
        if searched > FOLDERS_LIMIT {
            *cut = true;
            break;
        }
        nodes.extend(nodes::of_sysfs(host, &folder, Role::Own));
        if depth == DEPTH_LIMIT {
            continue;
        }
        let (names, more) = names(host, &folder);
        *cut |= more;
        // What is a device of its own on the bus is not part of this one.
        for name in names.iter().rev().filter(|name| !pci::is_address(name)) {
            let below = folder.join(name);
            let is_folder = host.link(&below).is_err()
                && host
                    .locate(&below)
                    .is_ok_and(|located| located.metadata.is_dir());
            if is_folder {
                open.push((below, depth + 1));
            }
        }
    }
    nodes.sort_by(|left, right| left.path.cmp(&right.path));
    nodes
}

/// The nodes that fit one of the patterns.
fn of_patterns(host: &HostRoot, patterns: &[String]) -> (Vec<Match>, bool) {
    let mut matches: Vec<Match> = Vec::new();
    let mut known: HashSet<PathBuf> = HashSet::new();
    let mut cut = false;
    for pattern in patterns {
        for (path, star) in expand(host, pattern, &mut cut) {
            // A link is followed: engines refuse a link where a node should be.
            let there = host.locate(&path).ok();
            let Some(node) = there.and_then(|there| nodes::located(there, Role::Own)) else {
                continue;
            };
            if !node.path.starts_with("/dev") || !known.insert(node.path.clone()) {
                continue;
            }
            if matches.len() == MATCHES_LIMIT {
                return (matches, true);
            }
            let below = path.strip_prefix("/dev").unwrap_or(&path);
            matches.push(Match {
                name: below.to_string_lossy().replace('/', "-"),
                directory: None,
                nodes: vec![node],
                star,
            });
        }
    }
    (matches, cut)
}

/// The paths that fit a pattern, with what its first `*` stood for.
fn expand(host: &HostRoot, pattern: &str, cut: &mut bool) -> Vec<(PathBuf, Option<String>)> {
    let mut paths: Vec<(PathBuf, Option<String>)> = vec![(PathBuf::from("/"), None)];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for (folder, star) in paths {
            if !pattern::is_pattern(part) {
                next.push((folder.join(part), star));
                continue;
            }
            let (names, more) = names(host, &folder);
            *cut |= more;
            for name in names {
                if let Some(found) = pattern::first_star(part, &name) {
                    let own = part.contains('*').then(|| found.to_owned());
                    next.push((folder.join(&name), star.clone().or(own)));
                }
            }
        }
        *cut |= next.len() > MATCHES_LIMIT;
        next.truncate(MATCHES_LIMIT);
        paths = next;
    }
    paths
}
