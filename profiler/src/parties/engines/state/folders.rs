//! The folders that hold containers' folders: which are there, which are new, which are gone.

use super::reader::Reader;
use super::{Form, PLACES, read_container};
use crate::parties::engines::Source;
use crate::parties::names::Known;
use std::collections::HashMap;
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// All that is read in one round; the rest comes with the next.
const ROUND_LIMIT: u64 = 256 << 20;
/// Containers of one folder.
const MOST: usize = 10_000;
/// Namespaces of one folder.
const MOST_NAMESPACES: usize = 64;
/// A file's time moves on with the timer's tick; a change so soon after a listing may not show.
const GRAIN: Duration = Duration::from_millis(50);
/// How often a container's folder is looked at again while its state is not there yet.
const PATIENCE: u32 = 100;

/// The folders as they were last seen.
#[derive(Default)]
pub(super) struct Folders {
    parents: HashMap<PathBuf, Listing>,
    places: HashMap<PathBuf, Place>,
    rounds: u64,
}

#[derive(Default)]
struct Place {
    listing: Listing,
    containers: HashMap<String, Seen>,
    /// The last round in which the place was there.
    round: u64,
    /// Rounds left for those that could not be read.
    patience: u32,
}

struct Seen {
    inode: u64,
    /// `None` where the file says nothing of use.
    known: Option<Known>,
}

/// Folders in a folder, kept until its time of change moves.
#[derive(Default)]
struct Listing {
    changed: Option<SystemTime>,
    listed: Option<SystemTime>,
    names: Vec<(String, u64)>,
}

impl Folders {
    /// All that was read and is still there.
    pub(super) fn known(&self) -> Vec<Known> {
        let seen = self
            .places
            .values()
            .flat_map(|place| place.containers.values());
        seen.filter_map(|seen| seen.known.clone()).collect()
    }

    /// Whether a container's folder is there and its state is not.
    pub(super) fn is_waiting(&self) -> bool {
        self.places.values().any(|place| place.patience > 0)
    }

    /// All folders in which one could appear that matters.
    pub(super) fn followed(&mut self, source: &Source) -> impl Iterator<Item = PathBuf> {
        let mut followed: Vec<PathBuf> = vec![source.path.clone()];
        for (folder, _) in self.places_of(source) {
            followed.extend(folder.parent().map(Path::to_owned));
            followed.push(folder);
        }
        followed.sort_unstable();
        followed.dedup();
        followed.into_iter()
    }

    /// Reads what is new and forgets what is gone. Says whether anything changed.
    pub(super) fn look(&mut self, source: &Source) -> bool {
        self.rounds += 1;
        let mut changed = false;
        let mut left = ROUND_LIMIT;
        for (folder, form) in self.places_of(source) {
            let place = self.places.entry(folder.clone()).or_default();
            place.round = self.rounds;
            let mut reader = Reader {
                base: &source.path,
                left: &mut left,
            };
            changed |= place.look(source, &mut reader, &folder, form);
        }
        let before = self.places.len();
        self.places.retain(|_, place| place.round == self.rounds);
        changed || self.places.len() != before
    }

    /// The folders that hold containers' folders.
    fn places_of(&mut self, source: &Source) -> Vec<(PathBuf, Form)> {
        let base = &source.path;
        let is_runtime_folder = *base == source.root.path("/run")
            || base.parent() == Some(source.root.path("/run/user").as_path());
        if !is_runtime_folder {
            return vec![(base.clone(), Form::State)];
        }
        let mut places = Vec::new();
        for (place, form) in PLACES {
            let Some(parent) = place.strip_suffix("/*") else {
                places.push((base.join(place), *form));
                continue;
            };
            let parent = base.join(parent);
            let listing = self.parents.entry(parent.clone()).or_default();
            listing.refresh(&parent, MOST_NAMESPACES);
            places.extend(
                listing
                    .names
                    .iter()
                    .map(|(name, _)| (parent.join(name), *form)),
            );
        }
        places
    }
}

impl Place {
    fn look(
        &mut self,
        source: &Source,
        reader: &mut Reader<'_>,
        folder: &Path,
        form: Form,
    ) -> bool {
        if self.listing.refresh(folder, MOST) {
            self.patience = PATIENCE;
        } else if self.patience == 0 {
            return false;
        }
        let before = self.containers.len();
        let there: HashMap<&str, u64> = self
            .listing
            .names
            .iter()
            .map(|(name, inode)| (name.as_str(), *inode))
            .collect();
        self.containers
            .retain(|name, seen| there.get(name.as_str()) == Some(&seen.inode));
        let mut changed = self.containers.len() != before;
        let mut is_complete = true;
        for (name, inode) in &self.listing.names {
            if self.containers.contains_key(name) {
                continue;
            }
            // A file that is not there yet is looked for again in the next rounds.
            match read_container(source, reader, &folder.join(name), name, form) {
                Ok(known) => {
                    self.containers.insert(
                        name.clone(),
                        Seen {
                            inode: *inode,
                            known,
                        },
                    );
                    changed = true;
                }
                Err(_) => is_complete = false,
            }
        }
        self.patience = if is_complete { 0 } else { self.patience - 1 };
        changed
    }
}

impl Listing {
    /// Lists the folder where it may have changed since. Says whether its content did.
    fn refresh(&mut self, folder: &Path, most: usize) -> bool {
        let found = std::fs::symlink_metadata(folder)
            .ok()
            .filter(Metadata::is_dir);
        let changed = found.and_then(|found| found.modified().ok());
        let is_settled = match (changed, self.listed) {
            (Some(changed), Some(listed)) => {
                listed.duration_since(changed).is_ok_and(|age| age > GRAIN)
            }
            _ => true,
        };
        if changed == self.changed && is_settled {
            return false;
        }
        self.changed = changed;
        self.listed = Some(SystemTime::now());
        let names = if changed.is_some() {
            subfolders(folder, most)
        } else {
            Vec::new()
        };
        let differs = names != self.names;
        self.names = names;
        differs
    }
}

/// Names and inodes of the folders in a folder, links left out.
fn subfolders(folder: &Path, most: usize) -> Vec<(String, u64)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let named = |entry: DirEntry| Some((entry.file_name().into_string().ok()?, entry.ino()));
    entries
        .flatten()
        .filter(is_folder)
        .filter_map(named)
        .take(most)
        .collect()
}
