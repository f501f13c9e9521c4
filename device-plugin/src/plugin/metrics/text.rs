//! Prometheus' text format, version 0.0.4: families, samples, histograms.

use super::Histogram;
use std::fmt::{Display, Write};

/// A page as it is written.
#[derive(Default)]
pub(super) struct Text {
    pub(super) text: String,
    name: &'static str,
}

impl Text {
    /// The head of a family; the samples that follow belong to it.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family, whose name ends with `suffix`.
    pub(super) fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (place, (name, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{}\"", quoted(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A whole histogram.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, of: &Histogram) {
        self.family(name, "histogram", help);
        let mut below = 0;
        for (bound, count) in of.bounds.iter().zip(&of.counts) {
            below += count;
            self.sample("_bucket", &[("le", &bound.to_string())], below);
        }
        let all: u64 = of.counts.iter().sum();
        self.sample("_bucket", &[("le", "+Inf")], all);
        self.sample("_sum", &[], of.sum_seconds);
        self.sample("_count", &[], all);
    }
}

/// The value of a label between its quotes.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
