//! A table of figures, each with how it was taken and what was promised.

use anyhow::Context;
use serde::Serialize;
use std::path::PathBuf;

/// Where the figures go.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// Print one JSON document instead of a table; with FILE, print the table and write the document there
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

impl Output {
    /// Puts `document` where it was asked for; `print` shows it to people.
    pub(crate) fn put(
        &self,
        document: &impl Serialize,
        print: impl FnOnce(),
    ) -> anyhow::Result<()> {
        match &self.json {
            Some(None) => println!("{}", serde_json::to_string(document)?),
            Some(Some(file)) => {
                std::fs::write(file, serde_json::to_vec(document)?)
                    .with_context(|| format!("writing {}", file.display()))?;
                print();
            }
            None => print(),
        }
        Ok(())
    }
}

/// All figures of one run.
#[derive(Serialize)]
pub(crate) struct Table {
    schema: &'static str,
    pub(crate) figures: Vec<Figure>,
    /// What could not be measured here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
}

/// Something that was not measured.
#[derive(Serialize)]
struct LeftOut {
    what: String,
    why: String,
}

/// One figure.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// The figure.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What is promised, in the same unit; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promised: Option<f64>,
    /// The spread or the parts it was made of.
    pub(crate) note: String,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            schema: "dunnage.bench/1",
            figures: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        promised: Option<f64>,
        note: impl Into<String>,
    ) {
        self.figures.push(Figure {
            what: what.into(),
            value,
            unit,
            promised,
            note: note.into(),
        });
    }

    /// Says that something was not measured, and why.
    pub(crate) fn leave_out(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut {
            what: what.into(),
            why: why.into(),
        });
    }

    /// Whether every figure is within what is promised.
    pub(crate) fn kept(&self) -> bool {
        let kept = |figure: &Figure| figure.promised.is_none_or(|most| figure.value <= most);
        self.figures.iter().all(kept)
    }

    /// As text for people.
    pub(crate) fn print(&self) {
        println!(
            "{:<58} {:>10} {:<14} {:>9}  note",
            "what", "measured", "unit", "at most"
        );
        for figure in &self.figures {
            let promised = figure
                .promised
                .map_or_else(|| "-".to_owned(), |p| format!("{p:.2}"));
            println!(
                "{:<58} {:>10.3} {:<14} {promised:>9}  {}",
                figure.what, figure.value, figure.unit, figure.note
            );
        }
        for left_out in &self.left_out {
            println!("not measured: {}: {}", left_out.what, left_out.why);
        }
    }
}

/// The middle value; nought of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// `min to max` of some values.
pub(crate) fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{low:.3} to {high:.3} over {} rounds", values.len())
}

/// Where the median lies with a confidence of 95 %: between two of the values, whatever their
/// distribution is (the sign test turned around, by the normal approximation).
pub(crate) fn interval(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let most = (count - 1.96 * count.sqrt()) / 2.0;
    let places = 1..=u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let outside = places.take_while(|place| f64::from(*place) <= most).count();
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    (at(outside), at(sorted.len().saturating_sub(outside + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_values_that_many_lie_outside_of() {
        let values: Vec<f64> = (0..40).rev().map(f64::from).collect();
        assert_eq!(median(&values), 19.5);
        // Binomial tables: between the 14th and the 27th of 40 with 96 %.
        assert_eq!(interval(&values), (13.0, 26.0));
        assert_eq!(interval(&[3.0, 1.0, 2.0]), (1.0, 3.0));
        assert_eq!(interval(&[]), (0.0, 0.0));
    }
}
