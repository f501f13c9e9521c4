//! The flat tables of the eBPF programs, mapped into this process: one way for every source.

use crate::sys::{MapError, MappedArray};
use aya::Ebpf;
use aya::maps::Map;

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The object and its reader do not fit together.
    #[error("the map {0} of the program is missing or has another layout than its reader")]
    Layout(&'static str),
    /// It could not be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
}

/// Maps the table `name` of `elements` elements of `words` words of 8 bytes each.
pub(super) fn mapped(
    ebpf: &Ebpf,
    name: &'static str,
    elements: usize,
    words: usize,
) -> Result<MappedArray, TableError> {
    let wrong = || TableError::Layout(name);
    let Some(Map::Array(data)) = ebpf.map(name) else {
        return Err(wrong());
    };
    let info = data.info().map_err(|_| wrong())?;
    if info.value_size() as usize != words * 8 || info.max_entries() as usize != elements {
        return Err(wrong());
    }
    Ok(MappedArray::new(data.fd(), elements, words)?)
}
