//! `dunnage.run/1`: what a command lost to others, and whether its result can be trusted.

use super::part::{GapDocument, HostDocument, PartyDocument};
use super::time::rfc3339;
use super::{BlamedDocument, HarmDocument, VerdictDocument, Word, coverage_words, number};
use crate::run::{Circumstances, RunEnd, RunLoss, RunReport, RunVerdict};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `dunnage run --json FILE` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// `dunnage.run/1`.
    pub schema: Word,
    /// The host.
    pub host: HostDocument,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How it ended.
    pub end: RunEndDocument,
    /// When it began, RFC 3339.
    pub start: String,
    /// From its `exec` to its end.
    pub seconds: f64,
    /// The cgroup of its own; left out where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// `clean`, `disturbed` or `unknown`.
    pub verdict: Word,
    /// How much it was disturbed: the largest `fraction` of `lost`, 0 to 1.
    pub disturbance: f64,
    /// What was allowed, 0 to 1.
    pub max_disturbance: f64,
    /// CPU time it got.
    pub ran_seconds: f64,
    /// Time lost to others, a resource an entry, the largest fraction first.
    pub lost: Vec<RunLossDocument>,
    /// How well each resource was watched, in the worst window.
    pub coverage: BTreeMap<Word, Word>,
    /// In how many windows it was watched.
    pub windows: usize,
    /// The verdicts about it, as of `dunnage blame`.
    pub verdicts: Vec<RunVerdictDocument>,
    /// What else can make one run unlike the next.
    pub circumstances: CircumstancesDocument,
    /// The commands of its processes that ran on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// What could not be seen.
    pub gaps: Vec<GapDocument>,
}

impl RunDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.run/1";

    /// The document of a run of which `bound` was allowed to be lost.
    #[must_use]
    pub fn new(report: &RunReport, bound: f64) -> RunDocument {
        RunDocument {
            schema: RunDocument::SCHEMA.into(),
            host: HostDocument::from(&report.host),
            command: report.command.clone(),
            end: RunEndDocument::from(report.end),
            start: rfc3339(report.start_unix),
            seconds: report.length.seconds(),
            cgroup: report.cgroup.clone(),
            verdict: report.trust(bound).as_str().into(),
            disturbance: number(report.disturbance()),
            max_disturbance: number(bound),
            ran_seconds: report.ran.seconds(),
            lost: report
                .losses
                .iter()
                .map(|loss| RunLossDocument::new(loss, report.length))
                .collect(),
            coverage: coverage_words(&report.coverage),
            windows: report.windows,
            verdicts: report
                .verdicts
                .iter()
                .map(RunVerdictDocument::from)
                .collect(),
            circumstances: CircumstancesDocument::from(&report.circumstances),
            left: report.left.clone(),
            gaps: report.gaps.iter().map(GapDocument::from).collect(),
        }
    }
}

/// How a command ended: with a code or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEndDocument {
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The signal's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
}

impl From<RunEnd> for RunEndDocument {
    fn from(end: RunEnd) -> RunEndDocument {
        let (code, signal) = match end {
            RunEnd::Exited(code) => (Some(code), None),
            RunEnd::Killed(signal) => (None, Some(signal)),
        };
        RunEndDocument { code, signal }
    }
}

/// Time lost to others on one resource; `to` and `unexplained_seconds` add up to `seconds`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLossDocument {
    /// `cpu`, `cache`, `disk`, `memory`, `network`, `gpu`, `fpga`.
    pub resource: Word,
    /// Task-seconds lost.
    pub seconds: f64,
    /// Lost, of what the run wanted of the resource or of its length, whichever is more: 0 to 1.
    pub fraction: f64,
    /// To whom, the most first; also to those who stayed within their share.
    pub to: Vec<BlamedDocument>,
    /// The part nobody can be named for.
    pub unexplained_seconds: f64,
}

impl RunLossDocument {
    fn new(loss: &RunLoss, length: Nanos) -> RunLossDocument {
        RunLossDocument {
            resource: loss.resource.as_str().into(),
            seconds: loss.lost.seconds(),
            fraction: number(loss.fraction(length)),
            to: loss
                .to
                .iter()
                .map(|(party, time)| BlamedDocument {
                    party: PartyDocument::from(&**party),
                    seconds: time.seconds(),
                })
                .collect(),
            unexplained_seconds: loss.unexplained.seconds(),
        }
    }
}

/// A verdict that held in some windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunVerdictDocument {
    /// In how many windows it held.
    pub windows: usize,
    /// The harm of all of them; the fraction is that of the worst.
    pub total: HarmDocument,
    /// The one with most harm.
    pub worst: VerdictDocument,
}

