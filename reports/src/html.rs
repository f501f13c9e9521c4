//! Text on its way into a page.

use std::fmt::Write;

/// `text` as HTML shows it, in an element or in a quoted attribute; what would hide or reorder what stands
/// beside it becomes visible.
pub(crate) fn escaped(text: &str) -> String {
    let text = dunnage_model::escape::escaped(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A row of a table whose cells are HTML already.
pub(crate) fn row(cell: &str, cells: &[String]) -> String {
    let mut out = String::from("<tr>");
    for text in cells {
        let _ = write!(out, "<{cell}>{text}</{cell}>");
    }
    out.push_str("</tr>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_acts_on_the_page() {
        assert_eq!(
            escaped("<script>alert('x')</script>&\"\u{202e}\x1b"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\\u{202e}\\x1b"
        );
        assert_eq!(escaped("größer – ok"), "größer – ok");
    }
}
