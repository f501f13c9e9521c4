//! Layers merged into one file system: whiteouts, opaque directories, links, later over earlier.
//!
//! The rules: OCI image specification, layer.md, "Whiteouts" and "Applying Changesets". A whiteout
//! hides lower layers and never its own. Where engines differ from each other a gap says so.

use super::apart::Apart;
use super::budget::Budget;
use super::bytes::drain;
use super::error::ImageError;
use super::limits::{GAPS, NAMES, ORPHANS};
use super::names::{Full, How, Names, Seen};
use super::path::{Clean, as_path, clean, split};
use super::tar::{Entries, Kind, Skim};
use super::{FoundBy, Interest, Look, Walked};
use dunnage_model::gap::Gap;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

const WHITEOUT: &[u8] = b".wh.";
/// Left by AUFS, and of no meaning but for the next one.
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a reading of a layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// To learn what it hides, and to show what it has: upper layers were read before.
    Together,
    /// To learn what it hides.
    Names,
    /// To show what it has: the names of all layers are known.
    Contents,
}

/// Hard links to files whose own name an upper layer hides: target, and the names that are left.
type Orphans = HashMap<Vec<u8>, Vec<Vec<u8>>>;

/// What an entry is, beside its name.
#[derive(Clone, Copy)]
struct What<'a> {
    kind: Kind,
    /// In bytes, holes included.
    size: u64,
    link: &'a [u8],
}

/// Where the content of an entry comes from.
enum Content<'a, I: Interest, S> {
    /// It streams by.
    Streams(&'a mut Entries<S>),
    /// It was looked into before.
    Seen(Option<FoundBy<I>>),
}

/// The image as it is put together.
pub(super) struct Merge<'a, I: Interest> {
    names: Names,
    interest: &'a mut I,
    look: Arc<I::Look>,
    budget: Budget,
    walked: Walked,
    untold: u64,
    orphans: HashMap<u16, Orphans>,
    orphan_count: usize,
}