impl From<&RunVerdict> for RunVerdictDocument {
    fn from(verdict: &RunVerdict) -> RunVerdictDocument {
        RunVerdictDocument {
            windows: verdict.windows,
            total: HarmDocument {
                seconds: verdict.harm.seconds(),
                fraction: number(verdict.worst.fraction),
            },
            worst: VerdictDocument::from(&verdict.worst),
        }
    }
}

/// What can make one run unlike the next. What could not be seen is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CircumstancesDocument {
    /// CPU time in user mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_seconds: Option<f64>,
    /// CPU time in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_seconds: Option<f64>,
    /// Waited for a CPU behind its own threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_for_itself_seconds: Option<f64>,
    /// Held back by a quota, its own or a parent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_seconds: Option<f64>,
    /// Steal of the whole machine meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_steal_seconds: Option<f64>,
    /// Page faults that had to wait for a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
    /// What the page cache did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_from_disk_bytes: Option<u64>,
    /// Came in again shortly after it was thrown out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refaulted_bytes: Option<u64>,
    /// How often a thread gave up its CPU to wait for something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voluntary_switches: Option<u64>,
    /// How often a thread was taken off its CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub involuntary_switches: Option<u64>,
    /// How often a thread moved to another CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<u64>,
    /// The lowest clock frequency of a CPU that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowest_hertz: Option<u64>,
    /// The highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_hertz: Option<u64>,
}

impl From<&Circumstances> for CircumstancesDocument {
    fn from(seen: &Circumstances) -> CircumstancesDocument {
        CircumstancesDocument {
            user_seconds: seen.user.map(|time| time.seconds()),
            system_seconds: seen.system.map(|time| time.seconds()),
            waited_for_itself_seconds: seen.waited_for_itself.map(|time| time.seconds()),
            throttled_seconds: seen.throttled.map(|time| time.seconds()),
            machine_steal_seconds: seen.steal.map(|time| time.seconds()),
            major_faults: seen.major_faults,
            read_from_disk_bytes: seen.read_from_disk.map(|bytes| bytes.0),
            refaulted_bytes: seen.refaulted.map(|bytes| bytes.0),
            voluntary_switches: seen.voluntary_switches,
            involuntary_switches: seen.involuntary_switches,
            migrations: seen.migrations,
            lowest_hertz: seen.frequency.map(|(lowest, _)| lowest),
            highest_hertz: seen.frequency.map(|(_, highest)| highest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gap::Gap;
    use crate::observation::{CgroupLayout, Host};
    use crate::party::Party;
    use crate::units::Nanos;
    use crate::verdict::{Coverage, Resource};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn report() -> RunReport {
        let seconds = Nanos::from_seconds;
        RunReport {
            command: vec!["make".into(), "bench".into()],
            host: Host {
                name: "n1".into(),
                kernel: "6.18.0".into(),
                cpus: 2,
                cgroup: CgroupLayout::V2,
            },
            start_unix: Nanos(1_795_244_400_000_000_000),
            length: seconds(12.0),
            windows: 3,
            end: RunEnd::Killed(9),
            cgroup: None,
            ran: seconds(9.0),
            losses: vec![RunLoss {
                resource: Resource::Cpu,
                lost: seconds(1.0),
                had: seconds(9.0),
                to: vec![(Arc::new(Party::kernel()), seconds(0.75))],
                unexplained: seconds(0.25),
            }],
            coverage: BTreeMap::from([(Resource::Cpu, Coverage::Exact)]),
            verdicts: Vec::new(),
            circumstances: Circumstances {
                migrations: Some(0),
                frequency: Some((1, 2)),
                ..Circumstances::default()
            },
            left: vec!["daemon".into()],
            gaps: vec![Gap::new("cgroup of its own", "not allowed")],
        }
    }

    #[test]
    fn the_document_has_the_fields_of_its_schema_and_reads_back() {
        let document = RunDocument::new(&report(), 0.02);
        let value = serde_json::to_value(&document).unwrap();
        assert_eq!(value["schema"], "dunnage.run/1");
        assert_eq!(value["verdict"], "disturbed");
        // One of twelve seconds.
        assert_eq!(value["disturbance"], 1.0 / 12.0);
        assert_eq!(value["end"], json!({"signal": 9}));
        assert_eq!(value["lost"][0]["to"][0]["seconds"], 0.75);
        assert_eq!(value["lost"][0]["unexplained_seconds"], 0.25);
        assert_eq!(
            value["circumstances"],
            json!({"migrations": 0, "lowest_hertz": 1, "highest_hertz": 2})
        );
        assert_eq!(value["coverage"]["disk"], "none");
        assert_eq!(value.get("cgroup"), None::<&Value>);
        assert_eq!(
            serde_json::from_value::<RunDocument>(value).unwrap(),
            document
        );
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(RunEnd::Exited(3).code(), 3);
        assert_eq!(RunEnd::Killed(9).code(), 137);
    }
}
