//! The images of the pairs: root file systems from real packages and from files that are written
//! here, and the configuration that goes with them.

use crate::elf::{Elf, bundle, fatbin};
use crate::pieces::{Pieces, plant};
use dunnage_device_plugin::check::image::ImageMeta;
use std::path::Path;

/// An image as it was built.
pub(crate) struct Built {
    /// Its files.
    pub(crate) dir: tempfile::TempDir,
    /// Its configuration.
    pub(crate) meta: ImageMeta,
}

const LIB: &str = "usr/lib/x86_64-linux-gnu";

/// Builds an image by its name: parts with spaces between them. `None` where packages are needed that are
/// not at hand.
pub(crate) fn build(name: &str, pieces: &Pieces) -> Option<Built> {
    let dir = pieces.folder();
    // A folder with nothing in it is no root file system.
    std::fs::create_dir_all(dir.path().join("etc")).ok()?;
    let mut meta = ImageMeta {
        reference: name.to_owned(),
        architecture: Some("amd64".to_owned()),
        os: Some("linux".to_owned()),
        ..ImageMeta::default()
    };
    for part in name.split(' ') {
        let (what, rest) = part.split_once(':').unwrap_or((part, ""));
        match what {
            // A package as it is.
            "pkg" => pieces.unpack(rest, dir.path())?,
            // A Python package, where pip puts it.
            "wheel" => {
                let site = dir.path().join("usr/lib/python3.11/site-packages");
                std::fs::create_dir_all(&site).unwrap();
                pieces.unpack(&format!("wheel-{rest}"), &site)?;
            }
            "env" => {
                let (name, value) = rest.split_once('=').unwrap();
                meta.env.push((name.to_owned(), value.replace('_', " ")));
            }
            "arch" => meta.architecture = Some(rest.to_owned()),
            "os" => meta.os = Some(rest.to_owned()),
            "cut" => cut(dir.path(), rest, pieces)?,
            _ => written(dir.path(), what, rest),
        }
    }
    Some(Built { dir, meta })
}

/// A package's file, cut in half: `cut:PACKAGE:PATH`.
fn cut(dir: &Path, what: &str, pieces: &Pieces) -> Option<()> {
    let (package, path) = what.split_once(':').unwrap();
    let bytes = pieces.read(package, path)?;
    plant(dir, path, &bytes[..bytes.len() / 2]);
    Some(())
}

/// Parts that are written here.
fn written(dir: &Path, what: &str, rest: &str) {
    let library = |path: &str, elf: &Elf| plant(dir, path, &elf.bytes());
    match what {
        // glibc with symbols up to a version: `glibc:GLIBC_2.36`.
        "glibc" => library(
            &format!("{LIB}/libc.so.6"),
            &Elf {
                soname: Some("libc.so.6"),
                defines: vec!["libc.so.6", "GLIBC_2.2.5", leak(rest)],
                ..Elf::default()
            },
        ),
        "musl" => library("lib/ld-musl-x86_64.so.1", &Elf::default()),
        "gcompat" => library(
            "lib/libgcompat.so.0",
            &Elf {
                soname: Some("libgcompat.so.0"),
                ..Elf::default()
            },
        ),
        // A program: `program:MACHINE`, of x86-64 where none is named.
        "program" => library(
            "usr/bin/program",
            &Elf {
                machine: rest.parse().unwrap_or(62),
                interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
                needed: vec!["libc.so.6"],
                ..Elf::default()
            },
        ),
        "static" => library(
            "usr/bin/program",
            &Elf {
                fixed: true,
                ..Elf::default()
            },
        ),
        // A library with a name: `lib:libcudart.so.12.4.127`.
        "lib" => library(
            &format!("{LIB}/{rest}"),
            &Elf {
                soname: Some(leak(rest)),
                ..Elf::default()
            },
        ),
        // A program that needs libraries and symbols: `needs:libcuda.so.1,cuInit`.
        "needs" => needs(dir, rest),
        // Device code: `sm:80,90` and `ptx:80@70,90a@78`, `gfx:gfx90a,gfx1030`.
        "sm" | "ptx" => code(dir, what, rest),
        "gfx" => {
            let targets: Vec<&str> = rest.split(',').collect();
            let name = format!("{LIB}/libkernels.so");
            library(
                &name,
                &Elf {
                    blob: bundle(&targets),
                    ..Elf::default()
                },
            );
        }
        // A program for a gate array: `xclbin:PLATFORM`.
        "xclbin" => {
            let mut head = vec![0; 512];
            head[..8].copy_from_slice(b"xclbin2\0");
            head[352..352 + rest.len()].copy_from_slice(rest.as_bytes());
            plant(dir, "opt/design.xclbin", &head);
        }
        // A file with a text: `text:opt/rocm/.info/version=6.1.0-82`.
        "text" => {
            let (path, text) = rest.split_once('=').unwrap();
            plant(dir, path, text.as_bytes());
        }
        "garbage" => plant(
            dir,
            rest,
            b"\x7fELF\x02\x01\x01 this is not what it says it is; it goes on for a while",
        ),
        other => panic!("no part is called {other}"),
    }
}

fn needs(dir: &Path, what: &str) {
    let words = what.split(',').map(leak);
    let (needed, undefined): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with("lib"));
    let program = Elf {
        interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
        needed,
        undefined,
        ..Elf::default()
    };
    plant(dir, "usr/bin/program", &program.bytes());
}

fn code(dir: &Path, what: &str, rest: &str) {
    let texts: Vec<(u32, u32, String)> = rest
        .split(',')
        .map(|target| {
            let (name, version) = target.split_once('@').unwrap_or((target, "0"));
            let arch = name.trim_end_matches(|c: char| !c.is_ascii_digit());
            let version: u32 = version.parse().unwrap();
            let text = format!(
                "//\n.version {}.{}\n.target sm_{name}\n.address_size 64\n",
                version / 10,
                version % 10
            );
            (arch.parse().unwrap(), version, text)
        })
        .collect();
    let entries: Vec<(bool, u32, u32, &[u8])> = texts
        .iter()
        .map(|(arch, version, text)| (what == "ptx", *arch, *version, text.as_bytes()))
        .collect();
    let name = format!(
        "{LIB}/libkernels-{what}-{}.so",
        rest.replace([',', '@'], "-")
    );
    let library = Elf {
        blob: fatbin(&entries),
        ..Elf::default()
    };
    plant(dir, &name, &library.bytes());
}

/// Names live as long as the test.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}
