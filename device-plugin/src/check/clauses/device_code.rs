//! Device code: whether a GPU can run what the image's libraries hold.
//!
//! The rules are those of NVIDIA's compatibility guides: machine code runs on GPUs of the same major
//! capability and the same or a greater minor one; PTX runs on the same or any greater capability, if
//! the driver knows its version; with a letter behind the number it is for that chip (`a`) or that
//! family (`f`) alone.

use super::{Clause, capability, cuda_releases};
use crate::check::facts::ImageFacts;
use crate::check::facts::code::{NvidiaTarget, Targets};
use crate::check::host::HostFacts;
use crate::check::version::Version;
use dunnage_inventory::Device;
use std::collections::BTreeSet;

/// Whether one target runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Runs {
    No,
    Unknown,
    Yes,
}

/// NVIDIA's code in the image against the GPU.
pub(super) fn nvidia(image: &ImageFacts, host: &HostFacts, device: &Device) -> Vec<Clause> {
    let files = || {
        image
            .code
            .iter()
            .filter(|(_, targets)| !targets.nvidia.is_empty())
    };
    let Some((first, _)) = files().next() else {
        return unread(image).into_iter().collect();
    };
    let clause = Clause::new("device code for the GPU");
    let Some((capability, by)) = capability::of(device) else {
        return vec![
            clause
                .wanted(list(files().map(|(_, targets)| targets)), first)
                .there("compute capability unknown")
                .there_by(&*device.id)
                .unknown(
                    "install the driver's library libnvidia-ml.so.1, which tells the capability",
                ),
        ];
    };
    let driver = host.nvidia_driver(device).map(|(driver, _, _)| driver);
    let answer = |targets: &Targets| {
        let runs = |target: &NvidiaTarget| runs(target, capability, driver.as_ref());
        targets
            .nvidia
            .iter()
            .map(runs)
            .max()
            .unwrap_or(Runs::Unknown)
    };
    let worst = files()
        .map(|(path, targets)| (answer(targets), path, targets))
        .min_by_key(|f| f.0);
    let best = files().map(|(_, targets)| answer(targets)).max();
    let there = format!("compute capability {}.{}", capability / 10, capability % 10);
    let clause = clause.there(there).there_by(by);
    let clause = match (worst, best) {
        (_, Some(Runs::No)) | (None, _) | (_, None) => clause
            .wanted(list(files().map(|(_, targets)| targets)), first)
            .no("use an image that was built for this GPU, or for PTX that its driver compiles"),
        (Some((Runs::Yes, path, targets)), _) => {
            clause.wanted(list([targets].into_iter()), path).yes()
        }
        (Some((Runs::No, path, targets)), _) => {
            clause.wanted(list([targets].into_iter()), path).unknown(
                "some of the image's libraries run on this GPU and this one does not: it works if \
                 this one is not needed",
            )
        }
        (Some((Runs::Unknown, path, targets)), _) => {
            clause.wanted(list([targets].into_iter()), path).unknown(
                "it depends on a letter of the target, or on the driver's compiler, that cannot be \
                 told",
            )
        }
    };
    std::iter::once(clause).chain(unread(image)).collect()
}

/// Whether one target runs on a GPU.
fn runs(target: &NvidiaTarget, capability: u32, driver: Option<&Version>) -> Runs {
    let exact = target.arch == capability;
    if target.ptx {
        let by_number = match target.suffix {
            ' ' => target.arch <= capability,
            'a' => exact,
            // The family, or a letter that is not known: more than the chip itself is a guess.
            _ if exact => true,
            _ if target.arch <= capability => return compiles(target, driver).min(Runs::Unknown),
            _ => false,
        };
        return if by_number {
            compiles(target, driver)
        } else {
            Runs::No
        };
    }
    let same_family = target.arch / 10 == capability / 10 && target.arch <= capability;
    match target.suffix {
        _ if exact => Runs::Yes,
        ' ' if same_family => Runs::Yes,
        '?' | 'f' if same_family => Runs::Unknown,
        _ => Runs::No,
    }
}

/// Whether the driver's compiler knows this PTX.
fn compiles(target: &NvidiaTarget, driver: Option<&Version>) -> Runs {
    let Some(driver) = driver else {
        return Runs::Unknown;
    };
    match cuda_releases::ptx_of_driver(driver) {
        Some(newest) if target.ptx_version > 0 && target.ptx_version <= newest => Runs::Yes,
        Some(newest)
            if target.ptx_version > newest && !cuda_releases::is_newer_than_table(driver) =>
        {
            Runs::No
        }
        _ => Runs::Unknown,
    }
}

