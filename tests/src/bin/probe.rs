//! What a container sees of devices, told by a program inside it: one static file, the standard library
//! alone.
//!
//! `dunnage-probe [see] [MAJOR:MINOR ...]` prints one JSON object: the nodes below /dev, what open(2)
//! says to each, what mknod(2) and open(2) say to nodes of the given numbers, by-path links, mounts
//! below /dev, environment and groups. `dunnage-probe wait` sleeps, so that there is a container.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const O_NONBLOCK: i32 = 0o4000;
const O_NOCTTY: i32 = 0o400;
const S_IFCHR: u32 = 0o020_000;
/// Nodes that every container has.
const ORDINARY: [&str; 8] = [
    "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx",
];

unsafe extern "C" {
    /// mknod(2).
    fn mknod(path: *const std::ffi::c_char, mode: u32, device: u64) -> i32;
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("wait") => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Some("see") => {
            arguments.remove(0);
        }
        _ => {}
    }
    let mut tries = Vec::new();
    for argument in &arguments {
        let numbers = argument
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match numbers {
            Some(numbers) => tries.push(numbers),
            None => {
                eprintln!("dunnage-probe: {argument:?} is no MAJOR:MINOR");
                return ExitCode::from(2);
            }
        }
    }
    println!("{}", report(&tries));
    ExitCode::SUCCESS
}

fn report(tries: &[(u64, u64)]) -> String {
    let mut fields = BTreeMap::new();
    let mut nodes = Vec::new();
    let mut links = Vec::new();
    walk(Path::new("/dev"), 0, &mut nodes, &mut links);
    fields.insert("nodes", list(&nodes));
    fields.insert("links", list(&links));
    let made: Vec<String> = tries
        .iter()
        .map(|&(major, minor)| make(major, minor))
        .collect();
    fields.insert("made", list(&made));
    fields.insert("mounts", list(&mounts()));
    let env: Vec<String> = std::env::vars_os()
        .map(|(name, value)| {
            text(&format!(
                "{}={}",
                name.to_string_lossy(),
                value.to_string_lossy()
            ))
        })
        .collect();
    fields.insert("env", list(&env));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (field, key) in [("Uid:", "uid"), ("Gid:", "gid"), ("Groups:", "groups")] {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let numbers: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        let value = if key == "groups" {
            format!("[{}]", numbers.join(","))
        } else {
            numbers.first().copied().unwrap_or("null").to_owned()
        };
        fields.insert(key, value);
    }
    let parts: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{}:{value}", text(key)))
        .collect();
    format!("{{{}}}", parts.join(","))
}

/// The device nodes and links below a folder; what every container has is left out.
fn walk(folder: &Path, depth: u32, nodes: &mut Vec<String>, links: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let kind = metadata.file_type();
        if kind.is_dir() && depth < 4 && !path.ends_with("pts") {
            walk(&path, depth + 1, nodes, links);
        } else if kind.is_symlink() && depth > 0 {
            let target = fs::read_link(&path).unwrap_or_default();
            let opened = open(&path, false);
            links.push(format!(
                "{{\"path\":{},\"target\":{},\"open\":{}}}",
                text(&path.to_string_lossy()),
                text(&target.to_string_lossy()),
                text(&opened)
            ));
        } else if (kind.is_char_device() || kind.is_block_device()) && !is_ordinary(&path) {
            nodes.push(format!(
                "{{\"path\":{},\"major\":{},\"minor\":{},\"mode\":{},\"uid\":{},\"gid\":{},\"open\":{},\"write\":{}}}",
                text(&path.to_string_lossy()),
                major(metadata.rdev()),
                minor(metadata.rdev()),
                metadata.mode() & 0o777,
                metadata.uid(),
                metadata.gid(),
                text(&open(&path, false)),
                text(&open(&path, true))
            ));
        }
    }
}

fn is_ordinary(path: &Path) -> bool {
    path.parent() == Some(Path::new("/dev"))
        && path
            .file_name()
            .is_some_and(|name| ORDINARY.iter().any(|ordinary| name == *ordinary))
}

/// Makes a node of these numbers and opens it: what a container does that wants more than its own.
fn make(major: u64, minor: u64) -> String {
    let path = PathBuf::from(format!("/dev/probe-{major}-{minor}"));
    let _ = fs::remove_file(&path);
    let made = match CString::new(path.as_os_str().as_bytes()) {
        // SAFETY: the path is a C string that lives until the call returns.
        Ok(name) if unsafe { mknod(name.as_ptr(), S_IFCHR | 0o666, device(major, minor)) } == 0 => {
            "ok".to_owned()
        }
        Ok(_) => name_of(&std::io::Error::last_os_error()),
        Err(_) => "EINVAL".to_owned(),
    };
    let opened = if made == "ok" {
        text(&open(&path, false))
    } else {
        "null".to_owned()
    };
    let _ = fs::remove_file(&path);
    format!(
        "{{\"major\":{major},\"minor\":{minor},\"mknod\":{},\"open\":{opened}}}",
        text(&made)
    )
}

/// `ok`, or the error's name. What a driver itself says (no such device behind the node, busy) is no
/// refusal; the names tell.
fn open(path: &Path, write: bool) -> String {
    let opened = fs::OpenOptions::new()
        .read(!write)
        .write(write)
        .custom_flags(O_NONBLOCK | O_NOCTTY)
        .open(path);
    match opened {
        Ok(_) => "ok".to_owned(),
        Err(error) => name_of(&error),
    }
}

fn name_of(error: &std::io::Error) -> String {
    let name = match error.raw_os_error() {
        Some(1) => "EPERM",
        Some(2) => "ENOENT",
        Some(5) => "EIO",
        Some(6) => "ENXIO",
        Some(13) => "EACCES",
        Some(16) => "EBUSY",
        Some(17) => "EEXIST",
        Some(19) => "ENODEV",
        Some(22) => "EINVAL",
        Some(30) => "EROFS",
        Some(other) => return format!("errno {other}"),
        None => "unknown",
    };
    name.to_owned()
}

/// Mounts at and below /dev that hold something else than what every container has.
fn mounts() -> Vec<String> {
    let info = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<String> = info
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let point = words.nth(4)?;
            let options = words.next()?;
            let usual = ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console"];
            (point.starts_with("/dev/") && !usual.contains(&point)).then(|| {
                let read_only = options.split(',').any(|option| option == "ro");
                format!("{{\"at\":{},\"ro\":{read_only}}}", text(point))
            })
        })
        .collect();
    found.sort();
    found
}

fn major(device: u64) -> u64 {
    (device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000)
}

fn minor(device: u64) -> u64 {
    (device & 0xff) | (device >> 12 & 0xffff_ff00)
}

fn device(major: u64, minor: u64) -> u64 {
    (major & 0xfff) << 8 | (major & 0xffff_f000) << 32 | minor & 0xff | (minor & 0xffff_ff00) << 12
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A JSON string.
fn text(raw: &str) -> String {
    let mut quoted = String::from("\"");
    for c in raw.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
