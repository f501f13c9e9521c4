//! When programs are attached, and for how long: decided from look to look by what they cost. Pure.

use std::time::Duration;

/// What an event costs: to enter a program 100 to 145 ns on a virtual machine, and some 80 ns in it.
const NANOS_AN_EVENT: f64 = 200.0;

/// What costs a CPU a smaller part of its time than this is not worth a slot, however idle it is otherwise.
const NOTICEABLE: f64 = 0.0015;

/// A CPU that was busy for less than this is not measured by it: `/proc/stat` counts in ticks.
const LEAST_BUSY: f64 = 0.05;

/// How often the cost is looked at while all is attached; and for so many looks, a second, it must be too
/// much before slots begin: what passes sooner is seen as a whole.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: u32 = 4;

/// So many slots in a row must be cheap enough, and by a quarter, before all is attached again.
const CHEAP_SLOTS: u32 = 4;
const CHEAP: f64 = 0.75;

/// Pauses go by how long the reader's windows are, within these bounds.
pub(super) const LONGEST_WINDOW: Duration = Duration::from_secs(1);
pub(super) const LEAST_WINDOW: Duration = Duration::from_millis(200);

/// The shortest and the longest pause, as parts of a window: each window has some of a slot. They are not
/// even, so that nothing that comes at regular times is always seen, or never. The longer, the better: to
/// attach a program and to take it away takes 0.2 ms.
const SHORTEST_PAUSE: f64 = 0.75;
const LONGEST_PAUSE: f64 = 0.95;
/// The fractional part of the golden ratio: its multiples spread evenly over 0 to 1.
const GOLDEN: f64 = 0.618_033_988_75;

/// The part of the time that slots are at the least: 45 ms beside a pause of 0.85 s, long against a batch of
/// packets; and at the most, where it is not all: to go to and fro costs more than a shorter pause saves.
const LEAST_DUTY: f64 = 0.05;
const MOST_DUTY: f64 = 0.5;

/// What programs may cost.
#[derive(Clone, Copy, Debug)]
pub(in crate::sources) struct Terms {
    /// A part of the time that a CPU is busy.
    pub(in crate::sources) budget: f64,
    /// A CPU that is busy for at least this part of the time is to be seen as a whole, whatever it costs.
    pub(in crate::sources) saturation: Option<f64>,
    /// Whoever reads shorter windows than this sees them as a whole, whatever it costs.
    pub(in crate::sources) shortest_window: Duration,
}

/// What the events between two looks cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    /// The part of its time that each CPU spent on them.
    parts: Vec<f64>,
    /// The part of the time that each was busy; 1 where nothing is known.
    busy: Vec<f64>,
}

impl Cost {
    /// Of the events of each CPU, counted before and after so long a time.
    pub(super) fn of(before: &[u64], after: &[u64], time: Duration) -> Cost {
        let part = |(before, after): (&u64, &u64)| {
            let events = after.saturating_sub(*before) as f64;
            events * NANOS_AN_EVENT / 1e9 / time.as_secs_f64().max(1e-6)
        };
        Cost {
            parts: before.iter().zip(after).map(part).collect(),
            busy: Vec::new(),
        }
    }

    /// The same beside how busy the CPUs were.
    pub(super) fn beside(mut self, busy: &[f64]) -> Cost {
        self.busy = busy.to_vec();
        self
    }

    /// Whether any CPU would notice.
    pub(super) fn is_noticeable(&self) -> bool {
        self.parts.iter().any(|part| *part > NOTICEABLE)
    }

    /// The part of its busy time that they cost the CPU which pays most.
    fn of_busy_time(&self) -> f64 {
        let busy = self.busy.iter().copied().chain(std::iter::repeat(1.0));
        let noticed = self.parts.iter().zip(busy);
        noticed
            .filter(|(part, _)| **part > NOTICEABLE)
            .map(|(part, busy)| part / busy.clamp(LEAST_BUSY, 1.0))
            .fold(0.0, f64::max)
    }
}

/// Decides from look to look.
pub(super) struct Pace {
    terms: Terms,
    /// Looks in a row that spoke for the other way.
    against: u32,
    in_slots: bool,
    /// The last look led to a pause only because the programs may not be attached all the time.
    limited: bool,
    /// How long a slot is.
    slot: Duration,
    /// Pauses so far.
    pauses: f64,
}

