//! What an interest sees of an image.

use dunnage_device_plugin::check::image::{
    self, ImageError, ImageMeta, Interest, Look, Source, Walked,
};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    File(Vec<u8>),
    Link(PathBuf),
}

/// Everything, by its path.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) seen: BTreeMap<PathBuf, Seen>,
    pub(crate) walked: Walked,
    pub(crate) meta: ImageMeta,
}

/// Reads everything.
pub(crate) struct Whole;

impl Look for Whole {
    type Found = Vec<u8>;

    fn wants(&self, path: &Path, _: u64) -> bool {
        assert!(path.is_absolute());
        assert!(!path.components().any(|part| part == Component::ParentDir));
        true
    }

    fn file(&self, path: &Path, size: u64, content: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, size, "{}", path.display());
        Ok(bytes)
    }

    fn weight(found: &Vec<u8>) -> usize {
        found.capacity()
    }
}

impl Interest for View {
    type Look = Whole;

    fn look(&self) -> Whole {
        Whole
    }

    fn file(&mut self, path: &Path, _: u64, found: Option<Vec<u8>>) {
        self.put(path, Seen::File(found.unwrap()));
    }

    fn link(&mut self, path: &Path, target: &Path) {
        self.put(path, Seen::Link(target.to_owned()));
    }
}

impl View {
    pub(crate) fn of(source: &Source) -> Result<View, ImageError> {
        let image = image::open(source, None)?;
        let mut view = View::default();
        view.walked = image.walk(&mut view)?;
        view.meta = image.meta().clone();
        Ok(view)
    }

    fn put(&mut self, path: &Path, seen: Seen) {
        let before = self.seen.insert(path.to_owned(), seen);
        // Only a layer that names a path twice may do that, and a gap says so.
        assert!(before.is_none(), "{} was shown twice", path.display());
    }

    /// Path and content of everything, links of both kinds followed by name.
    pub(crate) fn contents(&self) -> BTreeMap<String, Option<String>> {
        let mut contents = BTreeMap::new();
        for path in self.seen.keys() {
            let text = self
                .content(path, 0)
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            contents.insert(path.to_string_lossy().into_owned(), text);
        }
        contents
    }

    fn content(&self, path: &Path, hops: u32) -> Option<&[u8]> {
        match self.seen.get(path)? {
            Seen::File(bytes) => Some(bytes),
            Seen::Link(_) if hops > 10 => None,
            Seen::Link(target) => {
                let mut full = PathBuf::from("/");
                let base = path.parent().unwrap_or(Path::new("/")).join(target);
                for part in base.components() {
                    match part {
                        Component::ParentDir => {
                            full.pop();
                        }
                        Component::Normal(name) => full.push(name),
                        _ => {}
                    }
                }
                self.content(&full, hops + 1)
            }
        }
    }
}
