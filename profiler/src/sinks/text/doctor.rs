//! `dunnage doctor` for people: a mark, a name, what was found, and what to do.

use super::{Page, wrapped};
use crate::doctor::{Check, Status};
use crate::sinks::escape::{columns, escaped};

/// Between the mark's column and the name's.
const INDENT: &str = "    ";

/// One block a check. `unicode` says whether the terminal can show the marks.
#[must_use]
pub fn checks(checks: &[Check], page: &Page, unicode: bool) -> String {
    let mut out = String::new();
    for check in checks {
        let paint = page.paint;
        let mark = match check.status {
            Status::Ok => paint.green(if unicode { "✓" } else { "ok" }),
            Status::Degraded => paint.yellow(if unicode { "~" } else { "part" }),
            Status::Missing => paint.red(if unicode { "✗" } else { "no" }),
        };
        let name = escaped(&check.name);
        let detail = escaped(&check.detail);
        if columns(&name) + columns(&detail) + INDENT.len() + 2 <= page.width {
            out.push_str(&format!("{mark} {}: {detail}\n", paint.bold(&name)));
        } else {
            out.push_str(&format!("{mark} {}\n", paint.bold(&name)));
            out.push_str(&wrapped(&detail, page.width, INDENT));
        }
        if let Some(remedy) = &check.remedy {
            let arrow = if unicode { "→" } else { "->" };
            out.push_str(&wrapped(
                &format!("{arrow} {}", escaped(remedy)),
                page.width,
                INDENT,
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined() -> Vec<Check> {
        vec![
            Check::ok("kernel BTF", "there"),
            Check::missing("capability CAP_BPF", "not held\x1b", "run as root"),
            Check::degraded(
                "pressure",
                "off; verdicts without eBPF have less to go by",
                "boot with psi=1",
            ),
        ]
    }

    #[test]
    fn marks_follow_the_locale() {
        let expected = "\
✓ kernel BTF: there
✗ capability CAP_BPF: not held\\x1b
    → run as root
~ pressure: off; verdicts without eBPF have less to go by
    → boot with psi=1
";
        assert_eq!(checks(&examined(), &Page::plain(80), true), expected);
        assert!(checks(&examined(), &Page::plain(80), false).is_ascii());
    }

    #[test]
    fn long_details_go_below_the_name() {
        let text = checks(&examined(), &Page::plain(40), true);
        assert!(
            text.contains("~ pressure\n    off; verdicts without eBPF have"),
            "{text}"
        );
    }
}
