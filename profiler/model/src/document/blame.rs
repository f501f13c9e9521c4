//! `dunnage.blame/1`: the verdicts of one window, who is cleared, and the conserved waits.

use super::part::{GapDocument, GovernorDocument, HostDocument, PartyDocument, WindowDocument};
use super::{Word, finite, number};
use crate::party::Party;
use crate::units::Nanos;
use crate::usage::{PartyWait, WindowUse};
use crate::verdict::{Cleared, Coverage, Culprit, Fact, Judgement, Resource, Verdict};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Rows of waits that are printed besides those of victims.
const MOST_WAITS: usize = 32;

/// Parties that are named in one row; the others are added up.
const MOST_BLAMED: usize = 16;

/// What `dunnage blame --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlameDocument {
    /// `dunnage.blame/1`.
    pub schema: Word,
    /// The host.
    pub host: HostDocument,
    /// The window.
    pub window: WindowDocument,
    /// How well each resource was watched: `exact`, `sampled`, `correlated`, `none`.
    pub coverage: BTreeMap<Word, Word>,
    /// Only where switches of tasks were seen for a part of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<GovernorDocument>,
    /// Most harm first.
    pub verdicts: Vec<VerdictDocument>,
    /// Most use first.
    pub cleared: Vec<ClearedDocument>,
    /// The longest waits for a CPU with whom they are blamed on, and those of every victim; left out
    /// where nothing could be accounted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Vec<WaitDocument>>,
    /// What could not be read.
    pub gaps: Vec<GapDocument>,
}

impl BlameDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.blame/1";

    /// The document of one judged window; `requested` is how long the window should have been.
    #[must_use]
    pub fn from_parts(
        window: &WindowUse,
        judgement: &Judgement,
        coverage: &BTreeMap<Resource, Coverage>,
        requested: Nanos,
    ) -> BlameDocument {
        let waits = window.waits.as_ref();
        BlameDocument {
            schema: BlameDocument::SCHEMA.into(),
            host: HostDocument::from(&window.host),
            window: WindowDocument::new(window, requested),
            coverage: coverage_words(coverage),
            governor: GovernorDocument::of(window),
            verdicts: judgement
                .verdicts
                .iter()
                .map(VerdictDocument::from)
                .collect(),
            cleared: judgement
                .cleared
                .iter()
                .map(ClearedDocument::from)
                .collect(),
            waits: waits.map(|rows| wait_documents(rows, window, judgement)),
            gaps: window.gaps.iter().map(GapDocument::from).collect(),
        }
    }

    /// Leaves only what concerns the victims that `is_meant` names: their verdicts and their waits.
    pub fn retain_victims(&mut self, is_meant: impl Fn(&PartyDocument) -> bool) {
        self.verdicts.retain(|verdict| is_meant(&verdict.victim));
        if let Some(waits) = &mut self.waits {
            waits.retain(|row| is_meant(&row.victim));
        }
    }
}

/// The rows of those who waited most, and of every victim: a host with 1,000 busy cgroups would
/// print some megabytes a second otherwise.
fn wait_documents(
    rows: &[PartyWait],
    window: &WindowUse,
    judgement: &Judgement,
) -> Vec<WaitDocument> {
    let is_victim = |row: &PartyWait| {
        let party = window.parties.get(row.party);
        party.is_some_and(|user| {
            judgement
                .verdicts
                .iter()
                .any(|v| v.victim.key == user.party.key)
        })
    };
    let mut order: Vec<&PartyWait> = rows.iter().collect();
    order.sort_by_key(|row| Reverse(row.wait));
    order
        .into_iter()
        .enumerate()
        .filter(|(place, row)| *place < MOST_WAITS || is_victim(row))
        .filter_map(|(_, row)| WaitDocument::new(row, window))
        .collect()
}

