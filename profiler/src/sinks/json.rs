//! JSON: one document on standard output, or one a line.

use super::escape::armoured_json;
use serde::Serialize;
use std::io::{self, Write};

/// How a document is laid out. Both are one JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one line.
    Line,
    /// Indented, for somebody who looks at it on a terminal.
    Indented,
}

/// Writes `document` and a newline, and flushes, so that a reader of a pipe has it at once.
///
/// # Errors
///
/// Where `out` cannot be written to.
pub fn write<W: Write + ?Sized, D: Serialize>(
    out: &mut W,
    document: &D,
    layout: Layout,
) -> io::Result<()> {
    let text = match layout {
        Layout::Line => serde_json::to_string(document)?,
        Layout::Indented => serde_json::to_string_pretty(document)?,
    };
    out.write_all(armoured_json(&text).as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_does_not_escape_keeps_its_meaning() {
        let name = "a\u{9b}31m\u{202e}b\u{e0041}\u{7f}";
        let mut out = Vec::new();
        write(&mut out, &name, Layout::Line).unwrap();
        assert!(out.is_ascii());
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), name);
    }

    #[test]
    fn a_document_of_a_stream_is_one_line_whatever_is_in_it() {
        let mut out = Vec::new();
        write(
            &mut out,
            &serde_json::json!({"name": "a\nb\u{1b}[2J"}),
            Layout::Line,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"name\":\"a\\nb\\u001b[2J\"}\n"
        );
    }
}
