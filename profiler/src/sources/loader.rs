//! Loaders of eBPF objects, which fit each to the types of the running kernel.

use aya::{Btf, EbpfLoader};
use std::sync::{Mutex, PoisonError};

/// A loader that knows the kernel's types.
pub(super) fn loader(btf: &Btf) -> EbpfLoader<'_> {
    // A new loader reads all of the kernel's types, some 25 MiB, to drop them for those that it is
    // given. One at a time, so that sources that open at once do not each hold a copy.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut loader = EbpfLoader::new();
    loader.btf(Some(btf));
    loader
}