impl<'a, I: Interest> Merge<'a, I> {
    pub(super) fn new(interest: &'a mut I, budget: Budget) -> Merge<'a, I> {
        Merge {
            names: Names::new(),
            look: Arc::new(interest.look()),
            interest,
            budget,
            walked: Walked::default(),
            untold: 0,
            orphans: HashMap::new(),
            orphan_count: 0,
        }
    }

    /// Reads one layer; `number` counts from the top, `what` names it in messages. With `to_end` the
    /// stream is read on behind the last entry, so that its digest is verified.
    pub(super) fn layer(
        &mut self,
        tar: impl Skim,
        number: u16,
        pass: Pass,
        what: &str,
        to_end: bool,
    ) -> Result<(), ImageError> {
        let mut entries = Entries::new(tar, self.budget.clone());
        let reading = |error| ImageError::reading(what, error);
        while let Some(entry) = entries.next_entry().map_err(reading)? {
            let about = What {
                kind: entry.kind,
                size: entry.size,
                link: &entry.link,
            };
            let content = Content::Streams(&mut entries);
            self.entry(content, about, &clean(&entry.path), (number, pass))
                .map_err(|fault| fault.within(what))?;
        }
        if to_end {
            drain(&mut entries.into_source()).map_err(reading)?;
        }
        Ok(())
    }

    /// Takes one layer that is read by a thread of its own: all of it together, to its end.
    pub(super) fn apart(
        &mut self,
        mut layer: Apart<FoundBy<I>>,
        number: u16,
        what: &str,
    ) -> Result<(), ImageError> {
        let reading = |error| ImageError::reading(what, error);
        while let Some(passed) = layer.next_entry().map_err(reading)? {
            let about = What {
                kind: passed.kind,
                size: passed.size,
                link: &passed.link,
            };
            let content: Content<'_, I, &[u8]> = Content::Seen(passed.found);
            self.entry(content, about, &passed.path, (number, Pass::Together))
                .map_err(|fault| fault.within(what))?;
        }
        Ok(())
    }

    /// What looks into files.
    pub(super) fn look(&self) -> &Arc<I::Look> {
        &self.look
    }

    /// Whether a layer must be read once more, by [`Merge::orphans`].
    pub(super) fn has_orphans(&self, number: u16) -> bool {
        self.orphans.contains_key(&number)
    }

    /// Reads a layer again for the content of files that are there only by their second name.
    pub(super) fn orphans(
        &mut self,
        tar: impl Skim,
        number: u16,
        what: &str,
    ) -> Result<(), ImageError> {
        let mut wanted = self.orphans.remove(&number).unwrap_or_default();
        let mut entries = Entries::new(tar, self.budget.clone());
        let reading = |error| ImageError::reading(what, error);
        while !wanted.is_empty()
            && let Some(entry) = entries.next_entry().map_err(reading)?
        {
            if entry.kind != Kind::File {
                continue;
            }
            let names = wanted.remove(&clean(&entry.path).path).unwrap_or_default();
            let Some((first, others)) = names.split_first() else {
                continue;
            };
            let content = Content::Streams(&mut entries);
            self.file(content, first, entry.size).map_err(reading)?;
            for other in others {
                self.interest.link(as_path(other), as_path(first));
            }
        }
        for names in wanted.values() {
            for name in names {
                self.gap(name, "a hard link to a file that its layer does not have");
            }
        }
        Ok(())
    }

    /// What was seen in all.
    pub(super) fn finish(mut self) -> Walked {
        if self.untold > 0 {
            let why = format!("{} more of such things", self.untold);
            self.walked.gaps.push(Gap::new("image", why));
        }
        self.walked
    }

    fn entry(
        &mut self,
        content: Content<'_, I, impl Skim>,
        about: What<'_>,
        cleaned: &Clean,
        (number, pass): (u16, Pass),
    ) -> Result<(), Fault> {
        if cleaned.climbed {
            self.gap(
                &cleaned.path,
                "its name leads out of the image; Docker refuses that",
            );
        }
        let path = &cleaned.path;
        let Some((directory, name)) = split(path) else {
            if about.kind != Kind::Directory {
                self.gap(path, "an entry that would replace the root; it is left out");
            }
            return Ok(());
        };
        if has_whiteout(directory) || name.starts_with(WHITEOUT) {
            return self.whiteout(directory, name, number, pass);
        }
        if pass != Pass::Contents {
            let how = match about.kind {
                Kind::Directory => How::Directory,
                _ => How::Other,
            };
            if self.names.record(path, number, how)? {
                self.gap(
                    path,
                    "named twice in one layer; only the first was looked at",
                );
            }
        }
        if pass != Pass::Names && about.kind != Kind::Directory {
            self.show(content, about, path, number)?;
        }
        Ok(())
    }

    /// Tells the interest of an entry, where the image has it.
    fn show(
        &mut self,
        content: Content<'_, I, impl Skim>,
        about: What<'_>,
        path: &[u8],
        number: u16,
    ) -> Result<(), Fault> {
        match (self.names.look(path, number), about.kind) {
            (Seen::Hidden, _) | (Seen::LinkBelowFiles, Kind::File | Kind::HardLink) => {}
            (seen, Kind::Symlink) => {
                if seen == Seen::LinkBelowFiles {
                    self.gap(
                        path,
                        "a link below which an upper layer has files; some engines follow it, \
                         others put a directory in its place",
                    );
                }
                self.interest.link(as_path(path), as_path(about.link));
            }
            (_, Kind::File) => self.file(content, path, about.size).map_err(Fault::Read)?,
            (_, Kind::HardLink) => self.hard_link(about.link, path, number),
            (_, Kind::Other(b'3' | b'4' | b'6') | Kind::Directory) => {}
            (_, Kind::Other(flag)) => {
                let why = format!("an entry of the unknown type {:?}", char::from(flag));
                self.gap(path, &why);
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        content: Content<'_, I, impl Skim>,
        path: &[u8],
        size: u64,
    ) -> io::Result<()> {
        self.walked.files += 1;
        self.walked.bytes = self.walked.bytes.saturating_add(size);
        let path = as_path(path);
        let found = match content {
            Content::Streams(entries) => self.look.at(path, size, entries)?,
            Content::Seen(found) => found,
        };
        self.interest.file(path, size, found);
        Ok(())
    }

    fn hard_link(&mut self, link: &[u8], path: &[u8], number: u16) {
        let target = clean(link).path;
        if target == path {
            self.gap(path, "a hard link to itself");
        } else if self.names.look(&target, number) == Seen::Visible {
            self.interest.link(as_path(path), as_path(&target));
        } else if self.orphan_count < ORPHANS {
            self.orphan_count += 1;
            let of_layer = self.orphans.entry(number).or_default();
            of_layer.entry(target).or_default().push(path.to_vec());
        } else {
            self.gap(
                path,
                "too many hard links to files that an upper layer hides",
            );
        }
    }

    fn whiteout(
        &mut self,
        directory: &[u8],
        name: &[u8],
        number: u16,
        pass: Pass,
    ) -> Result<(), Fault> {
        if has_whiteout(directory) {
            let root = directory.get(1..).unwrap_or_default();
            if !root.starts_with(AUFS) {
                self.gap(directory, "a file below a whiteout; it is left out");
            }
            return Ok(());
        }
        if pass == Pass::Contents {
            return Ok(());
        }
        if name == OPAQUE {
            return Ok(self.names.cover(directory, number)?);
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        let hidden = &name[WHITEOUT.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            self.gap(directory, "a whiteout of no name; it is left out");
            return Ok(());
        }
        let path = [directory, b"/", hidden].concat();
        self.names.record(&path, number, How::Whiteout)?;
        Ok(())
    }

    fn gap(&mut self, path: &[u8], why: &str) {
        if self.walked.gaps.len() < GAPS {
            let what = String::from_utf8_lossy(path);
            self.walked.gaps.push(Gap::new(what, why));
        } else {
            self.untold += 1;
        }
    }
}

/// Whether a part of the path is a whiteout's name.
fn has_whiteout(directory: &[u8]) -> bool {
    directory
        .windows(WHITEOUT.len() + 1)
        .any(|window| window == b"/.wh.")
}

/// Why a layer is not read on.
enum Fault {
    Read(io::Error),
    Full,
}

impl From<Full> for Fault {
    fn from(_: Full) -> Fault {
        Fault::Full
    }
}

impl Fault {
    fn within(self, what: &str) -> ImageError {
        match self {
            Fault::Read(error) => ImageError::reading(what, error),
            Fault::Full => {
                ImageError::refused(what, format!("the image has more than {NAMES} paths"))
            }
        }
    }
}
