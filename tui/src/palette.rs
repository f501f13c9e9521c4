//! Colours, or none where the user wants none.

use ratatui::style::{Color, Modifier, Style};

/// The styles of the dashboard. Meaning never rests on colour alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    colour: bool,
}

impl Palette {
    /// Colours unless `NO_COLOR` is set and not empty (no-color.org), or the terminal is dumb.
    pub(crate) fn from_environment() -> Palette {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Palette {
            colour: set("NO_COLOR").is_none() && !dumb,
        }
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Palette {
        Palette { colour: false }
    }

    fn foreground(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// A frame, and the one that has the keys.
    pub(crate) fn border(self, focused: bool) -> Style {
        if focused {
            self.foreground(Color::Cyan).add_modifier(Modifier::BOLD)
        } else {
            self.foreground(Color::DarkGray)
        }
    }

    /// Titles and names that matter.
    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Labels and what matters less.
    pub(crate) fn faint(self) -> Style {
        self.foreground(Color::DarkGray)
    }

    /// The selected row.
    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Harm done by others.
    pub(crate) fn harm(self) -> Style {
        self.foreground(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Harm of one's own making, gaps, sampling.
    pub(crate) fn caution(self) -> Style {
        self.foreground(Color::Yellow)
    }

    /// Nobody is harmed, somebody is cleared.
    pub(crate) fn good(self) -> Style {
        self.foreground(Color::Green)
    }
}
