//! Who came lately, who was there before, and who reads again what it lost: windows as they were read.

use super::*;

/// What each had, how much more, what was freed for it, and its stall; read on a real host, kernel 6.18:
/// web reads a file of 48 MiB again and again, batch and crawl stream, cache stands still.
fn beside_two_streamers(web: [u64; 3], batch: [u64; 3], crawl: [u64; 3]) -> Judgement {
    let all = vec![
        share(0, web, 0.3),
        share(1, batch, 0.6),
        share(2, [73, 0, 0], 0.0),
        share(3, crawl, 0.6),
    ];
    let limit = limit(None, Some("/docker"), 156, all);
    let mut window = window(vec![limit]);
    window.length = Nanos::from_seconds(1.0);
    judge(&window)
}

#[test]
fn who_was_there_before_takes_nothing_from_who_comes() {
    // The window in which both streamers begin.
    let judgement = beside_two_streamers([48, 0, 42], [3, 2, 26], [28, 27, 16]);
    assert!(
        !accused(&judgement).contains(&"web"),
        "{:?}",
        judgement.verdicts
    );
}

#[test]
fn who_reads_again_what_it_lost_is_no_equal_of_those_who_came() {
    for (web, batch, crawl) in [
        ([38, 0, 729], [22, 21, 794], [21, 20, 835]),
        ([25, 0, 838], [48, 47, 1825], [9, 8, 2026]),
        ([32, 7, 832], [28, 27, 1130], [22, 21, 1043]),
        ([23, 0, 768], [28, 27, 1954], [30, 29, 1739]),
    ] {
        let judgement = beside_two_streamers(web, batch, crawl);
        let [verdict] = of(&judgement, "web")[..] else {
            panic!("{:?}", judgement.verdicts)
        };
        let shares: Vec<f64> = verdict.culprits.iter().map(|c| c.share).collect();
        assert_eq!(verdict.cause, Cause::Neighbour);
        assert!(
            shares.len() == 2 && (shares[0] - 0.5).abs() < 0.1,
            "{shares:?}"
        );
        assert!(!accused(&judgement).contains(&"web"));
    }
}

#[test]
fn who_has_left_was_not_robbed_by_who_came_after_it() {
    // One streamer ended within the window, another began: as read.
    let all = vec![
        share(1, [0, 0, 13_197], 0.11),
        share(2, [72, 0, 0], 0.0),
        share(3, [20, 20, 831], 0.01),
    ];
    let mut window = window(vec![limit(None, Some("/docker"), 140, all)]);
    window.length = Nanos::from_seconds(1.0);
    assert_eq!(accused(&judge(&window)), Vec::<&str>::new());
}

#[test]
fn who_begins_in_the_last_moment_of_a_window_was_not_robbed() {
    let all = vec![
        share(0, [42, 41, 604], 0.0),
        share(1, [1, 0, 43], 0.06),
        share(2, [72, 0, 0], 0.0),
    ];
    let judgement = judge(&window(vec![limit(None, Some("/docker"), 140, all)]));
    assert_eq!(accused(&judgement), Vec::<&str>::new());
}

#[test]
fn two_that_come_together_and_stream_alike_are_equals() {
    let all = vec![
        share(0, [47, 46, 1800], 0.3),
        share(1, [9, 8, 2000], 0.3),
        share(2, [72, 0, 0], 0.0),
    ];
    let judgement = judge(&window(vec![limit(None, Some("/docker"), 140, all)]));
    assert_eq!(accused(&judgement), Vec::<&str>::new());
}

/// What each had, how much more, what was freed for it, what of that it had had before, and the same as
/// freed in the window before: of two that came lately, in a limit that the biggest holds half of.
fn of_two_that_came(length: f64, web: ([u64; 4], f64), crawl: ([u64; 4], f64)) -> Judgement {
    with_a_window_before(length, (web, None), (crawl, None))
}