/// The words of the contract; what it always lists is there.
pub(super) fn coverage_words(coverage: &BTreeMap<Resource, Coverage>) -> BTreeMap<Word, Word> {
    let mut words: BTreeMap<Word, Word> = Resource::LISTED
        .iter()
        .map(|r| (r.as_str().into(), Coverage::None.as_str().into()))
        .collect();
    words.extend(
        coverage
            .iter()
            .map(|(r, c)| (Word::from(r.as_str()), Word::from(c.as_str()))),
    );
    words
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictDocument {
    /// Who lost.
    pub victim: PartyDocument,
    /// `cpu`, `cache`, `disk`, `memory`, `network`, `gpu`, `fpga`.
    pub resource: Word,
    /// `neighbour`, `host`, `self`, `hypervisor`.
    pub cause: Word,
    /// How much.
    pub harm: HarmDocument,
    /// Largest share first; the shares and `unexplained` add up to 1.
    pub culprits: Vec<CulpritDocument>,
    /// The share of the harm that nobody can be named for.
    pub unexplained: f64,
    /// 0 to 1.
    pub confidence: f64,
    /// One sentence.
    pub evidence: String,
    /// One sentence with the knob to turn.
    pub advice: String,
    /// What the verdict rests on, by name.
    pub facts: BTreeMap<String, FactValue>,
}

impl From<&Verdict> for VerdictDocument {
    fn from(verdict: &Verdict) -> VerdictDocument {
        VerdictDocument {
            victim: PartyDocument::from(&*verdict.victim),
            resource: verdict.resource.as_str().into(),
            cause: verdict.cause.as_str().into(),
            harm: HarmDocument {
                seconds: verdict.harm.seconds(),
                fraction: number(verdict.fraction),
            },
            culprits: verdict.culprits.iter().map(CulpritDocument::from).collect(),
            unexplained: number(verdict.unexplained),
            confidence: number(verdict.confidence),
            evidence: verdict.evidence.clone(),
            advice: verdict.advice.clone(),
            facts: verdict
                .facts
                .iter()
                .filter_map(|(k, v)| Some(((*k).to_owned(), FactValue::of(v)?)))
                .collect(),
        }
    }
}

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarmDocument {
    /// Task-seconds lost in the window.
    pub seconds: f64,
    /// Lost / (lost + got), 0 to 1.
    pub fraction: f64,
}

/// Who caused it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CulpritDocument {
    /// Who.
    pub party: PartyDocument,
    /// Task-seconds of the victim's loss that it caused.
    pub seconds: f64,
    /// Its share of the harm, 0 to 1.
    pub share: f64,
}

impl From<&Culprit> for CulpritDocument {
    fn from(culprit: &Culprit) -> CulpritDocument {
        CulpritDocument {
            party: PartyDocument::from(&*culprit.party),
            seconds: culprit.time.seconds(),
            share: number(culprit.share),
        }
    }
}

/// A number or a word that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FactValue {
    /// A number, in the unit its name says.
    Number(f64),
    /// A word.
    Text(String),
}

impl FactValue {
    pub(super) fn of(fact: &Fact) -> Option<FactValue> {
        match fact {
            Fact::Number(value) => finite(*value).map(FactValue::Number),
            Fact::Text(text) => Some(FactValue::Text(text.clone())),
        }
    }
}

/// A party that looks guilty and is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClearedDocument {
    /// Who.
    pub party: PartyDocument,
    /// Of what resource.
    pub of: Word,
    /// Why.
    pub why: String,
}

impl From<&Cleared> for ClearedDocument {
    fn from(cleared: &Cleared) -> ClearedDocument {
        ClearedDocument {
            party: PartyDocument::from(&*cleared.party),
            of: cleared.of.as_str().into(),
            why: cleared.why.clone(),
        }
    }
}

/// One party's waits for a CPU. `blame`, `others_seconds` and `unexplained_seconds` add up to
/// `wait_seconds`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitDocument {
    /// Who waited.
    pub victim: PartyDocument,
    /// Waited on run queues, summed over tasks.
    pub wait_seconds: f64,
    /// Waited because a quota was used up; not in `wait_seconds`.
    pub throttled_seconds: f64,
    /// The part of `wait_seconds` that nobody can be named for.
    pub unexplained_seconds: f64,
    /// Who ran meanwhile, the victim's own threads included; the most first.
    pub blame: Vec<BlamedDocument>,
    /// What those took who are not listed.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub others_seconds: f64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_nought(seconds: &f64) -> bool {
    *seconds == 0.0
}

impl WaitDocument {
    /// `None` where the row names a party that the window does not have.
    fn new(row: &PartyWait, window: &WindowUse) -> Option<WaitDocument> {
        let party = |index: usize| window.parties.get(index).map(|user| &*user.party);
        let mut blame = row.blame.clone();
        blame.sort_by_key(|(_, time)| Reverse(*time));
        let others = blame.split_off(blame.len().min(MOST_BLAMED));
        Some(WaitDocument {
            victim: PartyDocument::from(party(row.party)?),
            wait_seconds: row.wait.seconds(),
            throttled_seconds: row.throttled.seconds(),
            unexplained_seconds: row.unexplained.seconds(),
            blame: blame
                .iter()
                .filter_map(|(index, time)| Some(BlamedDocument::new(party(*index)?, *time)))
                .collect(),
            others_seconds: others.iter().map(|(_, time)| time.seconds()).sum(),
        })
    }
}

/// Who ran while a victim waited, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlamedDocument {
    /// Who ran.
    pub party: PartyDocument,
    /// Task-seconds of the victim's wait.
    pub seconds: f64,
}

impl BlamedDocument {
    fn new(party: &Party, time: Nanos) -> BlamedDocument {
        BlamedDocument {
            party: PartyDocument::from(party),
            seconds: time.seconds(),
        }
    }
}
