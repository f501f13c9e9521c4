//! Colour: only where somebody looks at it.

use std::env;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal that can do it, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

impl Colour {
    /// Whether to use colour on a stream. `NO_COLOR` counts where it is set and not empty
    /// (<https://no-color.org>), `TERM=dumb` says that the terminal has none.
    #[must_use]
    pub fn wanted(self, is_terminal: bool) -> bool {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.decide(is_terminal, no_color || dumb)
    }

    fn decide(self, is_terminal: bool, refused: bool) -> bool {
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && !refused,
        }
    }
}

/// Puts ECMA-48 "select graphic rendition" around text, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// A brush that paints or does not.
    #[must_use]
    pub fn new(on: bool) -> Paint {
        Paint { on }
    }

    /// For headlines and column titles.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// For what matters less.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.sgr("2", text)
    }

    /// For harm.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.sgr("31", text)
    }

    /// For what is as it should be.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.sgr("32", text)
    }

    /// For what is worth a look.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.sgr("33", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_wants_a_terminal_and_no_refusal() {
        assert!(Colour::Auto.decide(true, false));
        assert!(!Colour::Auto.decide(true, true));
        assert!(!Colour::Auto.decide(false, false));
        assert!(Colour::Always.decide(false, true));
        assert!(!Colour::Never.decide(true, false));
    }

    #[test]
    fn no_colour_leaves_the_text_alone() {
        assert_eq!(Paint::new(false).red("web"), "web");
        assert_eq!(Paint::new(true).red("web"), "\x1b[31mweb\x1b[0m");
    }
}
