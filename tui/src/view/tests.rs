//! Pictures as text, of every size.

use super::*;
use crate::feed::Tick;
use crate::sample;
use crate::state::Action;
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{Blamed, DiskStall};
use dunnage_model::verdict::{Coverage, Resource};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn picture(state: &State, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(state, Palette::plain(), frame))
        .unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..height).map(row).collect()
}

fn with(tick: Tick) -> State {
    let mut state = State::default();
    state.take(tick);
    state
}

fn assert_shows(picture: &[String], texts: &[&str]) {
    let page = picture.join("\n");
    for text in texts {
        assert!(page.contains(text), "{text:?} is not in\n{page}");
    }
}

#[test]
fn before_the_first_window_it_says_so() {
    assert_shows(
        &picture(&State::default(), 80, 24),
        &["Watching the first window", "q quit"],
    );
}

#[test]
fn a_host_that_is_not_watched_is_not_acquitted() {
    let said = |coverage: &[(Resource, Coverage)]| {
        let mut tick = sample::empty();
        tick.coverage = coverage.iter().copied().collect();
        picture(&with(tick), 100, 24).join("\n")
    };
    let exact = (Resource::Cpu, Coverage::Exact);
    let text = said(&[
        exact,
        (Resource::Disk, Coverage::None),
        (Resource::Memory, Coverage::Correlated),
    ]);
    let doubts = "seen to be harmed; not watched: disk; correlated only: memory (see";
    assert!(text.contains(doubts), "{text}");
    assert!(said(&[exact]).contains("Nobody is harmed."));
    let blind = [
        Resource::Cpu,
        Resource::Memory,
        Resource::Disk,
        Resource::Network,
    ];
    let text = said(&blind.map(|resource| (resource, Coverage::None)));
    assert!(text.contains("Nothing is watched here"), "{text}");
}

#[test]
fn what_a_party_waited_for_disks_and_links_is_in_its_details() {
    let mut tick = sample::tick();
    let blamed = |wait, own, batch| Blamed {
        party: 0,
        wait: Nanos::from_seconds(wait),
        own: Nanos::from_seconds(own),
        blame: vec![(1, Nanos::from_seconds(batch))],
        unexplained: Nanos::from_seconds(wait - own - batch),
    };
    let stall = DiskStall {
        device: "vda\x1b".into(),
        blamed: blamed(4.0, 1.0, 3.0),
        shared: Nanos::ZERO,
        waiting: Nanos::ZERO,
        needed: Nanos::ZERO,
        occupied: Nanos::ZERO,
        synced: Nanos::ZERO,
        bytes: Bytes(0),
        requests: 9,
    };
    tick.window.stalls.disk = Some(vec![stall]);
    let mut state = with(tick);
    state.act(Action::Move(2));
    state.act(Action::Detail);
    let page = picture(&state, 120, 60);
    assert_shows(
        &page,
        &["waited 4", "for vda", "75.0 %", "batch", "(itself)"],
    );
}

#[test]
fn a_quiet_host() {
    let page = picture(&with(sample::empty()), 80, 24);
    assert_shows(
        &page,
        &[
            "n1",
            "Nobody is harmed.",
            "nobody",
            "cpu 85.0 % busy",
            "Verdicts (0)",
        ],
    );
}

#[test]
fn one_verdict_with_all_that_belongs_to_it() {
    let page = picture(&with(sample::tick()), 80, 24);
    assert_shows(
        &page,
        &[
            "Linux 6.18.0  2 CPUs  cgroup hybrid  window 10.0 s",
            "pressure % cpu 40.0  3.1 % unexplained",
            "coverage exact: cpu, none: disk cache memory network gpu; 1 gaps, first: docker",
            "NAME                      KIND        CPU%  WAIT%   THR%    MEM READ/s WRITE/s",
            "web                       container   30.0   35.1      -  64.0M",
            "web waits for cpu: batch takes it  3.51 s lost, 54.0 % of its time",
            "██████████░░  82.6 %  batch  2.90 s",
            "17.4 %  unexplained",
            "> give batch a CPU limit",
            "cache (cpu): ran on CPUs that nobody waited for",
        ],
    );
}

