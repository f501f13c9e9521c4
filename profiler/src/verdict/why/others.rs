//! The resources that have nothing but verdicts to go by: caches and accelerators. Told only where
//! they are watched.

use super::scene::{Facts as Told, Scene, answer as told, metric};
use crate::verdict::words::{called, duration};
use dunnage_model::verdict::{Cause, Coverage, Resource};
use dunnage_model::why::{Answer, Limiter};

/// One answer for each of them that is watched.
pub(super) fn answers(scene: &Scene<'_>) -> Vec<Answer> {
    [Resource::Cache, Resource::Gpu, Resource::Fpga]
        .into_iter()
        .filter(|resource| scene.coverage(*resource) != Coverage::None)
        .map(|resource| answer(scene, resource))
        .collect()
}

fn answer(scene: &Scene<'_>, resource: Resource) -> Answer {
    const ALL: [Cause; 4] = [
        Cause::Neighbour,
        Cause::Host,
        Cause::Itself,
        Cause::Hypervisor,
    ];
    let verdict = scene.verdict(resource, &ALL);
    let limited_by = match verdict.map(|verdict| verdict.cause) {
        Some(Cause::Neighbour | Cause::Host) => Limiter::Share,
        Some(Cause::Itself) => Limiter::Cap,
        Some(Cause::Hypervisor) => Limiter::Hypervisor,
        None => Limiter::Nothing,
    };
    let lost = verdict.map_or(0.0, |verdict| verdict.harm.seconds());
    let from = match resource {
        Resource::Cache => scene.events("hardware counters"),
        _ => scene.events("use of the device"),
    };
    let quiet = || {
        let name = called(&scene.user().party);
        let window = duration(scene.seconds());
        (format!("{name} lost nothing that shows in {window}"), None)
    };
    let words = verdict.map_or_else(quiet, |v| (v.evidence.clone(), Some(v.advice.clone())));
    told(
        resource,
        limited_by,
        Some(metric("lost_seconds", lost, "seconds", from)),
        words,
        verdict,
        Told::default().number("lost_seconds", Some(lost)).take(),
    )
}