/// The targets in words, without repeats: `sm_80, sm_90, compute_90`.
fn list<'t>(targets: impl Iterator<Item = &'t Targets>) -> String {
    let all: BTreeSet<(bool, u32, char)> = targets
        .flat_map(|targets| targets.nvidia.iter())
        .map(|target| (target.ptx, target.arch, target.suffix))
        .collect();
    let names = all.iter().map(|(ptx, arch, suffix)| {
        let suffix = if suffix.is_ascii_alphabetic() {
            suffix.to_string()
        } else {
            String::new()
        };
        format!("{}_{arch}{suffix}", if *ptx { "compute" } else { "sm" })
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Code that was seen and could not be read; it may be what is needed.
pub(super) fn unread(image: &ImageFacts) -> Option<Clause> {
    let of_code = image.code.iter().find(|(_, targets)| targets.unread);
    let cut = image.unread.iter().next();
    let (path, why) = match (of_code, cut) {
        (Some((path, _)), _) => (path, "its device code could not be read to the end"),
        (None, Some((path, why))) => (path, &**why),
        (None, None) => return None,
    };
    Some(
        Clause::new("all files of the image readable")
            .wanted("whole files", path)
            .there(why)
            .unknown("build or fetch the image again, if this file is needed"),
    )
}

/// AMD's code in the image against the GPU's instruction set.
pub(super) fn amd(image: &ImageFacts, device: &Device) -> Vec<Clause> {
    let files = || {
        image
            .code
            .iter()
            .filter(|(_, targets)| !targets.amd.is_empty())
    };
    let Some((first, _)) = files().next() else {
        return unread(image).into_iter().collect();
    };
    let clause = Clause::new("device code for the GPU");
    let Some(target) = device.attributes.get("gfx.target") else {
        return vec![
            clause
                .wanted(amd_list(image), first)
                .there("instruction set unknown")
                .there_by(&*device.id)
                .unknown("load amdgpu with its compute part, so that /sys/class/kfd tells it"),
        ];
    };
    let clause = clause.there(target).there_by("/sys/class/kfd/kfd/topology");
    let fits = |targets: &Targets| targets.amd.iter().map(|code| amd_runs(code, target)).max();
    let worst = files()
        .filter_map(|(path, targets)| Some((fits(targets)?, path)))
        .min();
    let best = files().filter_map(|(_, targets)| fits(targets)).max();
    let clause = clause.wanted(amd_list(image), worst.map_or(first, |(_, path)| path));
    let clause = match (worst.map(|(runs, _)| runs), best) {
        (Some(Runs::Yes), _) => clause.yes(),
        (_, Some(Runs::No)) | (None, _) => {
            clause.no("use an image that was built for this GPU's instruction set")
        }
        (Some(Runs::Unknown), _) => {
            clause.unknown("it depends on the GPU's xnack or sramecc mode, which cannot be told")
        }
        (Some(Runs::No), _) => clause.unknown(
            "some of the image's libraries run on this GPU and others do not: it works if those are \
             not needed",
        ),
    };
    std::iter::once(clause).chain(unread(image)).collect()
}

/// `gfx90a:xnack-` runs on a gfx90a whose xnack is off; without the mode on either side.
fn amd_runs(code: &str, device: &str) -> Runs {
    let plain = device.split(':').next().unwrap_or(device);
    let (name, features) = code.split_once(':').unwrap_or((code, ""));
    match name == plain {
        true if features.is_empty() => Runs::Yes,
        true => Runs::Unknown,
        false if generic_of(plain).is_some_and(|generic| generic == name) => Runs::Yes,
        false => Runs::No,
    }
}

/// The generic target that includes a chip (LLVM's AMDGPU usage document).
fn generic_of(target: &str) -> Option<&'static str> {
    Some(match target {
        "gfx900" | "gfx902" | "gfx904" | "gfx906" | "gfx909" | "gfx90c" => "gfx9-generic",
        "gfx1010" | "gfx1011" | "gfx1012" | "gfx1013" => "gfx10-1-generic",
        "gfx1030" | "gfx1031" | "gfx1032" | "gfx1033" | "gfx1034" | "gfx1035" | "gfx1036" => {
            "gfx10-3-generic"
        }
        "gfx1100" | "gfx1101" | "gfx1102" | "gfx1103" | "gfx1150" | "gfx1151" => "gfx11-generic",
        "gfx1200" | "gfx1201" => "gfx12-generic",
        _ => return None,
    })
}

fn amd_list(image: &ImageFacts) -> String {
    let all: BTreeSet<&str> = image
        .code
        .values()
        .flat_map(|targets| targets.amd.iter().map(String::as_str))
        .collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
