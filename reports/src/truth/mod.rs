//! The report of the bench of truth: how often the verdicts were right, over runs.

mod page;
mod plots;
mod tables;
mod worst;

pub use page::page;

/// A plot that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("drawing the plot of {what} failed: {why}")]
pub struct PlotError {
    what: String,
    why: String,
}

/// One call of the bench, of one or more runs of its scenarios.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// When it began, RFC 3339; sessions are shown in its order.
    pub started: String,
    /// What was judged: the version of `dunnage`.
    pub version: String,
    /// Where: kernel and CPUs, in words.
    pub host: String,
    /// How many runs it holds.
    pub runs: usize,
    /// What missed its goal, in words.
    pub missed_goals: Vec<String>,
    /// Dunnage first, then the simpler rules on the same data.
    pub rules: Vec<Rule>,
    /// Confidence against what was right.
    pub calibration: Vec<Bin>,
    /// Mean square of confidence less truth; 0 is perfect.
    pub brier: Option<f64>,
    /// Every scenario of every run.
    pub scenarios: Vec<Scenario>,
}

/// One way to judge, with its figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// By resource; `all` is among them.
    pub resources: Vec<(String, Figures)>,
}

impl Rule {
    /// The figures of one resource.
    fn of(&self, resource: &str) -> Option<&Figures> {
        let found = self.resources.iter().find(|(name, _)| name == resource);
        found.map(|(_, figures)| figures)
    }
}

/// How one way to judge did. A figure with nothing to divide by is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Scenarios that count.
    pub scenarios: usize,
    /// Scenarios that did not do what they say.
    pub void: usize,
    /// Scenarios in which it rightly abstained.
    pub abstained: usize,
    /// Accusations that are not true.
    pub wrong: usize,
    /// Labelled accusations that were missed.
    pub missed: usize,
    /// True accusations of all, 0 to 1.
    pub precision: Option<f64>,
    /// Labelled accusations that were found, 0 to 1.
    pub recall: Option<f64>,
    /// Mean error of the shares, in points.
    pub share_error_points: Option<f64>,
    /// Median time from the onset to the first right verdict.
    pub seconds_to_right: Option<f64>,
}

/// Verdicts of about one confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Their mean confidence.
    pub said: f64,
    /// The part of them that was right.
    pub right: f64,
    /// How many.
    pub verdicts: usize,
}

/// How a scenario came out, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Somebody was accused who should not be.
    Wrong,
    /// Somebody was not named who should be.
    Missed,
    /// As labelled.
    Right,
    /// Nothing can be proven here, and nothing was claimed.
    Abstained,
    /// It did not do what it says, and does not count.
    Void,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Wrong => "wrong",
            Outcome::Missed => "missed",
            Outcome::Right => "right",
            Outcome::Abstained => "abstained",
            Outcome::Void => "void",
        }
    }
}

/// One scenario of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The resource that it is about.
    pub resource: String,
    /// The right answer, in a word.
    pub class: String,
    /// How it came out.
    pub outcome: Outcome,
    /// The victim's mean latency without and with its culprits, in seconds.
    pub latency: Option<(f64, f64)>,
    /// The largest error of its shares, in points.
    pub share_error_points: Option<f64>,
    /// From the onset to the right verdict.
    pub seconds_to_right: Option<f64>,
    /// What was said that is not so, or not said that is, a sentence each.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests;
