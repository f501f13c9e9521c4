//! Loads `lifecycle.bpf.c` and reads its ring buffer.

use super::OBJECT;
use super::registry::Event;
use crate::sources::loader::loader;
use crate::sources::tracepoint::{AttachError, attach};
use aya::maps::{Array, MapData, RingBuf};
use aya::{Btf, Ebpf, EbpfError};

/// Why cgroups that are made and removed between two walks stay unnamed.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The object was refused.
    #[error("loading the program for cgroup events failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The kernel refused the program at its tracepoint.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A map is missing from the object.
    #[error("the program for cgroup events has no map {0}")]
    Map(&'static str),
}

/// The loaded program.
pub struct Lifecycle {
    events: RingBuf<MapData>,
    lost: Array<MapData, u64>,
    _ebpf: Ebpf,
}

impl Lifecycle {
    /// Loads and attaches, with the kernel's types; events queue up in the kernel from now on.
    ///
    /// # Errors
    /// Where the kernel refuses the program (CAP_BPF and CAP_PERFMON are needed).
    pub fn load(btf: &Btf) -> Result<Lifecycle, LifecycleError> {
        let mut ebpf = loader(btf)
            .load(OBJECT)
            .map_err(|e| LifecycleError::Load(Box::new(e)))?;
        for (program, tracepoint) in [("on_mkdir", "cgroup_mkdir"), ("on_rmdir", "cgroup_rmdir")] {
            attach(&mut ebpf, btf, program, tracepoint)?;
        }
        let events = ebpf
            .take_map("events")
            .and_then(|m| RingBuf::try_from(m).ok());
        let lost = ebpf.take_map("lost").and_then(|m| Array::try_from(m).ok());
        Ok(Lifecycle {
            events: events.ok_or(LifecycleError::Map("events"))?,
            lost: lost.ok_or(LifecycleError::Map("lost"))?,
            _ebpf: ebpf,
        })
    }

    /// All events since the last call.
    pub fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(item) = self.events.next() {
            events.extend(parse(&item));
        }
        events
    }

    /// Events that found the buffer full, ever.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.get(&0, 0).unwrap_or(0)
    }
}

/// `struct event` of the C file: id, hierarchy, what, length, path with its final zero.
fn parse(bytes: &[u8]) -> Option<Event> {
    const PATH_CUT_AT: u16 = 1024;
    let id = u64::from_le_bytes(bytes.get(0..8)?.try_into().ok()?);
    let hierarchy = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let what = u16::from_le_bytes(bytes.get(12..14)?.try_into().ok()?);
    let length = u16::from_le_bytes(bytes.get(14..16)?.try_into().ok()?);
    let path = bytes.get(16..16 + usize::from(length.checked_sub(1)?))?;
    let path = (length < PATH_CUT_AT).then(|| String::from_utf8_lossy(path).into());
    Some(Event {
        id,
        hierarchy,
        removed: what == 2,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_is_read_as_the_program_writes_it() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&42_u64.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&1_u16.to_le_bytes());
        bytes.extend_from_slice(&5_u16.to_le_bytes());
        bytes.extend_from_slice(b"/a/b\0");
        let event = Event {
            id: 42,
            hierarchy: 0,
            removed: false,
            path: Some("/a/b".into()),
        };
        assert_eq!(parse(&bytes), Some(event));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
