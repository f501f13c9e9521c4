//! The processor: the image's configuration, its programs and the host must agree.

use super::Clause;
use crate::check::facts::ImageFacts;
use crate::check::host::HostFacts;
use crate::check::machine;

const REMEDY: &str = "use an image that was built for this processor";

pub(super) fn clauses(image: &ImageFacts, host: &HostFacts) -> Vec<Clause> {
    let mut clauses = Vec::new();
    if let Some(os) = &image.os
        && os != "linux"
    {
        clauses.push(
            Clause::new("operating system")
                .wanted(os, "the image's configuration")
                .there("linux")
                .no("use an image for Linux"),
        );
    }
    if let Some(architecture) = &image.architecture {
        clauses.push(configured(architecture, host));
    }
    clauses.extend(program(image, host));
    clauses
}

fn configured(architecture: &str, host: &HostFacts) -> Clause {
    let clause = Clause::new("processor architecture")
        .wanted(architecture, "the image's configuration")
        .there(host.architecture)
        .there_by(&*host.architecture_by);
    runs(
        clause,
        machine::of_go(architecture),
        architecture == host.architecture,
        host,
    )
}

/// The program that is started, else what most images have one of: programs for one machine.
fn program(image: &ImageFacts, host: &HostFacts) -> Option<Clause> {
    let (wanted, path) = match (image.program_machine, &image.program) {
        (Some(wanted), Some(path)) => (wanted, path.clone()),
        // Programs for other machines lie about in some images; where one fits, nothing is wrong.
        _ => {
            let fits = image
                .machines
                .get(&host.machine)
                .map(|path| (host.machine, path));
            let any = image
                .machines
                .iter()
                .next()
                .map(|(&machine, path)| (machine, path));
            let (wanted, path) = fits.or(any)?;
            (wanted, path.clone())
        }
    };
    let name = machine::go(wanted).unwrap_or("a processor that is not known");
    let clause = Clause::new("programs for the processor")
        .wanted(name, path)
        .there(host.architecture)
        .there_by(&*host.architecture_by);
    Some(runs(clause, Some(wanted), wanted == host.machine, host))
}

fn runs(clause: Clause, wanted: Option<u16>, same: bool, host: &HostFacts) -> Clause {
    if same {
        return clause.yes();
    }
    match wanted {
        // 32-bit programs run where the kernel was built for it.
        Some(wanted) if machine::narrow_of(host.machine) == Some(wanted) => {
            clause.unknown("the kernel runs 32-bit programs only where it was built for them")
        }
        Some(wanted) if host.emulated.contains(&wanted) => clause
            .unknown("an emulator is registered for it (binfmt_misc); drivers may not work so"),
        _ => clause.no(REMEDY),
    }
}
