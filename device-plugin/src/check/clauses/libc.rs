//! The C library: NVIDIA's libraries come from the host and are loaded by the image's own libc.

use super::Clause;
use super::asks::Ask;
use crate::check::facts::ImageFacts;
use crate::check::host::HostFacts;

pub(super) fn clauses(image: &ImageFacts, host: &HostFacts, ask: &Ask) -> Vec<Clause> {
    // The newest that any of the driver's libraries asks for.
    let needs = host
        .libraries
        .values()
        .filter_map(|library| Some((library.glibc.as_ref()?, &library.path)))
        .max_by(|a, b| a.0.cmp(b.0));
    let clause = Clause::new("C library for the driver's files");
    let libc = &image.libc;
    let clause = match &libc.glibc {
        Some((version, path)) => {
            let clause = clause.wanted(format!("glibc {version}"), path);
            return vec![match needs {
                Some((needed, by)) if version >= needed => clause
                    .there(format!("needs glibc {needed}"))
                    .there_by(by)
                    .yes(),
                Some((needed, by)) => clause
                    .there(format!("needs glibc {needed}"))
                    .there_by(by)
                    .no(format!(
                        "base the image on a distribution with glibc {needed} or later"
                    )),
                None => clause.unknown("the driver's libraries could not be looked at"),
            }];
        }
        None => clause.there("needs glibc"),
    };
    let clause = match needs {
        Some((needed, by)) => clause.there(format!("needs glibc {needed}")).there_by(by),
        None => clause,
    };
    vec![match (&libc.musl, &libc.gcompat) {
        (Some(musl), Some(gcompat)) => clause.wanted("musl", musl).unknown(format!(
            "{gcompat} lets musl load such libraries, not every one of them works: use an image with \
             glibc to be sure"
        )),
        (Some(musl), None) => clause
            .wanted("musl", musl)
            .no("use an image with glibc, or add gcompat to it"),
        (None, _) => clause
            .wanted("no C library", &*ask.by)
            .unknown("the image has neither glibc nor musl: a static program cannot load libraries"),
    }]
}
