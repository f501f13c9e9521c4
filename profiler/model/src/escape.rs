//! Names on their way to a terminal: nothing in them may act on it or mislead who reads it.

use unicode_width::UnicodeWidthChar;

/// `text` with everything escaped that a terminal would act on or that would hide or reorder what
/// stands beside it: control characters (also those of C1), line separators, bidirectional controls
/// (CVE-2021-42574), and characters without width. They become `\n`, `\x1b` or `\u{202e}`.
///
/// A backslash stays as it is: names of systemd units are full of them.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out
}

/// `text` escaped and cut to at most `width` columns; what was cut is shown as `…`.
#[must_use]
pub fn fitted(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    // Marks that combine take no column: without a bound of their own they would never fill a line.
    let most_chars = width.saturating_mul(4);
    for (position, c) in text.chars().enumerate() {
        let mut piece = String::new();
        push_escaped(&mut piece, c);
        let piece_width = columns(&piece);
        if used + piece_width > width || position >= most_chars {
            return cut(out, width);
        }
        used += piece_width;
        out.push_str(&piece);
    }
    out
}

/// Columns that `text` takes, which must be escaped already.
#[must_use]
pub fn columns(text: &str) -> usize {
    // Character by character, as `fitted` counts: a sequence is never narrower than it is taken for.
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// JSON leaves C1 controls and bidirectional controls in strings as they are. As `\uXXXX` they mean
/// the same to a program and nothing to a terminal. Line feeds outside of strings are layout and stay.
#[must_use]
pub fn armoured_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && acts_on_a_terminal(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Takes characters off the end until `…` has its place.
fn cut(mut text: String, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    while columns(&text) + 1 > width {
        text.pop();
    }
    text.push('…');
    text
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if deceives(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        c => out.push(c),
    }
}

/// Whether a terminal would act on `c`, or whether `c` would hide or reorder what stands beside it.
#[must_use]
pub fn acts_on_a_terminal(c: char) -> bool {
    c.is_control() || deceives(c)
}

/// Characters that are no control characters by category and still hide or reorder text.
fn deceives(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_acts_on_becomes_visible() {
        assert_eq!(escaped("web\x1b[2Jx"), "web\\x1b[2Jx");
        assert_eq!(escaped("a\nb\tc\rd\0"), "a\\nb\\tc\\rd\\x00");
        assert_eq!(escaped("\u{9b}31m"), "\\x9b31m");
        assert_eq!(escaped("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        assert_eq!(escaped("zero\u{200b}width"), "zero\\u{200b}width");
    }

    #[test]
    fn plain_names_stay_as_they_are() {
        for name in [
            "web",
            "größe-1",
            "数据库",
            "dev-disk-by\\x2dlabel.swap",
            "a b",
            "\u{fffd}",
        ] {
            assert_eq!(escaped(name), name);
        }
    }

    #[test]
    fn a_cut_shows_and_counts_columns() {
        assert_eq!(fitted("container", 9), "container");
        assert_eq!(fitted("container", 6), "conta…");
        assert_eq!(fitted("数据库", 5), "数据…");
        assert_eq!(fitted("数据库", 4), "数…");
        assert_eq!(fitted("web", 0), "");
        assert_eq!(fitted("\x1b\x1b", 6), "\\x1b…");
    }

    #[test]
    fn marks_that_combine_are_bounded() {
        let zalgo = format!("a{}", "\u{301}".repeat(10_000));
        assert!(fitted(&zalgo, 20).chars().count() <= 81);
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_control_character(text in any::<String>()) {
            prop_assert!(!escaped(&text).chars().any(acts_on_a_terminal));
        }

        #[test]
        fn bytes_that_are_no_utf8_have_no_control_character(bytes in any::<Vec<u8>>()) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(!escaped(&text).chars().any(char::is_control));
        }

        #[test]
        fn fitted_text_fits(text in "\\PC*|[\\x00-\\x9f]*|.*", width in 0usize..40) {
            let fit = fitted(&text, width);
            prop_assert!(columns(&fit) <= width);
            prop_assert!(!fit.chars().any(char::is_control));
        }
    }
}
