//! The JSON documents of the command line, schema names `dunnage.*/1`.
//!
//! Other programs rely on these field names: new ones may come, none goes or changes its meaning
//! within `/1`. What could not be read is left out, so that absent is never zero. Durations are in
//! seconds, sizes in bytes, shares between 0 and 1, times RFC 3339 in UTC. Names stand as the engine
//! shows them: JSON escapes control characters, a reader that prints them must escape again.
//!
//! Every document can be read back, unknown fields being passed over.

mod blame;
mod check;
#[cfg(test)]
mod contract;
mod devices;
mod doctor;
mod part;
mod ps;
mod run;
mod time;
mod why;

pub use blame::{
    BlameDocument, BlamedDocument, ClearedDocument, CulpritDocument, FactValue, HarmDocument,
    VerdictDocument, WaitDocument,
};
pub use check::{
    CheckedDeviceDocument, CheckedHostDocument, ClauseDocument, CompatibilityDocument,
    ImageDocument,
};
pub use devices::{
    CdiDocument, DeviceProcessDocument, DevicesDocument, DriverDocument, HolderDocument,
    LinkDocument, ListedDeviceDocument, NodeDocument, PciDocument, PeerDocument, SharesDocument,
};
pub use doctor::{CheckDocument, DoctorDocument};
pub use part::{
    GapDocument, GovernorDocument, HostDocument, PartyDocument, PodDocument, PressureDocument,
    WindowDocument,
};
pub use ps::{
    AcceleratorDocument, CpuDocument, DeviceDocument, DiskDocument, MachineCpuDocument,
    MachineDocument, MemoryDocument, NetworkDocument, PartyUseDocument, PsDocument, by_cpu,
};
pub use run::{
    CircumstancesDocument, RunDocument, RunEndDocument, RunLossDocument, RunVerdictDocument,
};
pub use time::rfc3339;
pub use why::{AnswerDocument, MetricDocument, MismatchDocument, WhyDocument};

use blame::coverage_words;
use std::borrow::Cow;

/// A word of the contract, borrowed when written and owned when read.
pub type Word = Cow<'static, str>;

/// A number that JSON can hold: not finite gives nothing.
fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// A number for a field that the contract always has. The pure functions before never make one that
/// is not finite; should one come all the same, 0 keeps the document readable.
fn number(number: f64) -> f64 {
    finite(number).unwrap_or(0.0)
}
