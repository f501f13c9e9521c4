//! The last line: the filter while it is typed, else the keys.

use crate::format::fitted;
use crate::palette::Palette;
use crate::state::{Mode, State};
use ratatui::text::Line;

/// The keys, most wanted first: what does not fit is left out.
const KEYS: [&str; 8] = [
    "q quit",
    "? help",
    "Enter detail",
    "s sort",
    "/ filter",
    "p pause",
    "Tab panel",
    "arrows move",
];

/// The line.
pub(super) fn line(state: &State, palette: Palette, width: usize) -> Line<'static> {
    if state.mode() == Mode::Filter {
        // The end of what is typed stays in sight.
        let letters: Vec<char> = state.filter().chars().collect();
        let shown = &letters[letters.len().saturating_sub(width.saturating_sub(10))..];
        let shown: String = shown.iter().collect();
        return Line::styled(
            fitted(&format!("filter: {shown}_"), width),
            palette.strong(),
        );
    }
    let mut text = String::new();
    for key in KEYS {
        if text.len() + key.len() + 2 > width {
            break;
        }
        if !text.is_empty() {
            text.push_str("  ");
        }
        text.push_str(key);
    }
    Line::styled(text, palette.faint())
}
