//! Text for people: tables and sentences that fit a terminal, every name escaped.

mod blame;
mod doctor;
mod label;
mod ps;
mod run;
#[cfg(test)]
mod tests_support;
mod why;

pub use blame::{headline, verdicts};
pub use doctor::checks;
pub use label::{joined, label};
pub use ps::usage;
pub use run::run;
pub use why::answers;

use super::color::{Colour, Paint};
use super::escape::columns;
use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::AsFd;

/// The width of a page where standard output is no terminal.
const PAGE_WIDTH: usize = 100;

/// How wide the page is and whether it has colour.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// In columns.
    pub width: usize,
    /// With colour or without.
    pub paint: Paint,
}

impl Page {
    /// A page of `width` columns without colour.
    #[must_use]
    pub fn plain(width: usize) -> Page {
        Page {
            width,
            paint: Paint::default(),
        }
    }

    /// The page that standard output is: as wide as its terminal, else 100 columns.
    #[must_use]
    pub fn of_stdout(colour: Colour) -> Page {
        Page::of(&stdout(), colour)
    }

    /// The page that standard error is.
    #[must_use]
    pub fn of_stderr(colour: Colour) -> Page {
        Page::of(&stderr(), colour)
    }

    fn of<T: IsTerminal + AsFd>(stream: &T, colour: Colour) -> Page {
        let size = terminal_size::terminal_size_of(stream);
        let width = size.map_or(PAGE_WIDTH, |(width, _)| usize::from(width.0));
        // A terminal that does not know its size says 0.
        let width = if width == 0 { PAGE_WIDTH } else { width };
        Page {
            width,
            paint: Paint::new(colour.wanted(stream.is_terminal())),
        }
    }
}

/// `text` (escaped already) in lines of at most `width` columns, each after `indent`. A word longer
/// than a line stays whole.
fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in words(text) {
        let needed = columns(&word);
        if used > 0 && columns(indent) + used + 1 + needed > width {
            out.push('\n');
            used = 0;
        }
        if used == 0 {
            out.push_str(indent);
        } else {
            out.push(' ');
            used += 1;
        }
        out.push_str(&word);
        used += needed;
    }
    out.push('\n');
    out
}

/// The words of `text`; a unit stays with its number.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let unit = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '%');
        match words.last_mut() {
            Some(number)
                if UNITS.contains(&unit) && number.ends_with(|c: char| c.is_ascii_digit()) =>
            {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// What `quantity` and the verdicts write after a number.
const UNITS: [&str; 4] = ["%", "s", "ms", "µs"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stay_with_their_numbers() {
        assert_eq!(
            wrapped("lost in 10 s, 35 % of it", 11, ""),
            "lost in\n10 s, 35 %\nof it\n"
        );
        assert_eq!(words("(83 % of 3.51 s)"), ["(83 %", "of", "3.51 s)"]);
        assert_eq!(words("s % of"), ["s", "%", "of"]);
    }

    #[test]
    fn sentences_are_wrapped_between_words() {
        assert_eq!(
            wrapped("give batch a CPU limit", 12, "  "),
            "  give batch\n  a CPU\n  limit\n"
        );
        assert_eq!(wrapped("unbreakable", 4, " "), " unbreakable\n");
        assert_eq!(wrapped("", 4, " "), "\n");
    }
}
