//! What schedulers call a device, where the operator wants another name than the usual one.

use super::sharing::Subject;
use crate::device::Device;
use serde::Deserialize;

/// The longest name, with the `requests.` that a quota puts in front.
const NAME_LIMIT: usize = 253 + 1 + 63;

/// Another name for the resource that some devices belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Which devices.
    pub subject: Subject,
    /// `acme.com/gpu`.
    pub name: String,
}

/// A name as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    device: Option<String>,
    model: Option<String>,
    family: Option<String>,
    name: String,
}

impl TryFrom<Written> for Resource {
    type Error = String;

    fn try_from(written: Written) -> Result<Resource, String> {
        let subject = Subject::of(written.device, written.model, written.family)?;
        let name = written.name;
        let parts = name.split_once('/');
        let whole = parts.is_some_and(|(domain, rest)| !domain.is_empty() && !rest.is_empty());
        if !whole || name.len() > NAME_LIMIT {
            return Err(format!(
                "`name` is {name:?}; wanted is a name such as acme.com/gpu"
            ));
        }
        Ok(Resource { subject, name })
    }
}

/// What `device` is called; what names it goes before its model, and that before its family; of
/// several alike the last one holds.
pub(super) fn name<'r>(all: &'r [Resource], device: &Device) -> Option<&'r str> {
    let meant = all.iter().filter(|one| one.subject.rank(device) > 0);
    meant
        .max_by_key(|one| one.subject.rank(device))
        .map(|one| one.name.as_str())
}
