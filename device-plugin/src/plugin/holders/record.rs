//! Who holds each device of the plugin, and who held it before. Pure.
//!
//! The kubelet asks whether a container may start when it has given it the device already: whoever left
//! a process behind is the one before.

use super::{Holder, Holders};
use std::collections::BTreeMap;

/// What is known of the devices that are listed; nothing else is kept.
#[derive(Clone, Debug, Default)]
pub struct Record {
    by_device: BTreeMap<(String, String), Known>,
    /// Whether the kubelet told anything yet.
    told: bool,
}

#[derive(Clone, Debug, Default)]
struct Known {
    now: Vec<Holder>,
    before: Vec<Holder>,
}

impl Record {
    /// What the kubelet says now of the devices `listed`, by resource and id.
    pub fn learn<'l>(
        &mut self,
        holders: &Holders,
        listed: impl Iterator<Item = (&'l str, &'l str)>,
    ) {
        let mut old = std::mem::take(&mut self.by_device);
        for (resource, id) in listed {
            let key = (resource.to_owned(), id.to_owned());
            let mut known = old.remove(&key).unwrap_or_default();
            let now = holders.of(resource, id).to_vec();
            if now != known.now && !known.now.is_empty() {
                known.before = std::mem::take(&mut known.now);
            }
            known.now = now;
            self.by_device.insert(key, known);
        }
        self.told = true;
    }

    /// Who has a device and who had it before, in words; `None` where nobody is known.
    #[must_use]
    pub fn told(&self, resource: &str, id: &str) -> Option<String> {
        let key = (resource.to_owned(), id.to_owned());
        let known = self.by_device.get(&key)?;
        let names = |holders: &[Holder]| {
            let names: Vec<String> = holders.iter().take(4).map(Holder::told).collect();
            names.join(" and ")
        };
        match (&*known.now, &*known.before) {
            ([], []) => None,
            ([], before) => Some(format!("the kubelet gave it last to {}", names(before))),
            (now, []) => Some(format!("the kubelet gave it to {}", names(now))),
            (now, before) => Some(format!(
                "the kubelet gave it to {}, and before to {}",
                names(now),
                names(before)
            )),
        }
    }

    /// How many devices of a resource somebody holds; `None` before the kubelet told anything.
    #[must_use]
    pub fn held(&self, resource: &str) -> Option<u64> {
        let of_resource = self
            .by_device
            .iter()
            .filter(|((of, _), known)| of == resource && !known.now.is_empty());
        self.told
            .then(|| u64::try_from(of_resource.count()).unwrap_or(u64::MAX))
    }
}
