//! Who harms whom: headline, culprits with bars, evidence, advice.

use super::{framed, scrolled};
use crate::format::{bar, duration, percent, visible};
use crate::palette::Palette;
use crate::state::{Panel, State};
use dunnage_model::verdict::{Cause, Coverage, Fact, Resource, Verdict};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Cells of a culprit's bar.
const BAR: usize = 12;
/// Less than this share unexplained is not shown.
const WORTH_A_LINE: f64 = 0.005;

/// Draws the panel.
pub(super) fn draw(state: &State, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let count = verdicts(state).len();
    let title = format!(" Verdicts ({count}) ");
    let block = framed(title, palette, state.panel() == Panel::Verdicts);
    scrolled(
        lines(state, palette),
        state.verdicts_scroll(),
        block,
        frame,
        area,
    );
}

/// How many rows the panel would fill on a wide screen, its frame included.
pub(super) fn height(state: &State) -> u16 {
    let unnamed = |v: &Verdict| usize::from(v.unexplained >= WORTH_A_LINE);
    let rows: usize = verdicts(state)
        .iter()
        .map(|v| v.culprits.len() + unnamed(v) + 3)
        .sum();
    u16::try_from(rows.max(1) + 2).unwrap_or(u16::MAX)
}

fn verdicts(state: &State) -> &[Verdict] {
    state.tick().map_or(&[], |tick| &tick.judgement.verdicts)
}

fn lines(state: &State, palette: Palette) -> Vec<Line<'static>> {
    if verdicts(state).is_empty() {
        return vec![quiet(state, palette)];
    }
    verdicts(state)
        .iter()
        .flat_map(|verdict| block(verdict, palette))
        .collect()
}

/// The resources that a host is expected to be watched for.
const EXPECTED: [Resource; 4] = [
    Resource::Cpu,
    Resource::Memory,
    Resource::Disk,
    Resource::Network,
];

/// Nobody is harmed, as far as it was watched.
fn quiet(state: &State, palette: Palette) -> Line<'static> {
    let watched = |wanted: Coverage| -> Vec<&'static str> {
        let coverage = state.tick().map(|tick| &tick.coverage);
        let is = |r: &Resource| coverage.and_then(|of| of.get(r)) == Some(&wanted);
        let named = EXPECTED.into_iter().filter(is);
        named.map(Resource::as_str).collect()
    };
    let blind = watched(Coverage::None);
    let guessed = watched(Coverage::Correlated);
    if blind.len() == EXPECTED.len() {
        return Line::styled(
            "Nothing is watched here (see dunnage doctor).",
            palette.caution(),
        );
    }
    let mut doubts = Vec::new();
    if !blind.is_empty() {
        doubts.push(format!("not watched: {}", blind.join(", ")));
    }
    if !guessed.is_empty() {
        doubts.push(format!("correlated only: {}", guessed.join(", ")));
    }
    if doubts.is_empty() {
        return Line::styled("Nobody is harmed.", palette.good());
    }
    Line::styled(
        format!(
            "Nobody is seen to be harmed; {} (see dunnage doctor).",
            doubts.join("; ")
        ),
        palette.caution(),
    )
}

fn block(verdict: &Verdict, palette: Palette) -> Vec<Line<'static>> {
    let style = match verdict.cause {
        Cause::Neighbour | Cause::Host => palette.harm(),
        Cause::Itself | Cause::Hypervisor => palette.caution(),
    };
    let mut lines = vec![Line::from(vec![
        Span::styled(headline(verdict), style),
        Span::raw(format!(
            "  {} lost, {} % of its time",
            duration(verdict.harm),
            percent(verdict.fraction)
        )),
    ])];
    for culprit in &verdict.culprits {
        lines.push(share_line(
            culprit.share,
            &culprit.party.name,
            &duration(culprit.time),
            palette,
        ));
    }
    if verdict.unexplained >= WORTH_A_LINE {
        lines.push(share_line(verdict.unexplained, "unexplained", "", palette));
    }
    lines.push(Line::styled(
        format!("  {}", visible(&verdict.evidence)),
        palette.faint(),
    ));
    lines.push(Line::raw(format!("  > {}", visible(&verdict.advice))));
    lines
}

/// A bar, a share, a name and an amount.
pub(super) fn share_line(share: f64, name: &str, amount: &str, palette: Palette) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!("  {}", bar(share, BAR)), palette.caution()),
        Span::raw(format!(
            " {:>5} %  {}  {amount}",
            percent(share),
            visible(name)
        )),
    ])
}

/// The verdict in one sentence.
fn headline(verdict: &Verdict) -> String {
    let victim = visible(&verdict.victim.name);
    let resource = verdict.resource.as_str();
    let first = verdict
        .culprits
        .first()
        .map(|culprit| visible(&culprit.party.name));
    let others = match verdict.culprits.len() {
        0 | 1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    match (verdict.cause, first) {
        (Cause::Neighbour, Some(first)) => {
            format!("{victim} waits for {resource}: {first}{others} takes it")
        }
        (Cause::Host, Some(first)) => {
            format!("{victim} waits for {resource}: the host's {first}{others} takes it")
        }
        (Cause::Itself, _) => match verdict.facts.get("limit") {
            Some(Fact::Text(limit)) => {
                format!(
                    "{victim} is held back by a limit of its own: {}",
                    visible(limit)
                )
            }
            _ => format!("{victim} waits for {resource}: its own load takes it"),
        },
        (Cause::Hypervisor, _) => format!("{victim} waits for {resource}: the hypervisor takes it"),
        (_, None) => format!("{victim} waits for {resource}"),
    }
}
