//! The table of parties.

use super::columns::{self, Column};
use super::framed;
use crate::format::fitted;
use crate::palette::Palette;
use crate::state::{Panel, State};
use dunnage_model::units::Nanos;
use dunnage_model::usage::PartyUse;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

/// Draws it; only the rows around the selected one are ever formatted.
pub(super) fn draw(state: &State, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let filter = match state.filter() {
        "" => String::new(),
        filter => format!(" matching {}", fitted(filter, 20)),
    };
    let title = format!(" Parties by {}{filter} ", state.sort().as_str());
    let block = framed(title, palette, state.panel() == Panel::Parties);
    let inner = block.inner(area);
    let (columns, names) = columns::fitting(usize::from(inner.width));
    let window = state.tick().map_or(Nanos::ZERO, |tick| tick.window.length);
    let room = usize::from(inner.height.saturating_sub(1));
    let selected = state.selected_row().unwrap_or(0);
    // The selected row is kept in the middle where the table is longer than the panel.
    let first = selected
        .saturating_sub(room / 2)
        .min(state.rows().count().saturating_sub(room));
    let mut lines = vec![Line::styled(head(&columns, names), palette.strong())];
    for (i, row) in state.rows().enumerate().skip(first).take(room) {
        let line = cells(row, &columns, names, window);
        let harmed = is_victim(state, row);
        let style = match (state.selected_row() == Some(i), harmed) {
            (true, _) => palette.selected(),
            (false, true) => palette.harm(),
            (false, false) => ratatui::style::Style::new(),
        };
        lines.push(Line::styled(line, style));
    }
    if lines.len() == 1 {
        lines.push(Line::styled("nobody", palette.faint()));
    }
    frame.render_widget(Paragraph::new(Text::from(lines)).block(block), area);
}

fn is_victim(state: &State, row: &PartyUse) -> bool {
    let verdicts = state
        .tick()
        .map_or(&[][..], |tick| &tick.judgement.verdicts);
    verdicts
        .iter()
        .any(|verdict| verdict.victim.key == row.party.key)
}

fn head(columns: &[Column], names: usize) -> String {
    let mut line = padded("NAME", names);
    for column in columns {
        push(&mut line, column, column.title);
    }
    line
}

fn cells(row: &PartyUse, columns: &[Column], names: usize, window: Nanos) -> String {
    let name = if row.party.name.is_empty() {
        &*row.party.key
    } else {
        row.party.name.as_str()
    };
    let mut line = padded(name, names);
    for column in columns {
        push(&mut line, column, &(column.cell)(row, window));
    }
    line
}

fn push(line: &mut String, column: &Column, text: &str) {
    line.push(' ');
    if column.text {
        line.push_str(&padded(text, column.width));
    } else {
        let width = column.width;
        line.push_str(&format!("{:>width$}", fitted(text, width)));
    }
}

/// Cut or filled to exactly `width` cells, wide letters counted.
fn padded(text: &str, width: usize) -> String {
    let mut text = fitted(text, width);
    let fill = width.saturating_sub(Span::raw(text.as_str()).width());
    text.extend(std::iter::repeat_n(' ', fill));
    text
}
