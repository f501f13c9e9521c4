//! `dunnage.truth/1`: how often the verdicts were right, scenario by scenario and run by run.

use super::{HostDocument, Word};
use serde::{Deserialize, Serialize};

/// What `dunnage-bench truth --json` writes: one or more runs of the same scenarios, back to back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthDocument {
    /// `dunnage.truth/1`.
    pub schema: Word,
    /// What was measured: the version of `dunnage`, with the commit where it is known.
    pub version: String,
    /// Where.
    pub host: HostDocument,
    /// In the order in which they ran.
    pub runs: Vec<TruthRunDocument>,
}

impl TruthDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.truth/1";
}

/// One run of all scenarios that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthRunDocument {
    /// When it began, RFC 3339.
    pub start: String,
    /// How long it took.
    pub seconds: f64,
    /// Every scenario with what came of it.
    pub scenarios: Vec<ScenarioDocument>,
    /// Dunnage first, then the simpler rules on the same data.
    pub rules: Vec<RuleScoreDocument>,
}

/// One scenario: the truth about it and what Dunnage said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioDocument {
    /// Its name, unique in the suite.
    pub name: String,
    /// The resource that it is about, as in verdicts; `mixed` where there are several.
    pub resource: Word,
    /// What happens in it, one sentence.
    pub what: String,
    /// The right answer: `neighbour`, `host`, `self`, `hypervisor` or `none`.
    pub cause: Word,
    /// Who is harmed, by the name of its role; left out where nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<String>,
    /// Who does it, with the known shares.
    pub culprits: Vec<NamedShareDocument>,
    /// What the victim measured itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<MeasuredHarmDocument>,
    /// `right`, `wrong` (somebody accused who should not be), `missed` (the right one not named),
    /// `abstained` (the host cannot prove this class, and nothing was claimed) or `void` (the victim did
    /// not fare as the label says, so that nothing can be scored).
    pub outcome: Word,
    /// What Dunnage said in the disturbed phase, most harm first.
    pub said: Vec<SaidDocument>,
    /// Mean distance of the shares from the known ones, in points; where it was right and has shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_error_points: Option<f64>,
    /// From the onset to the end of the first window with the right verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_seconds: Option<f64>,
    /// Why it came out so, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A share of somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedShareDocument {
    /// The name of its role.
    pub name: String,
    /// 0 to 1; left out where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// The same measurement of the victim by itself, without and with the culprits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredHarmDocument {
    /// Without.
    pub calm: f64,
    /// With.
    pub disturbed: f64,
    /// Of both, such as `ms at the 90th percentile`.
    pub unit: String,
}

/// One accusation, added up over the disturbed phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaidDocument {
    /// Who is said to be harmed.
    pub victim: String,
    /// The resource.
    pub resource: Word,
    /// The cause.
    pub cause: Word,
    /// The culprits with their shares, largest first.
    pub culprits: Vec<NamedShareDocument>,
    /// Task-seconds lost.
    pub harm_seconds: f64,
    /// The mean confidence.
    pub confidence: f64,
    /// In how many windows of the phase.
    pub windows: u32,
    /// Whether it is true.
    pub right: bool,
}

/// How one way to judge did in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleScoreDocument {
    /// `dunnage`, or the name of the simpler rule.
    pub rule: String,
    /// By resource, in the order of the suite; `all` comes last.
    pub resources: Vec<ResourceScoreDocument>,
}

/// How one way to judge did for one resource. A figure with nothing to divide by is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceScoreDocument {
    /// The resource, `mixed` or `all`.
    pub resource: Word,
    /// Scenarios that were scored.
    pub scored: u32,
    /// Scenarios in which the right answer was to abstain, and it did.
    pub abstained: u32,
    /// Scenarios that did not do what they say.
    pub void: u32,
    /// Accusations that are true.
    pub true_accusations: u32,
    /// Accusations that are not.
    pub false_accusations: u32,
    /// Culprits that were not named.
    pub missed: u32,
    /// True accusations of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Culprits named of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// Mean error of the shares, in points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_error_points: Option<f64>,
    /// Median time to the first right verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_seconds: Option<f64>,
    /// Mean square of confidence less truth; 0 is perfect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brier: Option<f64>,
    /// Confidence against truth, by bins; empty for rules that have no confidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<CalibrationDocument>,
}

/// The accusations of one bin of confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationDocument {
    /// Mean confidence in it.
    pub said: f64,
    /// The fraction that was true.
    pub right: f64,
    /// How many.
    pub accusations: u32,
}
