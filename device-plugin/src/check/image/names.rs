//! Which paths upper layers hide, remembered as 128-bit hashes.
//!
//! Layers are numbered from the top: 0 is the uppermost. What hides a path is the smallest number at
//! which it was seen, so the order in which layers are recorded does not matter.

use super::limits::NAMES;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher, RandomState};

/// A hash of a path. Keyed anew in each process: nobody can prepare two paths that share one.
type Key = [u8; 16];

/// No layer.
const NONE: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Mark {
    /// The uppermost layer that lists the path or takes it away.
    seen: u16,
    /// How it does that.
    how: How,
    /// The uppermost layer that hides what lower ones have below the path.
    covers: u16,
    /// The uppermost layer that lists something below the path.
    above_something: u16,
}

/// How a layer names a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is a directory, which is merged with those of lower layers.
    Directory,
    /// It is anything else, which hides what lower layers have at and below it.
    Other,
    /// It is taken away (`.wh.NAME`).
    Whiteout,
}

/// Whether a path of a layer is there in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// No upper layer hides it.
    Visible,
    /// As a link it is there for those engines that follow it while they unpack; an upper layer has
    /// files below this path without saying that it is a directory.
    LinkBelowFiles,
    /// An upper layer hides it.
    Hidden,
}

/// There is no room for more paths.
#[derive(Debug)]
pub(super) struct Full;

/// The paths of all layers.
pub(super) struct Names {
    marks: HashMap<Key, Mark, BuildHasherDefault<AsItIs>>,
    first: DefaultHasher,
    second: DefaultHasher,
    /// The hashes of a path's ancestors, the root first, and its own; kept to be filled again.
    chain: Vec<Key>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            marks: HashMap::default(),
            first: RandomState::new().build_hasher(),
            second: RandomState::new().build_hasher(),
            chain: Vec::new(),
        }
    }

    /// Whether `path` (absolute, cleaned) of `layer` is there in the image.
    pub(super) fn look(&mut self, path: &[u8], layer: u16) -> Seen {
        self.follow(path);
        let Some((own, ancestors)) = self.chain.split_last() else {
            return Seen::Visible;
        };
        let covered = |key: &Key| self.marks.get(key).is_some_and(|mark| mark.covers < layer);
        if ancestors.iter().any(covered) {
            return Seen::Hidden;
        }
        match self.marks.get(own) {
            Some(mark) if mark.seen < layer || mark.covers < layer => Seen::Hidden,
            Some(mark) if mark.above_something < layer => Seen::LinkBelowFiles,
            _ => Seen::Visible,
        }
    }

    /// `layer` names `path`. True where it had named it before, and not both times as a directory.
    pub(super) fn record(&mut self, path: &[u8], layer: u16, how: How) -> Result<bool, Full> {
        self.follow(path);
        let chain = std::mem::take(&mut self.chain);
        let result = self.record_chain(&chain, layer, how);
        self.chain = chain;
        result
    }

    /// `layer` hides all that lower ones have below the directory `path` (`.wh..wh..opq`).
    pub(super) fn cover(&mut self, path: &[u8], layer: u16) -> Result<(), Full> {
        self.follow(path);
        let chain = std::mem::take(&mut self.chain);
        let result = chain.split_last().map_or(Ok(()), |(own, ancestors)| {
            let mark = self.mark(own)?;
            mark.covers = mark.covers.min(layer);
            mark.above_something = mark.above_something.min(layer);
            self.above(ancestors, layer)
        });
        self.chain = chain;
        result
    }

    fn record_chain(&mut self, chain: &[Key], layer: u16, how: How) -> Result<bool, Full> {
        let Some((own, ancestors)) = chain.split_last() else {
            return Ok(false);
        };
        let mark = self.mark(own)?;
        let mut twice = false;
        if layer < mark.seen {
            mark.seen = layer;
            mark.how = how;
        } else if layer == mark.seen && how != How::Whiteout {
            twice =
                mark.how != How::Whiteout && (mark.how, how) != (How::Directory, How::Directory);
            mark.how = how;
        }
        if how != How::Directory {
            mark.covers = mark.covers.min(layer);
        }
        // What is taken away needs no directory above it.
        if how != How::Whiteout {
            self.above(ancestors, layer)?;
        }
        Ok(twice)
    }

    /// `layer` lists something below all of `ancestors`.
    fn above(&mut self, ancestors: &[Key], layer: u16) -> Result<(), Full> {
        for key in ancestors.iter().skip(1).rev() {
            let mark = self.mark(key)?;
            if mark.above_something <= layer {
                break;
            }
            mark.above_something = layer;
        }
        Ok(())
    }

    fn mark(&mut self, key: &Key) -> Result<&mut Mark, Full> {
        if self.marks.len() >= NAMES && !self.marks.contains_key(key) {
            return Err(Full);
        }
        Ok(self.marks.entry(*key).or_insert(Mark {
            seen: NONE,
            how: How::Whiteout,
            covers: NONE,
            above_something: NONE,
        }))
    }

    /// Fills the chain with the hashes of `/`, `/usr`, `/usr/lib`, ... of `path`.
    fn follow(&mut self, path: &[u8]) {
        self.chain.clear();
        let (mut first, mut second) = (self.first.clone(), self.second.clone());
        let mut push = |first: &DefaultHasher, second: &DefaultHasher| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&first.finish().to_ne_bytes());
            key[8..].copy_from_slice(&second.finish().to_ne_bytes());
            self.chain.push(key);
        };
        push(&first, &second);
        for part in path
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty())
        {
            for hasher in [&mut first, &mut second] {
                hasher.write(b"/");
                hasher.write(part);
            }
            push(&first, &second);
        }
    }
}