impl Pace {
    pub(super) fn new(terms: Terms) -> Pace {
        Pace {
            terms,
            against: 0,
            in_slots: false,
            limited: false,
            slot: LOOK,
            pauses: 0.0,
        }
    }

    /// How long the programs are to be away after a look that showed `cost`; `None` where they stay.
    /// `window` is how long the reader's windows are; for the part `most` of the time they may stay at most,
    /// whatever they cost.
    pub(super) fn pause(&mut self, cost: &Cost, window: Duration, most: f64) -> Option<Duration> {
        let wanted = if self.is_saturated(&cost.busy) || window < self.terms.shortest_window {
            self.in_slots = false;
            self.against = 0;
            1.0
        } else {
            self.by_cost(cost.of_busy_time())
        };
        self.limited = most < wanted;
        let duty = wanted.min(most);
        if duty >= 1.0 {
            self.slot = LOOK;
            return None;
        }
        self.pauses += 1.0;
        let window = window.clamp(LEAST_WINDOW, LONGEST_WINDOW);
        let mean = window.mul_f64(f64::midpoint(SHORTEST_PAUSE, LONGEST_PAUSE));
        self.slot = mean.mul_f64(duty / (1.0 - duty));
        let even = (self.pauses * GOLDEN).fract();
        Some(window.mul_f64(SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE) * even))
    }

    /// The part of the time for which the programs may be attached for what they cost all the time.
    fn by_cost(&mut self, cost: f64) -> f64 {
        let budget = self.terms.budget;
        let (against, looks) = if self.in_slots {
            (cost <= budget * CHEAP, CHEAP_SLOTS)
        } else {
            (cost > budget, LOOKS)
        };
        self.against = if against { self.against + 1 } else { 0 };
        if self.against == looks {
            self.in_slots = !self.in_slots;
            self.against = 0;
        }
        if self.in_slots {
            (budget / cost.max(budget)).clamp(LEAST_DUTY, MOST_DUTY)
        } else {
            1.0
        }
    }

    /// Whether a pause is to end because of how busy the CPUs are; then the programs stay. Where they may
    /// not be attached for more than the part `most` of the time, no pause ends early.
    pub(super) fn spares(&mut self, busy: &[f64], most: f64) -> bool {
        let spares = most >= 1.0 && self.is_saturated(busy);
        if spares {
            self.in_slots = false;
            self.against = 0;
            self.slot = LOOK;
        }
        spares
    }

    fn is_saturated(&self, busy: &[f64]) -> bool {
        let saturation = self.terms.saturation;
        saturation.is_some_and(|most| busy.iter().any(|part| *part >= most))
    }

    /// Whether saturated CPUs matter.
    pub(super) fn has_saturation(&self) -> bool {
        self.terms.saturation.is_some()
    }

    /// Whether slots are only because the programs may not be attached all the time.
    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// How long until the next look.
    pub(super) fn look(&self) -> Duration {
        self.slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: Terms = Terms {
        budget: 0.005,
        saturation: None,
        shortest_window: Duration::ZERO,
    };
    const SECOND: Duration = Duration::from_secs(1);

    /// What costs a CPU so many budgets of its time, which it is busy all of.
    fn cost(budgets: f64) -> Cost {
        Cost {
            parts: vec![budgets * TERMS.budget],
            busy: Vec::new(),
        }
    }

    fn in_slots(terms: Terms) -> Pace {
        let mut pace = Pace::new(terms);
        pace.in_slots = true;
        pace
    }

    #[test]
    fn few_events_are_all_seen() {
        let mut pace = Pace::new(TERMS);
        assert!((0..100).all(|_| pace.pause(&cost(1.0), SECOND, 1.0).is_none()));
        assert_eq!(pace.look(), LOOK);
    }

    #[test]
    fn a_burst_is_seen_as_a_whole_and_what_lasts_is_not() {
        let mut pace = Pace::new(TERMS);
        for _ in 0..10 {
            assert!((1..LOOKS).all(|_| pace.pause(&cost(10.0), SECOND, 1.0).is_none()));
            assert!(pace.pause(&cost(0.0), SECOND, 1.0).is_none());
        }
        assert!((1..LOOKS).all(|_| pace.pause(&cost(10.0), SECOND, 1.0).is_none()));
        assert!(pace.pause(&cost(10.0), SECOND, 1.0).is_some());
        assert!(pace.look() < LOOK);
    }

    #[test]
    fn slots_go_on_until_they_have_been_cheap_for_long() {
        let mut pace = in_slots(TERMS);
        assert!((1..CHEAP_SLOTS).all(|_| pace.pause(&cost(0.0), SECOND, 1.0).is_some()));
        assert!(pace.pause(&cost(10.0), SECOND, 1.0).is_some());
        assert!((1..CHEAP_SLOTS).all(|_| pace.pause(&cost(0.7), SECOND, 1.0).is_some()));
        assert!(pace.pause(&cost(0.7), SECOND, 1.0).is_none());
        assert_eq!(pace.look(), LOOK);
    }

    #[test]
    fn a_saturated_cpu_is_seen_as_a_whole() {
        let terms = Terms {
            saturation: Some(0.9),
            ..TERMS
        };
        let busy = cost(10.0).beside(&[0.3, 0.95]);
        let mut pace = Pace::new(terms);
        assert!((0..100).all(|_| pace.pause(&busy, SECOND, 1.0).is_none()));
        let mut pace = in_slots(terms);
        assert!(pace.pause(&busy, SECOND, 1.0).is_none());
        let mut pace = in_slots(terms);
        assert!(!pace.spares(&[0.3, 0.5], 1.0));
        assert!(!pace.spares(&[0.95], 0.5));
        assert!(pace.spares(&[0.95], 1.0) && !pace.in_slots);
        // The operator's word counts for more.
        assert!(pace.pause(&busy, SECOND, 0.5).is_some());
    }

    #[test]
    fn short_windows_are_seen_as_a_whole_where_that_is_wanted() {
        let terms = Terms {
            shortest_window: SECOND / 2,
            ..TERMS
        };
        let mut pace = in_slots(terms);
        assert!(pace.pause(&cost(10.0), SECOND / 4, 1.0).is_none());
        assert!(pace.pause(&cost(10.0), SECOND / 4, 0.1).is_some());
    }

    #[test]
    fn what_may_not_be_attached_longer_is_not() {
        let mut pace = Pace::new(TERMS);
        assert!(pace.pause(&cost(0.0), SECOND, 0.02).is_some());
        assert!(pace.is_limited());
        assert!(pace.pause(&cost(0.0), SECOND, 1.0).is_none());
        assert!(!pace.is_limited());
    }

    #[test]
    fn the_cpu_that_pays_most_for_its_work_decides() {
        let cost = Cost::of(&[5, 100, 7], &[5_005, 50_100, 107], SECOND);
        assert!(cost.is_noticeable());
        assert!((cost.of_busy_time() - 50_000.0 * NANOS_AN_EVENT / 1e9).abs() < 1e-9);
        // A light one counts only where it has many events.
        let cost = cost.beside(&[0.01, 0.5, 0.001]);
        assert!((cost.of_busy_time() - 50_000.0 * NANOS_AN_EVENT / 1e9 / 0.5).abs() < 1e-9);
        assert!(!Cost::of(&[], &[], SECOND).is_noticeable());
    }

    proptest! {
        #[test]
        fn on_average_slots_cost_the_budget(times in 2.0..20.0_f64) {
            let mut pace = in_slots(TERMS);
            let cost = cost(times);
            let pauses: Vec<Duration> = (0..200).filter_map(|_| pace.pause(&cost, SECOND, 1.0)).collect();
            let away: Duration = pauses.iter().sum();
            let there = pace.look() * 200;
            let spent = times * there.as_secs_f64() / (there + away).as_secs_f64();
            prop_assert!((spent - 1.0).abs() < 0.02, "{spent}");
        }

        #[test]
        fn every_window_has_some_of_a_slot(times in 0.0..1000.0_f64, most in 0.02..1.0_f64, window in 200_u64..5_000) {
            let window = Duration::from_millis(window);
            let mut pace = in_slots(TERMS);
            for _ in 0..50 {
                if let Some(pause) = pace.pause(&cost(times), window, most) {
                    prop_assert!(pause <= window.mul_f64(LONGEST_PAUSE));
                    prop_assert!(pace.look() > Duration::ZERO);
                }
            }
        }
    }
}
