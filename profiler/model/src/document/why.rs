//! `dunnage.why/1`: what limits one party, resource by resource, with the metric that decided and
//! where it was read.

use super::blame::{CulpritDocument, FactValue, VerdictDocument};
use super::part::{GapDocument, HostDocument, PartyDocument, WindowDocument};
use super::{Word, number};
use crate::units::Nanos;
use crate::usage::WindowUse;
use crate::verdict::{Coverage, Judgement, Resource};
use crate::why::{Answer, Metric, Mismatch, Why};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `dunnage why NAME --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyDocument {
    /// `dunnage.why/1`.
    pub schema: Word,
    /// The host.
    pub host: HostDocument,
    /// The window.
    pub window: WindowDocument,
    /// Who.
    pub party: PartyDocument,
    /// One entry a resource.
    pub resources: Vec<AnswerDocument>,
    /// Where the party's own look at the machine misleads it.
    pub view: Vec<MismatchDocument>,
    /// What could not be read.
    pub gaps: Vec<GapDocument>,
}

impl WhyDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.why/1";

    /// The document of one answer; `requested` is how long the window should have been.
    #[must_use]
    pub fn from_parts(
        window: &WindowUse,
        why: &Why,
        judgement: &Judgement,
        coverage: &BTreeMap<Resource, Coverage>,
        requested: Nanos,
    ) -> WhyDocument {
        WhyDocument {
            schema: WhyDocument::SCHEMA.into(),
            host: HostDocument::from(&window.host),
            window: WindowDocument::new(window, requested),
            party: PartyDocument::from(&*why.party),
            resources: why
                .answers
                .iter()
                .map(|answer| AnswerDocument::new(answer, why, judgement, coverage))
                .collect(),
            view: why.view.iter().map(MismatchDocument::from).collect(),
            gaps: window.gaps.iter().map(GapDocument::from).collect(),
        }
    }
}

/// What limits the party on one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerDocument {
    /// `cpu`, `cache`, `disk`, `memory`, `network`, `gpu`, `fpga`.
    pub resource: Word,
    /// `machine`, `cap`, `share`, `hypervisor`, `nothing`, `unknown`.
    pub limited_by: Word,
    /// How well the resource was watched: `exact`, `sampled`, `correlated`, `none`.
    pub coverage: Word,
    /// What decided; left out where nothing could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricDocument>,
    /// The path of the file, or the name of the source, that told the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_from: Option<String>,
    /// One sentence.
    pub evidence: String,
    /// One sentence with the knob to turn; left out where there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// With `share`, those who had more than theirs, largest part first.
    pub culprits: Vec<CulpritDocument>,
    /// What `dunnage blame` says of the same window about this victim and this resource.
    pub verdicts: Vec<VerdictDocument>,
    /// All the numbers that were looked at, by name.
    pub facts: BTreeMap<String, FactValue>,
}

impl AnswerDocument {
    fn new(
        answer: &Answer,
        why: &Why,
        judgement: &Judgement,
        coverage: &BTreeMap<Resource, Coverage>,
    ) -> AnswerDocument {
        let about = |verdict: &&crate::verdict::Verdict| {
            verdict.resource == answer.resource && verdict.victim.key == why.party.key
        };
        let coverage = coverage.get(&answer.resource);
        AnswerDocument {
            resource: answer.resource.as_str().into(),
            limited_by: answer.limited_by.as_str().into(),
            coverage: coverage.unwrap_or(&Coverage::None).as_str().into(),
            metric: answer.metric.as_ref().map(MetricDocument::from),
            read_from: answer.metric.as_ref().map(|m| m.read_from.clone()),
            evidence: answer.evidence.clone(),
            advice: answer.advice.clone(),
            culprits: answer.culprits.iter().map(CulpritDocument::from).collect(),
            verdicts: judgement
                .verdicts
                .iter()
                .filter(about)
                .map(VerdictDocument::from)
                .collect(),
            facts: answer
                .facts
                .iter()
                .filter_map(|(name, fact)| Some(((*name).to_owned(), FactValue::of(fact)?)))
                .collect(),
        }
    }
}

/// The number that decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricDocument {
    /// Its name.
    pub name: Word,
    /// Its value in the window.
    pub value: f64,
    /// Its unit.
    pub unit: Word,
}

impl From<&Metric> for MetricDocument {
    fn from(metric: &Metric) -> MetricDocument {
        MetricDocument {
            name: metric.name.into(),
            value: number(metric.value),
            unit: metric.unit.into(),
        }
    }
}

/// Something that the party's own look at the machine gets wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MismatchDocument {
    /// What: `cpus`, `memory`, `load average`.
    pub what: Word,
    /// What it sees.
    pub sees: f64,
    /// Where it sees it.
    pub seen_in: Word,
    /// What it may use; left out where there is no such number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_use: Option<f64>,
    /// The file that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// The unit of both.
    pub unit: Word,
    /// One sentence.
    pub evidence: String,
}

impl From<&Mismatch> for MismatchDocument {
    fn from(mismatch: &Mismatch) -> MismatchDocument {
        MismatchDocument {
            what: mismatch.what.into(),
            sees: number(mismatch.sees),
            seen_in: mismatch.seen_in.into(),
            may_use: mismatch.may_use.map(number),
            told_by: mismatch.told_by.clone(),
            unit: mismatch.unit.into(),
            evidence: mismatch.evidence.clone(),
        }
    }
}