/// A key is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The length of the array comes as well, and is shorter than the array itself.
        if let (16, Some(first)) = (bytes.len(), bytes.first_chunk::<8>()) {
            self.0 = u64::from_ne_bytes(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(recorded: &[(&str, u16, How)]) -> Names {
        let mut names = Names::new();
        for (path, layer, how) in recorded {
            names.record(path.as_bytes(), *layer, *how).unwrap();
        }
        names
    }

    #[test]
    fn upper_layers_hide_lower_ones_and_never_themselves() {
        let mut names = names(&[
            ("/usr/lib", 1, How::Directory),
            ("/usr/lib/a", 1, How::Other),
            ("/usr/lib/b", 1, How::Whiteout),
        ]);
        for (path, layer, seen) in [
            ("/usr/lib/a", 1, Seen::Visible),
            ("/usr/lib/a", 2, Seen::Hidden),
            ("/usr/lib/a/x", 2, Seen::Hidden),
            ("/usr/lib/a", 0, Seen::Visible),
            ("/usr/lib/b", 1, Seen::Visible),
            ("/usr/lib/b/x", 2, Seen::Hidden),
            ("/usr/lib/c", 2, Seen::Visible),
            ("/usr/lib/ab", 2, Seen::Visible),
            ("/usr/lib", 2, Seen::Hidden),
            ("/usr", 2, Seen::LinkBelowFiles),
        ] {
            assert_eq!(
                names.look(path.as_bytes(), layer),
                seen,
                "{path} of {layer}"
            );
        }
    }

    #[test]
    fn opaque_directories_hide_what_is_below_even_for_the_root() {
        let mut names = names(&[("/d", 2, How::Directory), ("/d/new", 2, How::Other)]);
        names.cover(b"/d", 2).unwrap();
        assert_eq!(names.look(b"/d/new", 2), Seen::Visible);
        assert_eq!(names.look(b"/d/old", 3), Seen::Hidden);
        assert_eq!(names.look(b"/e", 3), Seen::Visible);
        names.cover(b"/", 2).unwrap();
        assert_eq!(names.look(b"/e", 3), Seen::Hidden);
        assert_eq!(names.look(b"/e", 2), Seen::Visible);
    }

    #[test]
    fn a_directory_that_became_a_file_and_a_directory_again_is_empty() {
        // 0: a directory again; 1: a file; 2: a directory with x.
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut names = Names::new();
            for layer in order {
                let how = [How::Directory, How::Other, How::Directory][usize::from(layer)];
                names.record(b"/p", layer, how).unwrap();
            }
            assert_eq!(names.look(b"/p/x", 2), Seen::Hidden);
            assert_eq!(names.look(b"/p", 1), Seen::Hidden);
            assert_eq!(names.look(b"/p/y", 0), Seen::Visible);
        }
    }

    #[test]
    fn a_path_named_twice_is_noticed_unless_it_is_a_directory() {
        let mut names = Names::new();
        for (path, how, twice) in [
            ("/d", How::Directory, false),
            ("/d", How::Directory, false),
            ("/d", How::Other, true),
            ("/f", How::Whiteout, false),
            ("/f", How::Other, false),
            ("/f", How::Whiteout, false),
            ("/f", How::Other, true),
        ] {
            assert_eq!(
                names.record(path.as_bytes(), 4, how).unwrap(),
                twice,
                "{path}"
            );
        }
    }
}