#[test]
fn the_rows_are_sorted() {
    let mut state = with(sample::tick());
    let order = |state: &State| {
        let page = picture(state, 80, 24);
        let starts = |name: &&str| {
            page.iter()
                .position(|l| l.starts_with(&format!("│{name} ")))
        };
        let mut found: Vec<_> = ["web", "batch", "cache", "kernel"]
            .into_iter()
            .filter_map(|name| Some((starts(&name)?, name)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(order(&state), ["cache", "batch", "web", "kernel"]);
    state.act(Action::Sort);
    assert_eq!(order(&state), ["web", "batch", "cache", "kernel"]);
}

#[test]
fn a_filter_is_shown_while_typed_and_after() {
    let mut state = with(sample::tick());
    state.act(Action::Filter);
    state.act(Action::Type('b'));
    state.act(Action::Type('a'));
    assert_shows(&picture(&state, 80, 24), &["filter: ba_", "matching ba"]);
    assert!(
        !picture(&state, 80, 24)
            .iter()
            .any(|line| line.starts_with("│kernel"))
    );
}

#[test]
fn the_details_show_the_blame_row() {
    let mut state = with(sample::tick());
    state.act(Action::Move(2));
    state.act(Action::Detail);
    assert_shows(
        &picture(&state, 80, 24),
        &[
            "kind        container, docker",
            "image       shop/web:1.4",
            "waited 3.51 s in 812 waits, 99 % within 12.0 ms; meanwhile ran",
            "82.6 %  batch  2.90 s",
            "14.2 %  web  500.0 ms (itself)",
            "3.1 %  unexplained  110.0 ms",
            "claim       weight 100",
            "network     received 512K/s, sent 5.0M/s, dropped -",
        ],
    );
}

#[test]
fn forty_by_twelve_still_serves() {
    let mut state = with(sample::tick());
    assert_shows(
        &picture(&state, 40, 12),
        &["cpu 85.0 % busy", "WAIT%", "cache", "q quit"],
    );
    state.act(Action::NextPanel);
    assert_shows(
        &picture(&state, 40, 12),
        &["web waits for cpu: batch takes it", "82.6 %"],
    );
    state.act(Action::NextPanel);
    assert_shows(
        &picture(&state, 40, 12),
        &[
            "Cleared (1), gaps (1)",
            "cache (cpu)",
            "gap: docker: no answer",
        ],
    );
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let mut state = with(sample::tick());
    let actions = [
        Action::NextPanel,
        Action::NextPanel,
        Action::NextPanel,
        Action::Help,
    ];
    for action in actions.into_iter().chain([Action::Help, Action::Detail]) {
        for (width, height) in [
            (1, 1),
            (2, 3),
            (10, 4),
            (40, 12),
            (80, 24),
            (81, 17),
            (300, 100),
        ] {
            picture(&state, width, height);
        }
        state.act(action);
    }
    for (width, height) in [(1, 1), (10, 4), (40, 12)] {
        picture(&state, width, height);
    }
}

#[test]
fn hostile_names_reach_no_cell() {
    let evil = "\x1b[31mred\x1b]0;title\x07\nline\u{202e}gnp\u{9b}2J";
    let mut tick = sample::tick();
    let mut party = sample::container(evil);
    party.image = Some(format!("{evil}{}", "x".repeat(4_096)));
    party.labels.insert(evil.to_owned(), evil.to_owned());
    tick.window.parties = vec![sample::using(party.clone(), 20.0, Some(1.0))];
    tick.judgement.verdicts[0].victim = party.clone().into();
    tick.judgement.verdicts[0].culprits[0].party = party.clone().into();
    tick.judgement.verdicts[0].evidence = evil.to_owned();
    tick.judgement.cleared[0].party = party.into();
    tick.window.host.name = evil.to_owned();
    tick.window.gaps[0].why = evil.to_owned();
    let mut state = with(tick);
    for _ in 0..2 {
        let page = picture(&state, 100, 30);
        assert_shows(&page, &["\\x1b[31mred"]);
        let obeyed = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!page.iter().any(|line| line.chars().any(obeyed)));
        state.act(Action::Detail);
    }
}

#[test]
fn the_end_of_a_long_table_can_be_reached() {
    let mut tick = sample::empty();
    let row = |i: u32| sample::using(sample::container(&format!("c{i:04}")), f64::from(i), None);
    tick.window.parties = (0..1_000).map(row).collect();
    let mut state = with(tick);
    state.act(Action::Move(isize::MAX));
    assert_shows(&picture(&state, 80, 24), &["c0000"]);
    state.act(Action::Move(isize::MIN));
    assert_shows(&picture(&state, 80, 24), &["c0999"]);
}

#[test]
fn the_help_lists_the_keys() {
    let mut state = with(sample::tick());
    state.act(Action::Help);
    assert_shows(
        &picture(&state, 80, 24),
        &["Ctrl-C", "details and blame", "filter by any name"],
    );
}

#[test]
fn a_pause_is_said() {
    let mut state = with(sample::tick());
    state.act(Action::Pause);
    assert_shows(&picture(&state, 80, 24), &["PAUSED"]);
}

#[test]
fn without_colour_no_cell_has_any() {
    use ratatui::style::Color;
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let state = with(sample::tick());
    terminal
        .draw(|frame| draw(&state, Palette::plain(), frame))
        .unwrap();
    let cells = &terminal.backend().buffer().content;
    assert!(
        cells
            .iter()
            .all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset))
    );
}
