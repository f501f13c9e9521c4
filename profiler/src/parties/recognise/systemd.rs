//! Host services: systemd's units, slices, sessions and user managers.
//!
//! Names and escapes: systemd.unit(5), systemd.slice(5), `systemd-escape(1)`; which part of a path
//! is a unit: `src/basic/cgroup-util.c` (`cg_path_get_unit`) of systemd.

use super::parts;

/// The unit that owns a cgroup: how many bytes of `path` are its own cgroup, and its name for people.
///
/// The outermost service or scope owns what is below it, because a unit with delegation may name its
/// own cgroups as it likes. A user's manager (`user@UID.service`) is passed through to the units that
/// it manages. `None` where no part is a service or a scope.
pub(crate) fn unit(path: &str) -> Option<(usize, String)> {
    let (parts, ends) = parts(path);
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    let mut found = None;
    for (part, end) in parts.iter().zip(ends) {
        if !is_unit(part) {
            continue;
        }
        found = Some((end, unescape(part)));
        if manager(part).is_none() {
            break;
        }
    }
    found
}

/// The user whose own manager made this cgroup, and who may therefore name what is below as he
/// likes; `None` for root's and the system's own.
pub(crate) fn owner(path: &str) -> Option<u32> {
    parts(path)
        .0
        .into_iter()
        .find_map(manager)
        .filter(|uid| *uid != 0)
}

/// The uid in `user@UID.service`.
fn manager(part: &str) -> Option<u32> {
    part.strip_prefix("user@")?
        .strip_suffix(".service")?
        .parse()
        .ok()
}

/// The path of a slice: `a-b.slice` lies in `/a.slice/a-b.slice`; `-.slice` is the root.
pub(crate) fn slice_path(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    for (end, _) in name.match_indices('-').chain([(name.len(), "")]) {
        let parent = &name[..end];
        if parent.is_empty() || parent.ends_with('-') {
            return None;
        }
        path = format!("{path}/{parent}.slice");
    }
    Some(path)
}

/// Turns `\x2d` back into `-`, and so on, for people to read. What is no escape stays.
pub(crate) fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match escape(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.strip_prefix(b"\\x")?.get(..2)?;
    // `from_str_radix` would take a sign.
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
