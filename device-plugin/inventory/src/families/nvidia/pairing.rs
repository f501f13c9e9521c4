//! Which GPU of NVML is which one on the bus.

use super::files::{Card, Files, order};
use super::nvml::{Answer, Failure, Gpu};
use crate::pci;
use dunnage_model::gap::Gap;

/// One GPU, as both ways know it; one of them is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    /// On the bus.
    pub(super) card: Option<&'a Card>,
    /// In NVML.
    pub(super) gpu: Option<&'a Gpu>,
    /// What asking NVML came to.
    pub(super) library: Library<'a>,
    /// NVML's index, or what it would be.
    pub(super) index: Option<u32>,
}

/// What asking NVML about a GPU came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Library<'a> {
    /// It was not asked.
    Silent,
    /// It could not be used.
    Failed(&'a Failure),
    /// It knows this GPU.
    Knows,
    /// It lists others, and not this one.
    Misses,
}

impl Pair<'_> {
    /// The address as sysfs writes it.
    pub(super) fn address(&self) -> Option<String> {
        match self.card {
            Some(card) => Some(card.address.clone()),
            None => self.gpu?.address.as_deref().and_then(sysfs_address),
        }
    }

    /// The number of `/dev/nvidia<minor>`; the kernel's word before the library's.
    pub(super) fn minor(&self) -> Option<u32> {
        let told = |card: &Card| card.information.as_ref()?.minor;
        self.card
            .and_then(told)
            .or_else(|| self.gpu.and_then(|gpu| gpu.minor))
    }

    /// Whether NVIDIA's own driver has it.
    pub(super) fn is_driven(&self) -> bool {
        self.card.is_none_or(Card::is_driven)
    }
}

/// All GPUs, in NVML's order, which is that of their addresses; those behind them that it does not
/// count. So the place in the list is the index, as long as the driver runs them all.
pub(super) fn pairs<'a>(
    files: &'a Files,
    answer: Option<&'a Result<Answer, Failure>>,
    gaps: &mut Vec<Gap>,
) -> Vec<Pair<'a>> {
    let mut free: Vec<&Gpu> = match answer {
        Some(Ok(answer)) => answer.gpus.iter().collect(),
        _ => Vec::new(),
    };
    let mut pairs: Vec<Pair<'a>> = files
        .cards
        .iter()
        .map(|card| {
            let place = free.iter().position(|gpu| is_at(gpu, &card.address));
            let gpu = place.filter(|_| card.is_driven()).map(|i| free.remove(i));
            Pair {
                card: Some(card),
                gpu,
                library: match (answer, gpu) {
                    (None, _) => Library::Silent,
                    (Some(Err(failure)), _) => Library::Failed(failure),
                    (Some(Ok(_)), Some(_)) => Library::Knows,
                    (Some(Ok(_)), None) => Library::Misses,
                },
                index: gpu.map(|gpu| gpu.index),
            }
        })
        .collect();
    name_the_lost(&mut pairs, &mut free, files.speaks);
    for gpu in free {
        // A GPU without an address that failed cannot be told from the others.
        if gpu.address.as_deref().and_then(sysfs_address).is_none() && gpu.uuid.is_none() {
            let why = gpu.failure.as_deref().unwrap_or("it has no address");
            gaps.push(Gap::new(format!("NVML GPU {}", gpu.index), why));
            continue;
        }
        pairs.push(Pair {
            card: None,
            gpu: Some(gpu),
            library: Library::Knows,
            index: Some(gpu.index),
        });
    }
    if !matches!(answer, Some(Ok(_))) {
        count(&mut pairs);
    }
    pairs.sort_by_key(|pair| {
        let place = pair.address().as_deref().map(order);
        (pair.index.is_none(), pair.index, !pair.is_driven(), place)
    });
    pairs
}

/// NVML gives no address for a GPU that it cannot open. It counts in the order of the addresses: where
/// as many failed as are missing, they are the same.
fn name_the_lost<'a>(pairs: &mut [Pair<'a>], free: &mut Vec<&'a Gpu>, speaks: bool) {
    let failed: Vec<&Gpu> = free
        .iter()
        .copied()
        .filter(|gpu| gpu.failure.is_some() && gpu.address.is_none())
        .collect();
    // The driver does not count those that it could not start or that the operator excluded.
    let counts = |card: &Card| match &card.information {
        Some(information) => !information.excluded,
        None => !speaks,
    };
    let missing: Vec<&mut Pair<'a>> = pairs
        .iter_mut()
        .filter(|pair| matches!(pair.library, Library::Misses))
        .filter(|pair| {
            pair.card
                .is_some_and(|card| card.is_driven() && counts(card))
        })
        .collect();
    if missing.len() != failed.len() {
        return;
    }
    for (pair, gpu) in missing.into_iter().zip(failed) {
        pair.gpu = Some(gpu);
        pair.index = Some(gpu.index);
        pair.library = Library::Knows;
        free.retain(|other| !std::ptr::eq(*other, gpu));
    }
}

/// Without NVML: the indices that it would give, by the order of the addresses of the GPUs that the
/// driver runs.
fn count(pairs: &mut [Pair<'_>]) {
    let mut next = 0;
    for pair in pairs {
        let runs = |card: &Card| card.information.as_ref().is_some_and(|i| !i.excluded);
        if pair.card.is_some_and(runs) {
            pair.index = Some(next);
            next += 1;
        }
    }
}

fn is_at(gpu: &Gpu, address: &str) -> bool {
    gpu.address.as_deref().and_then(sysfs_address).as_deref() == Some(address)
}

/// `00000000:65:00.0` or `0000:65:00.0` as sysfs writes it: at least four digits of domain, in lower
/// case.
pub(super) fn sysfs_address(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    if !pci::is_address(&text) {
        return None;
    }
    let (domain, rest) = text.split_once(':')?;
    Some(format!("{:04x}:{rest}", pci::hexadecimal(domain)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_nvml_become_those_of_sysfs() {
        assert_eq!(sysfs_address("00000000:C1:00.0").unwrap(), "0000:c1:00.0");
        assert_eq!(sysfs_address("00010000:01:00.0").unwrap(), "10000:01:00.0");
        assert_eq!(sysfs_address("0035:04:00.0").unwrap(), "0035:04:00.0");
        for bad in ["", "N/A", "C1:00.0", "../../0000:C1:00.0"] {
            assert_eq!(sysfs_address(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_its_own(domain in any::<u32>(), bus in any::<u8>(), slot in 0_u8..32, function in 0_u8..8) {
            let sysfs = format!("{domain:04x}:{bus:02x}:{slot:02x}.{function}");
            let nvml = format!("{domain:08X}:{bus:02X}:{slot:02X}.{function}");
            prop_assert_eq!(sysfs_address(&nvml), Some(sysfs));
        }
    }
}
