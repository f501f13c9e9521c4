//! Who looks guilty and is not; below it, everything that could not be read.

use super::{framed, scrolled};
use crate::format::visible;
use crate::palette::Palette;
use crate::state::{Panel, State};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Draws the panel.
pub(super) fn draw(state: &State, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let cleared = state.tick().map_or(&[][..], |tick| &tick.judgement.cleared);
    let gaps = state.tick().map_or(&[][..], |tick| &tick.window.gaps);
    let missing = if gaps.is_empty() {
        String::new()
    } else {
        format!(", gaps ({})", gaps.len())
    };
    let title = format!(" Cleared ({}){missing} ", cleared.len());
    let block = framed(title, palette, state.panel() == Panel::Cleared);
    let mut lines: Vec<Line<'static>> = cleared
        .iter()
        .map(|cleared| {
            Line::from(vec![
                Span::styled(visible(&cleared.party.name), palette.good()),
                Span::raw(format!(
                    " ({}): {}",
                    cleared.of.as_str(),
                    visible(&cleared.why)
                )),
            ])
        })
        .collect();
    if lines.is_empty() {
        lines.push(Line::styled("nobody looks guilty", palette.faint()));
    }
    lines.extend(gaps.iter().map(|gap| {
        let text = format!("gap: {}: {}", visible(&gap.what), visible(&gap.why));
        Line::styled(text, palette.caution())
    }));
    scrolled(lines, state.cleared_scroll(), block, frame, area);
}
