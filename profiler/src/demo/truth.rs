//! The truth: what the victim measured of itself, and what the others really used.

use serde::Serialize;
use std::time::Duration;

/// One request of the victim, as it measured it. All times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    /// When the request came, `CLOCK_MONOTONIC`.
    pub(super) due: u64,
    /// From there to the end of its work.
    pub(super) latency: u64,
    /// The part of that in which the victim wanted a CPU and had none.
    pub(super) lost: u64,
    /// The kernel's own count of the victim's waits on run queues, cumulative.
    pub(super) run_delay: Option<u64>,
}

impl Tick {
    /// One line for the pipe.
    pub(super) fn line(&self) -> String {
        let delay = self
            .run_delay
            .map_or_else(|| "-".to_owned(), |d| d.to_string());
        format!("tick {} {} {} {delay}", self.due, self.latency, self.lost)
    }

    /// The line's values; `None` for any other line.
    pub(super) fn parse(line: &str) -> Option<Tick> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["tick", due, latency, lost, delay] => Some(Tick {
                due: due.parse().ok()?,
                latency: latency.parse().ok()?,
                lost: lost.parse().ok()?,
                run_delay: delay.parse().ok(),
            }),
            _ => None,
        }
    }
}

/// What the victim went through in one part of the demo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// How long the part was.
    pub seconds: f64,
    /// Requests served.
    pub requests: usize,
    /// Mean time from a request's arrival to its end.
    pub mean_latency_seconds: f64,
    /// 99th percentile of that.
    pub p99_latency_seconds: f64,
    /// Time in which the victim wanted a CPU and had none, by its own clock.
    pub lost_seconds: f64,
    /// The same as the kernel's `schedstat` counts it; left out where the kernel does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_delay_seconds: Option<f64>,
}

/// A role besides the victim, and what it really used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Actor {
    /// The name of its cgroup.
    pub name: &'static str,
    /// The CPU it stayed on.
    pub cpu: usize,
    /// How long its clock was watched.
    pub seconds: f64,
    /// CPU time in that, by its own process clock.
    pub cpu_seconds: f64,
}

impl Actor {
    /// Its share of its CPU, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.seconds > 0.0 {
            self.cpu_seconds / self.seconds
        } else {
            0.0
        }
    }
}

/// What really happened, known without any profiler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// The CPU that the victim stayed on.
    pub victim_cpu: usize,
    /// The victim with nobody else of the demo on its CPU.
    pub alone: Phase,
    /// The victim beside the culprit: the window that was judged.
    pub beside: Phase,
    /// Whether others on this host took so much of that CPU that the culprit did not come to its
    /// part. What Dunnage says then proves nothing, for or against it.
    pub disturbed: bool,
    /// Who took the victim's CPU.
    pub culprit: Actor,
    /// Who was as busy and took nothing from the victim; left out on hosts with one CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bystander: Option<Actor>,
}

/// Sums up the ticks that came between `start` and `end` (`CLOCK_MONOTONIC`, nanoseconds); `None`
/// where there are none.
pub(super) fn phase(ticks: &[Tick], start: u64, end: u64) -> Option<Phase> {
    let inside: Vec<&Tick> = ticks
        .iter()
        .filter(|t| (start..end).contains(&t.due))
        .collect();
    let (first, last) = (inside.first()?, inside.last()?);
    let mut latencies: Vec<u64> = inside.iter().map(|t| t.latency).collect();
    latencies.sort_unstable();
    let sum: u64 = latencies.iter().sum();
    let p99 = latencies[(latencies.len() * 99 / 100).min(latencies.len() - 1)];
    // The count at the end of a tick; the one before the first tick opens the span.
    let before = ticks.iter().take_while(|t| t.due < first.due).last();
    let opened = before.unwrap_or(first).run_delay;
    let run_delay = last
        .run_delay
        .zip(opened)
        .map(|(last, opened)| last.saturating_sub(opened));
    Some(Phase {
        seconds: seconds(end - start),
        requests: inside.len(),
        mean_latency_seconds: seconds(sum) / inside.len() as f64,
        p99_latency_seconds: seconds(p99),
        lost_seconds: seconds(inside.iter().map(|t| t.lost).sum()),
        run_delay_seconds: run_delay.map(seconds),
    })
}

/// Nanoseconds in seconds.
pub(super) fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(due: u64, latency: u64, lost: u64, run_delay: u64) -> Tick {
        Tick {
            due,
            latency,
            lost,
            run_delay: Some(run_delay),
        }
    }

    #[test]
    fn a_tick_goes_through_the_pipe() {
        for tick in [
            tick(1, 2, 3, 4),
            Tick {
                due: 1,
                latency: 2,
                lost: 3,
                run_delay: None,
            },
        ] {
            assert_eq!(Tick::parse(&tick.line()), Some(tick));
        }
        assert_eq!(Tick::parse("running 1 test"), None);
        assert_eq!(Tick::parse("tick 1 2 x 4"), None);
    }

    #[test]
    fn a_phase_sums_up_its_own_ticks_only() {
        let ms = 1_000_000;
        let ticks: Vec<Tick> = (0..10)
            .map(|i| tick(i * 10 * ms, (i + 1) * ms, i * ms, 100 * i * ms))
            .collect();
        let phase = phase(&ticks, 50 * ms, 100 * ms).unwrap();
        assert_eq!(phase.requests, 5);
        assert!((phase.mean_latency_seconds - 0.008).abs() < 1e-9);
        assert!((phase.p99_latency_seconds - 0.010).abs() < 1e-9);
        assert!((phase.lost_seconds - 0.035).abs() < 1e-9);
        assert!((phase.run_delay_seconds.unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn no_ticks_are_no_phase() {
        assert_eq!(phase(&[], 0, 10), None);
    }
}
