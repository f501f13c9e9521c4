//! A table of figures, each with how it was taken and what was promised.

use serde::Serialize;

/// All figures of one run.
#[derive(Serialize)]
pub(crate) struct Table {
    schema: &'static str,
    pub(crate) figures: Vec<Figure>,
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

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
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
        Ok(())
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
