//! The driver's libraries: what the image's files need of them, and whether the host's have it.

use super::Clause;
use super::asks::Ask;
use crate::check::facts::{ImageFacts, Want};
use crate::check::host::{HostFacts, HostLibrary};
use std::collections::BTreeMap;

/// Symbols that are named in a clause.
const NAMED: usize = 4;

pub(super) fn clauses(image: &ImageFacts, host: &HostFacts, ask: &Ask) -> Vec<Clause> {
    let mut wants: BTreeMap<&str, Vec<&Want>> = BTreeMap::new();
    for want in &image.wants {
        wants.entry(&want.soname).or_default().push(want);
    }
    let mut clauses = Vec::new();
    if !wants.contains_key("libcuda.so.1") && !only_nvml(&wants) {
        // Runtimes load it by name, so that no file says it needs it.
        clauses.push(library("libcuda.so.1", &ask.by, image, host));
    }
    for (soname, wants) in &wants {
        let first = wants.first().map_or(&*ask.by, |want| &*want.path);
        clauses.push(library(soname, first, image, host));
        clauses.extend(symbols(soname, wants, image, host));
    }
    if image.wants_cut {
        clauses.push(
            Clause::new("all files that need the driver")
                .wanted("more files than are looked at", &*ask.by)
                .unknown("split the image, or try it"),
        );
    }
    clauses
}

fn only_nvml(wants: &BTreeMap<&str, Vec<&Want>>) -> bool {
    !wants.is_empty()
        && wants
            .keys()
            .all(|soname| soname.starts_with("libnvidia-ml.so"))
}

fn library(soname: &str, by: &str, image: &ImageFacts, host: &HostFacts) -> Clause {
    let clause = Clause::new(format!("driver library {soname}")).wanted(soname, by);
    if let Some(own) = image.libraries.get(soname) {
        // A driver's library in an image goes with one kernel module alone.
        let clause = clause.there(format!("the image's own {}", own.path));
        let module = host.nvidia_module.as_ref().map(|module| &module.version);
        return if module.is_some() && own.version.as_ref() == module {
            clause.yes()
        } else {
            clause.unknown(format!(
                "remove {} from the image: it belongs to the host's driver and may hide that one",
                own.path
            ))
        };
    }
    match host.libraries.get(soname) {
        Some(found) if found.machine != Some(host.machine) => clause
            .there("for another processor")
            .there_by(&*found.path)
            .no("install the driver's libraries for this processor"),
        Some(found) if found.cut => clause
            .there("cut off")
            .there_by(&*found.path)
            .no("install the driver again: the file is shorter than it should be"),
        Some(found) if found.incomplete => clause
            .there("cannot be read")
            .there_by(&*found.path)
            .unknown("install the driver again: its library is cut off or broken"),
        Some(found) => clause
            .there(
                found
                    .version
                    .as_ref()
                    .map_or_else(|| soname.to_owned(), ToString::to_string),
            )
            .there_by(&*found.path)
            .yes(),
        None => clause
            .there("not found")
            .there_by(&*host.searched)
            .no(format!("install the part of the driver that has {soname}")),
    }
}

/// The symbols and versions that the image's files want of a library.
fn symbols(soname: &str, wants: &[&Want], image: &ImageFacts, host: &HostFacts) -> Option<Clause> {
    let found = host
        .libraries
        .get(soname)
        .filter(|found| !found.incomplete)?;
    let mut count = 0;
    let mut missing: Vec<(&str, &str)> = Vec::new();
    for want in wants {
        let symbols = want
            .symbols
            .iter()
            .filter(|symbol| !image.defined.contains(*symbol));
        let versions = want
            .versions
            .iter()
            .filter(|version| !found.defines.contains(*version));
        count += want.symbols.len() + want.versions.len();
        let lacks = symbols.filter(|symbol| !found.exported.contains(*symbol));
        missing.extend(
            lacks
                .chain(versions)
                .map(|name| (name.as_str(), want.path.as_str())),
        );
    }
    if count == 0 {
        return None;
    }
    let clause = Clause::new(format!("symbols of {soname}"));
    Some(match missing.first() {
        None => {
            let by = wants.first().map_or("", |want| &*want.path);
            clause
                .wanted(format!("{count} symbols and versions"), by)
                .there("all of them")
                .there_by(&*found.path)
                .yes()
        }
        Some((_, path)) => {
            let names: Vec<&str> = missing.iter().take(NAMED).map(|(name, _)| *name).collect();
            clause
                .wanted(names.join(", "), *path)
                .there(lacking(found))
                .there_by(&*found.path)
                .no("update the driver: the image was built against a newer one")
        }
    })
}

fn lacking(found: &HostLibrary) -> String {
    match &found.version {
        Some(version) => format!("not in version {version}"),
        None => "not in it".to_owned(),
    }
}
