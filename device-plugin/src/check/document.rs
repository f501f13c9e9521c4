//! The JSON document of a check.

use super::clauses::{Clause, Outcome, verdict};
use super::facts::ImageFacts;
use super::host::HostFacts;
use super::image::ImageMeta;
use super::machine;
use dunnage_model::document::{
    CheckedDeviceDocument, CheckedHostDocument, ClauseDocument, CompatibilityDocument, GapDocument,
    ImageDocument,
};
use dunnage_model::gap::Gap;

pub(super) fn of(
    meta: &ImageMeta,
    image: &ImageFacts,
    host: &HostFacts,
    outcome: &Outcome<'_>,
    gaps: &[Gap],
) -> CompatibilityDocument {
    let of_program = || machine::go(*image.machines.keys().next()?).map(str::to_owned);
    CompatibilityDocument {
        schema: CompatibilityDocument::SCHEMA.into(),
        verdict: verdict(&outcome.clauses).as_str().into(),
        image: ImageDocument {
            reference: meta.reference.clone(),
            digest: meta.digest.clone(),
            architecture: image.architecture.clone().or_else(of_program),
        },
        device: outcome.device.map(|device| CheckedDeviceDocument {
            id: device.id.clone(),
            vendor: device.vendor.clone(),
            model: device.model.clone(),
        }),
        host: CheckedHostDocument {
            name: host.name.clone(),
            kernel: host.kernel.clone(),
            architecture: Some(host.architecture.to_owned()),
            cgroup: host.cgroup.map(str::to_owned),
            engines: host.engines.clone(),
        },
        clauses: outcome.clauses.iter().map(clause).collect(),
        gaps: gaps.iter().map(GapDocument::from).collect(),
    }
}

fn clause(clause: &Clause) -> ClauseDocument {
    ClauseDocument {
        what: clause.what.clone(),
        verdict: clause.verdict.as_str().into(),
        matters: clause.matters,
        wanted: clause.wanted.clone(),
        wanted_by: clause.wanted_by.clone(),
        there: clause.there.clone(),
        there_by: clause.there_by.clone(),
        remedy: clause.remedy.clone(),
    }
}
