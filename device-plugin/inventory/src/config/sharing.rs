//! How many containers may have a device at the same time: declared, and never silent.

use crate::device::{Device, Shares};
use crate::families::FAMILIES;
use serde::Deserialize;
use std::num::NonZeroU32;

/// The most slots of a device. The kubelet and CDI both list each of them.
const SLOTS_LIMIT: u32 = 1024;

/// What a statement on sharing is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One device, by its id or another name of it.
    Device(String),
    /// All devices of a model, exactly as the inventory writes it.
    Model(String),
    /// All devices of a family.
    Family(String),
}

impl Subject {
    /// Of the three keys, of which one alone may be written.
    pub(super) fn of(
        device: Option<String>,
        model: Option<String>,
        family: Option<String>,
    ) -> Result<Subject, String> {
        let subject = match (device, model, family) {
            (Some(device), None, None) => Subject::Device(device),
            (None, Some(model), None) => Subject::Model(model),
            (None, None, Some(family)) => Subject::Family(family),
            _ => return Err("wanted is one of `device`, `model` and `family`".to_owned()),
        };
        let (Subject::Device(name) | Subject::Model(name) | Subject::Family(name)) = &subject;
        if name.is_empty() {
            return Err("an empty name means no device".to_owned());
        }
        if let Subject::Family(name) = &subject
            && !FAMILIES.iter().any(|family| family.name() == name)
        {
            let known: Vec<_> = FAMILIES.iter().map(|family| family.name()).collect();
            return Err(format!(
                "there is no family {name:?}; there are {}",
                known.join(", ")
            ));
        }
        Ok(subject)
    }

    /// How particularly it means `device`; 0 where it does not.
    pub(super) fn rank(&self, device: &Device) -> u8 {
        match self {
            Subject::Device(name) if device.is_called(name) => 3,
            Subject::Model(model) if device.model.as_ref() == Some(model) => 2,
            Subject::Family(family) if device.family == family => 1,
            _ => 0,
        }
    }
}

/// A statement on sharing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Which devices.
    pub subject: Subject,
    /// How many may use each at the same time.
    pub slots: NonZeroU32,
}

/// Sharing that the driver refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the configuration shares {id} among {declared}, and its driver lets {allowed} use it at a time: \
     lower `slots`"
)]
pub struct SharingError {
    /// The device.
    pub id: String,
    /// The slots that are declared.
    pub declared: u32,
    /// The users that the driver allows.
    pub allowed: u32,
}

/// A statement as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    device: Option<String>,
    model: Option<String>,
    family: Option<String>,
    slots: u32,
}

impl TryFrom<Written> for Sharing {
    type Error = String;

    fn try_from(written: Written) -> Result<Sharing, String> {
        let subject = Subject::of(written.device, written.model, written.family)?;
        let slots = NonZeroU32::new(written.slots)
            .filter(|slots| slots.get() <= SLOTS_LIMIT)
            .ok_or_else(|| format!("`slots` is {}; wanted is 1 to {SLOTS_LIMIT}", written.slots))?;
        Ok(Sharing { subject, slots })
    }
}

/// What is declared for `device`.
pub(super) fn slots(all: &[Sharing], device: &Device) -> Result<Option<u32>, SharingError> {
    let Some(sharing) = all
        .iter()
        .filter(|sharing| sharing.subject.rank(device) > 0)
        .max_by_key(|sharing| sharing.subject.rank(device))
    else {
        return Ok(None);
    };
    let declared = sharing.slots.get();
    let allowed = match device.shares {
        Shares::Any => return Ok(Some(declared)),
        Shares::One => 1,
        Shares::UpTo(most) => most,
    };
    if declared > allowed {
        return Err(SharingError {
            id: device.id.clone(),
            declared,
            allowed,
        });
    }
    Ok(Some(declared))
}
