//! `dunnage.truth/1`: what came of every scenario of every run, and the figures over them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TruthDocument {
    /// `dunnage.truth/1`.
    pub(crate) schema: String,
    /// When the first run began, RFC 3339.
    pub(crate) started: String,
    /// `dunnage --version` of the judge.
    pub(crate) dunnage: String,
    /// `uname -r`.
    pub(crate) kernel: String,
    /// CPUs of the host.
    pub(crate) cpus: usize,
    /// Whether every goal is met.
    pub(crate) goals_met: bool,
    /// What missed its goal, in words.
    pub(crate) missed_goals: Vec<String>,
    /// Dunnage's figures over all runs, by resource, and `all`.
    pub(crate) resources: BTreeMap<String, Figures>,
    /// What simpler rules said on the same data: by rule, then by resource and `all`.
    pub(crate) rules: BTreeMap<String, BTreeMap<String, Figures>>,
    /// Confidence against what was right, in bins.
    pub(crate) calibration: Vec<Bin>,
    /// Mean square of confidence less right (1) or wrong (0); left out where nothing was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) brier: Option<f64>,
    /// Each run's scenarios, in the order in which they were played.
    pub(crate) runs: Vec<Vec<Outcome>>,
}

/// Figures over many scenarios.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Scenarios that count.
    pub(crate) scenarios: usize,
    /// Scenarios that did not do what they say, which do not count.
    pub(crate) void: usize,
    /// Labelled accusations that were found.
    pub(crate) right: usize,
    /// Labelled accusations that were missed.
    pub(crate) missed: usize,
    /// Accusations that are not true.
    pub(crate) wrong: usize,
    /// Right / (right + wrong); left out where nobody was accused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) precision: Option<f64>,
    /// Right / (right + missed); left out where nobody was to be accused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recall: Option<f64>,
    /// Mean error of the shares that are known, in points of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share_error_mean: Option<f64>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share_error_most: Option<f64>,
    /// From the onset to the first right verdict: median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_to_right_median: Option<f64>,
    /// The longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_to_right_most: Option<f64>,
    /// Scenarios in which the right answer was to abstain, and that was done.
    pub(crate) abstained: usize,
}

/// Verdicts of about one confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bin {
    /// From this confidence on.
    pub(crate) from: f64,
    /// To below this one; the last bin holds 1.
    pub(crate) to: f64,
    /// How many verdicts.
    pub(crate) verdicts: usize,
    /// Their mean confidence.
    pub(crate) said: f64,
    /// The part of them that was right.
    pub(crate) right: f64,
}

/// What came of one scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The scenario.
    pub(crate) name: String,
    /// The resource that it is about.
    pub(crate) resource: String,
    /// neighbour, host, self, none, abstain, mixed.
    pub(crate) class: String,
    /// Why it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) void: Option<String>,
    /// What the victim measured of itself.
    pub(crate) felt: FeltOutcome,
    /// CPUs that others than those who take part used meanwhile.
    pub(crate) outside_cpus: f64,
    /// The labelled accusations.
    pub(crate) expected: Vec<ExpectedOutcome>,
    /// Accusations that are not true.
    pub(crate) wrong: Vec<WrongOutcome>,
    /// Where the right answer was to abstain: whether it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) abstained: Option<bool>,
    /// The verdicts' confidence, and whether they were right.
    pub(crate) verdicts: Vec<(f64, bool)>,
    /// What simpler rules said.
    pub(crate) rules: BTreeMap<String, RuleOutcome>,
}

/// The victim's own measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeltOutcome {
    /// Operations in the calm phase.
    pub(crate) calm_operations: usize,
    /// Their mean latency.
    pub(crate) calm_seconds: f64,
    /// Operations in the disturbed phase.
    pub(crate) disturbed_operations: usize,
    /// Their mean latency.
    pub(crate) disturbed_seconds: f64,
    /// Their 99th percentile, calm.
    pub(crate) calm_p99_seconds: f64,
    /// Their 99th percentile, disturbed.
    pub(crate) disturbed_p99_seconds: f64,
}

impl FeltOutcome {
    /// How many times slower an operation was on average; `None` where one phase has none.
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.calm_operations > 0 && self.disturbed_operations > 0 && self.calm_seconds > 0.0)
            .then(|| self.disturbed_seconds / self.calm_seconds)
    }
}

/// A labelled accusation, and what was said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExpectedOutcome {
    /// Who loses.
    pub(crate) victim: String,
    /// On what.
    pub(crate) resource: String,
    /// By whose doing.
    pub(crate) cause: String,
    /// Who does it.
    pub(crate) culprit: String,
    /// Its true share, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f64>,
    /// Whether it was found.
    pub(crate) found: bool,
    /// Windows in which the culprit was on.
    pub(crate) windows: usize,
    /// Those that named it.
    pub(crate) named: usize,
    /// Its share over all windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share_said: Option<f64>,
    /// From its first coming to the first right verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_to_right: Option<f64>,
}

/// An accusation that is not true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WrongOutcome {
    /// Who is said to lose.
    pub(crate) victim: String,
    /// On what.
    pub(crate) resource: String,
    /// By whose doing.
    pub(crate) cause: String,
    /// Who is accused.
    pub(crate) culprit: String,
    /// In how many windows.
    pub(crate) windows: usize,
    /// Of how many seconds, over all of them.
    pub(crate) seconds: f64,
    /// When it was first said, in seconds after the onset; before it where negative.
    pub(crate) at: f64,
    /// The sentence that came with it first.
    pub(crate) evidence: String,
}

/// What a simpler rule said of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RuleOutcome {
    /// Whom it accuses of harming the victim.
    pub(crate) named: Vec<String>,
    /// Labelled culprits among them.
    pub(crate) right: usize,
    /// Labelled accusations that it missed.
    pub(crate) missed: usize,
    /// Others among them.
    pub(crate) wrong: usize,
}
