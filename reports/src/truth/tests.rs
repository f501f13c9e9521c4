//! The page by its text: what it must show, and what must not get into it.

use super::*;

fn figures(precision: f64, recall: f64) -> Figures {
    Figures {
        scenarios: 20,
        precision: Some(precision),
        recall: Some(recall),
        share_error_points: Some(4.2),
        seconds_to_right: Some(1.3),
        ..Figures::default()
    }
}

fn session(started: &str) -> Session {
    let rule = |name: &str, precision| Rule {
        name: name.to_owned(),
        resources: vec![
            ("cpu".to_owned(), figures(precision, 0.95)),
            ("all".to_owned(), figures(precision, 0.96)),
        ],
    };
    Session {
        started: started.to_owned(),
        version: "0.1.0".to_owned(),
        host: "Linux 6.18, 2 CPUs".to_owned(),
        runs: 3,
        rules: vec![rule("dunnage", 0.98), rule("sort by CPU", 0.31)],
        calibration: vec![Bin {
            said: 0.9,
            right: 0.88,
            verdicts: 40,
        }],
        brier: Some(0.07),
        ..Session::default()
    }
}

fn scenario(name: &str, outcome: Outcome) -> Scenario {
    Scenario {
        name: name.to_owned(),
        resource: "cpu".to_owned(),
        class: "neighbour".to_owned(),
        outcome,
        latency: Some((0.002, 0.011)),
        share_error_points: None,
        seconds_to_right: None,
        notes: Vec::new(),
    }
}

#[test]
fn without_runs_it_says_so() {
    assert!(page(&[]).unwrap().contains("There are no runs yet."));
}

#[test]
fn the_latest_run_is_the_one_that_began_last() {
    let mut late = session("2026-11-22T00:00:00Z");
    late.missed_goals = vec!["recall of disk 0.91".to_owned()];
    let page = page(&[late, session("2026-11-21T00:00:00Z")]).unwrap();
    assert!(page.contains("begun 2026-11-22T00:00:00Z"));
    assert!(page.contains("Goals missed: recall of disk 0.91"));
    assert!(page.contains("98.0 %") && page.contains("31.0 %"));
    assert!(page.contains("+0.0 since the run before"));
}

#[test]
fn nothing_foreign_acts_on_the_page() {
    let hostile = "<script>x</script>\"'&";
    let mut session = session(hostile);
    session.version = hostile.to_owned();
    session.host = hostile.to_owned();
    session.missed_goals = vec![hostile.to_owned()];
    session.rules[1].name = hostile.to_owned();
    session.rules[0].resources[0].0 = hostile.to_owned();
    session.scenarios = vec![Scenario {
        resource: hostile.to_owned(),
        class: hostile.to_owned(),
        notes: vec![hostile.to_owned()],
        ..scenario(hostile, Outcome::Wrong)
    }];
    let page = page(&[session]).unwrap();
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn it_loads_nothing_from_elsewhere() {
    let page = page(&[session("2026-11-21T00:00:00Z")]).unwrap();
    for word in [" src=", "url(", "@import", "<link", "<script"] {
        assert!(!page.contains(word), "{word}");
    }
    let addresses: Vec<&str> = page.matches("http").collect();
    let namespaces = page.matches("http://www.w3.org/2000/svg").count();
    // Besides those, the word of the security policy's own element.
    assert_eq!(
        addresses.len(),
        namespaces + page.matches("http-equiv").count()
    );
}

#[test]
fn every_marker_of_the_plots_has_a_colour() {
    let mut session = session("2026-11-21T00:00:00Z");
    for number in 0..9 {
        let name = format!("resource{number}");
        session.rules[0].resources.push((name, figures(0.9, 0.9)));
    }
    let page = page(&[session]).unwrap();
    let (style, body) = page.split_once("</style>").unwrap();
    for attribute in ["fill=\"#", "stroke=\"#"] {
        for (at, _) in body.match_indices(attribute) {
            let marker = &body[at..at + attribute.len() + 7];
            assert!(style.contains(marker), "{marker} has no colour");
        }
    }
}

#[test]
fn worst_are_wrong_before_missed_before_late() {
    let mut session = session("2026-11-21T00:00:00Z");
    let late = Scenario {
        seconds_to_right: Some(7.5),
        ..scenario("late", Outcome::Right)
    };
    session.scenarios = vec![
        late,
        scenario("missed", Outcome::Missed),
        scenario("wrong", Outcome::Wrong),
        scenario("wrong", Outcome::Void),
        scenario("fine", Outcome::Right),
        scenario("void", Outcome::Void),
    ];
    let told = worst::worst(&session);
    let names: Vec<&str> = told.iter().map(|told| told.worst.name.as_str()).collect();
    assert_eq!(names, ["wrong", "missed", "late"]);
    assert_eq!((told[0].bad, told[0].runs), (1, 1));
}

#[test]
fn values_that_are_no_numbers_do_not_break_a_plot() {
    let mut session = session("2026-11-21T00:00:00Z");
    session.rules[0].resources[0].1.precision = Some(f64::NAN);
    session.rules[0].resources[1].1.seconds_to_right = None;
    page(&[session]).unwrap();
}
