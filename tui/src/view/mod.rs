//! Draws the state. Changes nothing.

mod cleared;
mod columns;
mod detail;
mod footer;
mod header;
mod help;
mod parties;
#[cfg(test)]
mod tests;
mod verdicts;

use crate::palette::Palette;
use crate::state::{Mode, Panel, State};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Paragraph, Wrap};

/// Fewer lines than this, and only one panel is shown.
const ROOM_FOR_TWO: u16 = 16;
/// Fewer lines than this, and the cleared are left out unless they have the keys.
const ROOM_FOR_THREE: u16 = 22;

/// Draws everything.
pub(crate) fn draw(state: &State, palette: Palette, frame: &mut Frame<'_>) {
    let header = header::lines(state, palette, frame.area());
    let height = u16::try_from(header.len()).unwrap_or(3);
    let [top, body, bottom] = Layout::vertical([
        Constraint::Length(height),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(Text::from(header)), top);
    frame.render_widget(
        footer::line(state, palette, usize::from(bottom.width)),
        bottom,
    );
    if state.tick().is_none() {
        let text = Paragraph::new("Watching the first window ...").style(palette.faint());
        frame.render_widget(text, body);
    } else if let Some(party) = state.detailed() {
        detail::draw(state, party, palette, frame, body);
    } else {
        panels(state, palette, frame, body);
    }
    if state.mode() == Mode::Help {
        help::draw(palette, frame, body);
    }
}

fn panels(state: &State, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    if area.height < ROOM_FOR_TWO - 4 {
        match state.panel() {
            Panel::Parties => parties::draw(state, palette, frame, area),
            Panel::Verdicts => verdicts::draw(state, palette, frame, area),
            Panel::Cleared => cleared::draw(state, palette, frame, area),
        }
        return;
    }
    let focused = |panel| state.panel() == panel;
    let cleared = state.tick().map_or(0, |t| t.judgement.cleared.len());
    let gaps = state.tick().map_or(0, |t| t.window.gaps.len());
    // The gaps are worth lines only to who asks for them: the first stands in the header.
    let shown = if focused(Panel::Cleared) {
        cleared + gaps
    } else {
        cleared
    };
    let cleared_height = match u16::try_from(shown).unwrap_or(u16::MAX) {
        count if focused(Panel::Cleared) => count.saturating_add(2).clamp(4, area.height / 3),
        0 => 0,
        _ if area.height < ROOM_FOR_THREE - 4 => 0,
        count => count.saturating_add(2).min(area.height / 6).max(3),
    };
    let verdict_height = if focused(Panel::Verdicts) {
        area.height / 2
    } else {
        // No more than there is to say; and what the table does not need.
        let rows = u16::try_from(state.rows().count())
            .unwrap_or(u16::MAX)
            .saturating_add(3);
        let left = area
            .height
            .saturating_sub(cleared_height)
            .saturating_sub(rows);
        verdicts::height(state).clamp(3, left.max(area.height * 2 / 5))
    };
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(verdict_height),
        Constraint::Length(cleared_height),
    ])
    .areas(area);
    parties::draw(state, palette, frame, top);
    verdicts::draw(state, palette, frame, middle);
    if cleared_height > 0 {
        cleared::draw(state, palette, frame, bottom);
    }
}

/// A titled frame.
fn framed(title: String, palette: Palette, focused: bool) -> Block<'static> {
    Block::bordered()
        .title(title)
        .border_style(palette.border(focused))
}

/// Draws `lines` in a frame, wrapped, from line `scroll` on or as far as there are lines.
fn scrolled(
    lines: Vec<Line<'static>>,
    scroll: usize,
    block: Block<'static>,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let inner = block.inner(area);
    let last = wrapped_height(&lines, inner.width).saturating_sub(usize::from(inner.height));
    let scroll = u16::try_from(scroll.min(last)).unwrap_or(u16::MAX);
    let text = Paragraph::new(Text::from(lines))
        .wrap(Wrap { trim: false })
        .scroll((scroll, 0));
    frame.render_widget(text.block(block), area);
}

/// About how many rows `lines` take. Wrapping at words can take more than the division says, so
/// one more is allowed for each line that wraps.
fn wrapped_height(lines: &[Line<'_>], width: u16) -> usize {
    let width = usize::from(width.max(1));
    let rows = |line: &Line<'_>| match line.width() {
        short if short <= width => 1,
        long => long.div_ceil(width) + 1,
    };
    lines.iter().map(rows).sum()
}
