//! Numbers and hostile text as cells of a terminal.

use dunnage_model::units::{Bytes, Nanos};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most characters of one text that are ever shown. Names can be 4 KiB long.
const LONGEST: usize = 1_024;

/// What stands for a value that is not there.
pub(crate) const ABSENT: &str = "-";

/// `text` with everything that a terminal would obey, or that hides or reorders what stands
/// beside it, written out as an escape: control characters, bidirectional overrides, zero-width
/// and line-separating characters. Cut after 1,024 characters.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (i, letter) in text.chars().enumerate() {
        if i == LONGEST {
            out.push('…');
            break;
        }
        match letter {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x100 && c.is_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c if is_hidden(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Characters that take no room of their own and change how others look: formats (Unicode Cf),
/// line and paragraph separators, variation selectors.
fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// [`visible`] text in at most `width` cells, cut with an ellipsis.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.width() <= width {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let cells = letter.width().unwrap_or(0);
        if used + cells + 1 > width {
            break;
        }
        used += cells;
        out.push(letter);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// A share (1 is all) in percent, in at most six cells.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    if !value.is_finite() {
        ABSENT.to_owned()
    } else if value >= 99.95 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A value that may be absent.
pub(crate) fn or_absent(value: Option<String>) -> String {
    value.unwrap_or_else(|| ABSENT.to_owned())
}

/// A size with a binary prefix, in at most six cells: `512`, `1.5K`, `16.0M`.
pub(crate) fn size(bytes: Bytes) -> String {
    scaled(bytes.0 as f64)
}

/// Bytes a second.
pub(crate) fn rate(bytes: Bytes, window: Nanos) -> String {
    if window == Nanos::ZERO {
        ABSENT.to_owned()
    } else {
        scaled(bytes.0 as f64 / window.seconds())
    }
}

fn scaled(value: f64) -> String {
    let mut value = value;
    for prefix in ["", "K", "M", "G", "T", "P"] {
        if value < 999.5 {
            return match (prefix, value < 99.95) {
                ("", _) => format!("{value:.0}"),
                (_, true) => format!("{value:.1}{prefix}"),
                (_, false) => format!("{value:.0}{prefix}"),
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}E")
}

/// A duration with a fitting unit: `3.51 s`, `12.0 ms`, `85 µs`.
pub(crate) fn duration(time: Nanos) -> String {
    let seconds = time.seconds();
    if seconds >= 0.9995 {
        format!("{seconds:.2} s")
    } else if time.0 >= 1_000_000 {
        format!("{:.1} ms", seconds * 1e3)
    } else if time.0 == 0 {
        "0 s".to_owned()
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

/// A bar of `width` cells that is filled up to `share`.
pub(crate) fn bar(share: f64, width: usize) -> String {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and width, which is a terminal's"
    )]
    let full = (share * width as f64).round() as usize;
    format!(
        "{}{}",
        "█".repeat(full),
        "░".repeat(width.saturating_sub(full))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(
            visible("a\x1b[2Jb\nc\u{202e}d\u{9b}e"),
            "a\\x1b[2Jb\\nc\\u{202e}d\\x9be"
        );
        assert_eq!(visible("naïve 名前"), "naïve 名前");
    }

    #[test]
    fn wide_letters_are_cut_by_cells() {
        assert_eq!(fitted("名前名前", 5), "名前…");
        assert_eq!(fitted("abc", 3), "abc");
        assert_eq!(fitted("abcd", 3), "ab…");
        assert_eq!(fitted("abcd", 0), "");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(size(Bytes(0)), "0");
        assert_eq!(size(Bytes(1_536)), "1.5K");
        assert_eq!(size(Bytes(u64::MAX)), "16.0E");
        assert_eq!(percent(0.3514), "35.1");
        assert_eq!(percent(12.0), "1200");
        assert_eq!(duration(Nanos(12_000_000)), "12.0 ms");
        assert_eq!(rate(Bytes(10), Nanos::ZERO), "-");
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(f64::NAN, 2), "░░");
    }

    proptest! {
        #[test]
        fn shown_text_is_harmless_and_fits(text in any::<String>(), width in 0_usize..60) {
            let shown = fitted(&text, width);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert!(shown.width() <= width);
        }

        #[test]
        fn sizes_fit_their_column(bytes in any::<u64>()) {
            prop_assert!(size(Bytes(bytes)).len() <= 6);
        }
    }
}
