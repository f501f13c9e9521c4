//! Gives memory back to the kernel after a start that needed much of it.

/// Returns what the allocator holds free. Parsing the kernel's types takes some 30 MiB for a moment,
/// and glibc would keep them for good.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes no pointers and may be called at any time from any thread.
    let _ = unsafe { nix::libc::malloc_trim(0) };
}
