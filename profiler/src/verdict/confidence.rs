//! How sure a verdict is: one function of what it rests on, for every judge.
//!
//! What is known of the source, of the part that nobody can be named for and of the part that was split
//! by proportion limits it in turn. Of what a single loss can be doubted for, the weakest point decides:
//! a loss that only just counts is mostly one of few events too, and is not doubted twice for that.

/// Doubt of a loss that is just large enough to count: by a little less waiting nothing would have been
/// said. Half of it remains at twice the bar, a tenth at ten times.
const AT_THE_BAR: f64 = 0.4;

/// Doubt of what was said in one window out of several: of most such moments the next window knows
/// nothing any more. Half of it remains when the verdict holds a second time.
const ALONE: f64 = 0.2;

/// What a verdict rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grounds {
    source: f64,
    margin: f64,
    events: Option<u64>,
    seen: f64,
}

impl Grounds {
    /// Rests on a source that is worth so much, 0 to 1: 1 where each event is accounted for when it
    /// happens, less where it is concluded from totals.
    pub(super) fn of(source: f64) -> Grounds {
        Grounds {
            source,
            margin: f64::INFINITY,
            events: None,
            seen: 1.0,
        }
    }

    /// The loss is so many times what it had to be to count.
    pub(super) fn margin(self, times: f64) -> Grounds {
        Grounds {
            margin: times,
            ..self
        }
    }

    /// The loss consists of so many waits, requests or packets.
    pub(super) fn events(self, count: u64) -> Grounds {
        Grounds {
            events: Some(count),
            ..self
        }
    }

    /// This part of it was split by use, and not seen.
    pub(super) fn apportioned(self, part: f64) -> Grounds {
        Grounds {
            seen: 1.0 - part,
            ..self
        }
    }

    /// 0 to 1, where nobody can be named for the part `unexplained` of the loss.
    pub(super) fn confidence(&self, unexplained: f64) -> f64 {
        let above_the_bar = 1.0 - AT_THE_BAR / self.margin.max(1.0);
        // As if one more event had been seen, that spoke against it.
        let many = self.events.map_or(1.0, |events| {
            let events = events as f64;
            events / (events + 1.0)
        });
        let all = self.source * self.seen * (1.0 - unexplained) * above_the_bar.min(many);
        if all.is_finite() {
            all.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// A verdict of this confidence that held in `held` of the last `seen` windows, this one included.
pub(super) fn agreed(confidence: f64, held: u32, seen: u32) -> f64 {
    if seen < 2 {
        return confidence;
    }
    confidence.min(1.0 - ALONE / f64::from(held.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_seen_often_and_far_above_the_bar_is_sure() {
        let sure = Grounds::of(1.0).margin(40.0).events(500).confidence(0.0);
        assert!(sure > 0.98, "{sure}");
        assert!((Grounds::of(1.0).confidence(0.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn at_the_bar_the_window_could_have_gone_either_way() {
        let at = |margin| Grounds::of(1.0).margin(margin).confidence(0.0);
        assert!((at(1.0) - 0.6).abs() < 1e-9);
        assert!((at(2.0) - 0.8).abs() < 1e-9);
        assert!(at(0.2) >= 0.6, "what is below the bar is said nowhere");
    }

    #[test]
    fn the_weakest_point_decides_and_doubts_do_not_add_up() {
        let both = Grounds::of(1.0).margin(2.0).events(4);
        assert!((both.confidence(0.0) - 0.8).abs() < 1e-9);
        assert_eq!(Grounds::of(1.0).events(0).confidence(0.0), 0.0);
    }

    #[test]
    fn what_nobody_is_named_for_and_what_was_not_seen_is_not_sure() {
        let sure = Grounds::of(0.9);
        assert!((sure.confidence(0.5) - 0.45).abs() < 1e-9);
        assert!((sure.apportioned(0.5).confidence(0.0) - 0.45).abs() < 1e-9);
        assert_eq!(Grounds::of(f64::NAN).confidence(0.0), 0.0);
    }

    #[test]
    fn what_was_said_once_is_less_sure_than_what_holds() {
        assert!(
            (agreed(0.97, 1, 1) - 0.97).abs() < 1e-9,
            "one window is all"
        );
        assert!((agreed(0.97, 1, 2) - 0.8).abs() < 1e-9);
        assert!((agreed(0.97, 2, 2) - 0.9).abs() < 1e-9);
        assert!((agreed(0.97, 20, 20) - 0.97).abs() < 1e-9);
        assert!(
            (agreed(0.3, 1, 9) - 0.3).abs() < 1e-9,
            "never more than it was"
        );
    }

    proptest! {
        #[test]
        fn it_is_a_part_and_more_evidence_never_lowers_it(
            source in 0.0..=1.0_f64, margin in 0.0..100.0_f64, events in 0_u64..1000,
            unexplained in 0.0..=1.0_f64, held in 1_u32..64,
        ) {
            let of = |margin, events| {
                Grounds::of(source).margin(margin).events(events).confidence(unexplained)
            };
            let said = of(margin, events);
            prop_assert!((0.0..=1.0).contains(&said));
            prop_assert!(of(margin * 2.0, events) >= said);
            prop_assert!(of(margin, events + 1) >= said);
            prop_assert!(agreed(said, held + 1, 64) >= agreed(said, held, 64));
            prop_assert!(agreed(said, held, 64) <= said);
        }
    }
}
