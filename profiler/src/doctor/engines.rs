//! Container engines: who answers, and what is lost where nobody does.

use super::Check;
use crate::parties::{EngineHealth, EngineState};

/// One check for each engine that was looked for.
#[must_use]
pub fn engines(health: &[EngineHealth]) -> Vec<Check> {
    health.iter().map(engine).collect()
}

fn engine(health: &EngineHealth) -> Check {
    let name = format!("engine {}", health.engine);
    let socket = health.socket.display();
    let lost =
        "Lost: names and images of its containers, which show by their id; their use is complete";
    match &health.state {
        EngineState::Answering { containers } => Check::ok(
            name,
            format!("answers on {socket}, containers: {containers}"),
        ),
        EngineState::Absent => Check::missing(
            name,
            format!("no socket at {socket}. {lost}"),
            format!(
                "nothing to do where it is not used; else --engine-socket {}=PATH",
                health.engine
            ),
        ),
        EngineState::Refused(why) => Check::missing(
            name,
            format!("{socket} refuses: {why}. {lost}"),
            "run as root or in the group that owns the socket",
        ),
        EngineState::Failing(why) => Check::degraded(
            name,
            format!("{socket} answers badly: {why}. {lost}"),
            "look at the engine's own log; dunnage asks again by itself",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn each_state_has_a_status_and_a_remedy() {
        for (state, status) in [
            (EngineState::Answering { containers: 3 }, Status::Ok),
            (EngineState::Absent, Status::Missing),
            (
                EngineState::Refused("permission denied".into()),
                Status::Missing,
            ),
            (
                EngineState::Failing("timed out after 2 s".into()),
                Status::Degraded,
            ),
        ] {
            let health = EngineHealth {
                engine: "docker".into(),
                socket: "/run/docker.sock".into(),
                state,
            };
            let check = engine(&health);
            assert_eq!(check.status, status);
            assert_eq!(check.remedy.is_none(), status == Status::Ok);
        }
    }
}
