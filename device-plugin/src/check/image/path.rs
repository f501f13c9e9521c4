//! Paths inside an image: absolute, without `.` and `..`, as bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A cleaned path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clean {
    /// Absolute; `/` alone is the root.
    pub(super) path: Vec<u8>,
    /// Whether `..` led above the root, where it was left out, as chroot(2) would.
    pub(super) climbed: bool,
}

/// Cleans the name of an entry or the target of a hard link, as engines do: by its text alone.
pub(super) fn clean(raw: &[u8]) -> Clean {
    let mut path = Vec::with_capacity(raw.len() + 1);
    let mut climbed = false;
    for part in raw.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match path.iter().rposition(|&byte| byte == b'/') {
                Some(at) => path.truncate(at),
                None => climbed = true,
            },
            name => {
                path.push(b'/');
                path.extend_from_slice(name);
            }
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Clean { path, climbed }
}

/// The same bytes as a path.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// The directory and the name of a cleaned path; None for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|&byte| byte == b'/')?;
    let (directory, name) = (&path[..at], &path[at + 1..]);
    let directory = if directory.is_empty() {
        b"/"
    } else {
        directory
    };
    (!name.is_empty()).then_some((directory, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        for (raw, path, climbed) in [
            ("./usr/lib/", "/usr/lib", false),
            ("/etc//./passwd", "/etc/passwd", false),
            ("../../etc/shadow", "/etc/shadow", true),
            ("a/../../b", "/b", true),
            ("a/b/../c", "/a/c", false),
            ("", "/", false),
            ("..", "/", true),
            ("...", "/...", false),
        ] {
            let cleaned = clean(raw.as_bytes());
            assert_eq!(cleaned.path, path.as_bytes(), "{raw}");
            assert_eq!(cleaned.climbed, climbed, "{raw}");
        }
        assert_eq!(split(b"/a/b"), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(split(b"/a"), Some((&b"/"[..], &b"a"[..])));
        assert_eq!(split(b"/"), None);
    }
}