type Came = (([u64; 4], f64), Option<u64>);

fn with_a_window_before(length: f64, web: Came, crawl: Came) -> Judgement {
    let came = |party, (([used, grown, freed, again], stall), before): Came| MemoryShare {
        refaulted: Bytes(again * MEBIBYTE),
        freed_before: before.map(|before| Bytes(before * MEBIBYTE)),
        ..share(party, [used, grown, freed], stall)
    };
    let all = vec![came(0, web), came(1, crawl), share(2, [72, 0, 0], 0.0)];
    let mut window = window(vec![limit(None, Some("/docker"), 140, all)]);
    window.length = Nanos::from_seconds(length);
    judge(&window)
}

#[test]
fn who_began_beside_another_and_read_nothing_again_was_not_robbed() {
    // The window in which two streamers begin, as read: one is throttled within its first reclaim, or
    // the other is ahead of it.
    for (web, crawl) in [
        (([50, 50, 619, 0], 0.007), ([15, 15, 0, 0], 0.067)),
        (([56, 56, 363, 0], 0.005), ([10, 10, 0, 0], 0.065)),
        (([48, 48, 461, 18], 0.015), ([16, 16, 90, 26], 0.020)),
    ] {
        let judgement = of_two_that_came(1.0, web, crawl);
        assert_eq!(accused(&judgement), Vec::<&str>::new());
        let judgement = of_two_that_came(1.0, crawl, web);
        assert_eq!(accused(&judgement), Vec::<&str>::new());
    }
}

#[test]
fn who_has_recovered_robs_nobody_that_has_just_begun() {
    // Web was robbed and has its memory again, so that it looks new.
    let web = ([48, 26, 837, 840], 0.02);
    let judgement = of_two_that_came(1.0, web, ([19, 19, 169, 0], 0.05));
    assert!(!accused(&judgement).contains(&"web"));
}

#[test]
fn which_of_two_streamers_is_faster_in_one_window_is_chance() {
    let web = ([30, 30, 1973, 1782], 0.464);
    let crawl = ([36, 36, 3009, 2809], 0.439);
    let judgement = with_a_window_before(1.0, (web, Some(4114)), (crawl, Some(5857)));
    assert_eq!(accused(&judgement), Vec::<&str>::new());
    // Nor is it known of who has only begun.
    for before in [(Some(0), Some(600)), (Some(600), Some(0))] {
        let judgement = with_a_window_before(1.0, (web, before.0), (crawl, before.1));
        assert_eq!(accused(&judgement), Vec::<&str>::new());
    }
}

#[test]
fn who_reads_its_file_again_is_robbed_by_who_came_with_it() {
    let web = ([24, 14, 804, 845], 0.168);
    let crawl = ([28, 28, 3149, 2313], 0.330);
    // Without a window before, in one that the streamer did not fill, and when both are long there.
    for before in [
        (None, None),
        (Some(837), Some(169)),
        (Some(837), Some(2500)),
    ] {
        let judgement = with_a_window_before(1.0, (web, before.0), (crawl, before.1));
        assert_eq!(accused(&judgement), ["batch"], "{before:?}");
        assert_eq!(of(&judgement, "web")[0].cause, Cause::Neighbour);
    }
}

#[test]
fn a_streamer_that_is_far_ahead_needs_no_window_before() {
    // Web recovered for a moment, so that it looks new; the streamer filled a part of the window before.
    for (web, crawl, before) in [
        (([27, 19, 1005, 979], 0.050), [27, 27, 7642, 6947], (0, 60)),
        (([16, 8, 890, 906], 0.260), [38, 38, 2923, 2474], (905, 635)),
    ] {
        let crawl = (crawl, 0.2);
        let judgement = with_a_window_before(1.0, (web, Some(before.0)), (crawl, Some(before.1)));
        assert_eq!(accused(&judgement), ["batch"], "{before:?}");
    }
}
