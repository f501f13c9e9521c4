//! Engines whose whole knowledge is one line: Amazon ECS and Cloud Foundry's Garden.

use super::{Match, Part, is_hex};

/// - ECS: `ecs/<task>/<task>-<number>`; where ECS uses Docker, docker's recogniser has its id;
/// - Garden: `garden/<handle>` at the top.
pub(super) fn recognise(part: Part<'_>) -> Option<Match> {
    let name = part.name();
    if part.above(2) == "ecs" && part.at == 2 {
        let (task, number) = name.split_once('-')?;
        let matches = task == part.above(1)
            && is_hex(task)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit());
        return matches.then(|| Match::new("ecs", name));
    }
    (part.at == 1 && part.above(1) == "garden").then(|| Match::new("garden", name))
}
