//! The comparisons: a file a subject. Each is a pure function of the image's facts, the host's facts
//! and a device, and gives clauses.
//!
//! A clause says no only where something is known to be missing, and yes only where what is wanted and
//! what is there are both known. Everything else is unknown: a wrong yes costs more than a shrug.

mod architecture;
pub(crate) mod asks;
mod capability;
mod cuda;
mod cuda_releases;
mod device;
mod device_code;
mod driver_files;
mod fpga;
mod kernel;
mod level_zero;
mod libc;
mod media;
mod nfd;
mod permissions;
mod requirements;
mod rocm;

use super::facts::ImageFacts;
use super::host::HostFacts;
use asks::{Ask, Stack};
use dunnage_inventory::{Device, Inventory};

/// The answer to one clause, or to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It will not work.
    No,
    /// It cannot be told.
    Unknown,
    /// It works.
    Yes,
}

impl Verdict {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::No => "no",
            Verdict::Unknown => "unknown",
            Verdict::Yes => "yes",
        }
    }
}

/// One thing that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// In words.
    pub what: String,
    /// The answer.
    pub verdict: Verdict,
    /// Whether it counts for the whole.
    pub matters: bool,
    /// What the image wants.
    pub wanted: Option<String>,
    /// Where in the image that is said.
    pub wanted_by: Option<String>,
    /// What the host has.
    pub there: Option<String>,
    /// Where on the host that is said.
    pub there_by: Option<String>,
    /// What would help.
    pub remedy: Option<String>,
}

impl Clause {
    /// A clause whose answer is not known yet.
    pub(crate) fn new(what: impl Into<String>) -> Clause {
        Clause {
            what: what.into(),
            verdict: Verdict::Unknown,
            matters: true,
            wanted: None,
            wanted_by: None,
            there: None,
            there_by: None,
            remedy: None,
        }
    }

    fn wanted(mut self, wanted: impl Into<String>, by: impl Into<String>) -> Clause {
        self.wanted = Some(wanted.into());
        self.wanted_by = Some(by.into());
        self
    }

    fn there(mut self, there: impl Into<String>) -> Clause {
        self.there = Some(there.into());
        self
    }

    fn there_by(mut self, by: impl Into<String>) -> Clause {
        self.there_by = Some(by.into());
        self
    }

    fn beside(mut self) -> Clause {
        self.matters = false;
        self
    }

    fn yes(mut self) -> Clause {
        self.verdict = Verdict::Yes;
        self
    }

    fn no(mut self, remedy: impl Into<String>) -> Clause {
        self.verdict = Verdict::No;
        self.remedy = Some(remedy.into());
        self
    }

    fn unknown(mut self, remedy: impl Into<String>) -> Clause {
        self.verdict = Verdict::Unknown;
        self.remedy = Some(remedy.into());
        self
    }
}

/// The answer of the whole: no where one is no, yes where all that matter are yes.
#[must_use]
pub fn verdict(clauses: &[Clause]) -> Verdict {
    let answers = clauses.iter().filter(|clause| clause.matters);
    answers
        .map(|clause| clause.verdict)
        .min()
        .unwrap_or(Verdict::Yes)
}

/// The clauses of one device, or of none.
pub struct Outcome<'i> {
    /// The device that they speak of.
    pub device: Option<&'i Device>,
    /// What was compared.
    pub clauses: Vec<Clause>,
}

/// Devices that are tried one after the other, at most.
const MAX_DEVICES: usize = 256;

/// Compares an image with a host: with the device `wanted`, or with whichever answers best.
#[must_use]
pub fn compare<'i>(
    image: &ImageFacts,
    host: &HostFacts,
    inventory: &'i Inventory,
    wanted: Option<&'i Device>,
) -> Outcome<'i> {
    let mut clauses = architecture::clauses(image, host);
    clauses.extend(nfd::clauses(image, host));
    let asks = asks::of(image);
    if asks.is_empty() {
        return Outcome {
            device: wanted,
            clauses,
        };
    }
    let candidates: Vec<&Device> = match wanted {
        Some(device) => vec![device],
        None => inventory.devices.iter().take(MAX_DEVICES).collect(),
    };
    let mut best: Option<(Verdict, Outcome<'i>)> = None;
    for device in candidates {
        let of_device = of_device(image, host, device, &asks);
        let answer = verdict(&of_device);
        if !of_device.is_empty() && best.as_ref().is_none_or(|(old, _)| answer > *old) {
            let outcome = Outcome {
                device: Some(device),
                clauses: of_device,
            };
            best = Some((answer, outcome));
        }
    }
    match best {
        Some((_, outcome)) => {
            clauses.extend(outcome.clauses);
            clauses.extend(permissions::engine(host));
            Outcome {
                device: outcome.device,
                clauses,
            }
        }
        None => {
            clauses.extend(device::none(host, inventory, wanted, &asks));
            Outcome {
                device: wanted,
                clauses,
            }
        }
    }
}

/// The clauses for a device that serves something the image asks for; none where it does not.
fn of_device(image: &ImageFacts, host: &HostFacts, device: &Device, asks: &[Ask]) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for ask in asks.iter().filter(|ask| ask.stack.is_served_by(device)) {
        let first = clauses.is_empty();
        let of_stack = match ask.stack {
            Stack::Cuda => cuda_clauses(image, host, device, ask),
            Stack::Rocm => rocm::clauses(image, host, device, ask),
            Stack::LevelZero | Stack::IntelNpu => level_zero::clauses(image, host, device, ask),
            Stack::Media => media::clauses(image, device, ask),
            Stack::OpenCl => media::opencl(image, device, ask),
            Stack::Dfl | Stack::Xrt | Stack::Habana | Stack::Qat | Stack::Dsa => {
                fpga::clauses(image, device, ask)
            }
        };
        if first {
            clauses.extend(device::clauses(device, ask));
            clauses.extend(permissions::nodes(device));
        }
        clauses.extend(of_stack);
    }
    clauses
}

fn cuda_clauses(image: &ImageFacts, host: &HostFacts, device: &Device, ask: &Ask) -> Vec<Clause> {
    let mut clauses = kernel::nvidia(host, device, ask);
    clauses.extend(cuda::nodes(image, device, ask));
    clauses.extend(cuda::driver(image, host, device));
    clauses.extend(requirements::clauses(image, host, device));
    clauses.extend(driver_files::clauses(image, host, ask));
    clauses.extend(libc::clauses(image, host, ask));
    clauses.extend(device_code::nvidia(image, host, device));
    clauses
}

#[cfg(test)]
mod tests;
