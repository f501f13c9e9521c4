//! The help: every key.

use super::framed;
use crate::palette::Palette;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Clear, Paragraph};

const KEYS: [(&str, &str); 9] = [
    ("q, Ctrl-C", "quit"),
    ("arrows, j k", "select, scroll"),
    ("Enter", "details and blame"),
    ("Esc", "back, drop the filter"),
    ("s", "sort: cpu wait memory name"),
    ("/", "filter by any name"),
    ("p, Space", "pause, go on"),
    ("Tab", "next panel"),
    ("?", "this help"),
];

/// Draws it over the middle of `area`.
pub(super) fn draw(palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let width = area.width.min(46);
    let height = area
        .height
        .min(u16::try_from(KEYS.len()).unwrap_or(u16::MAX) + 2);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let lines: Vec<Line<'static>> = KEYS
        .iter()
        .map(|(keys, what)| Line::raw(format!(" {keys:<12} {what}")))
        .collect();
    frame.render_widget(Clear, place);
    let block = framed(" Keys ".to_owned(), palette, true);
    frame.render_widget(Paragraph::new(Text::from(lines)).block(block), place);
}
