//! Keeps the heap small: a start needs much of it for a moment.

/// Gives all threads one heap from now on; to be called before there are others. glibc would give each
/// its own, and what one thread needed for the kernel's types another could not use.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes no pointers and may be called at any time.
    let _ = unsafe { nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1) };
}

/// Returns what the allocator holds free. Parsing the kernel's types takes some 30 MiB for a moment,
/// and glibc would keep them for good.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes no pointers and may be called at any time from any thread.
    let _ = unsafe { nix::libc::malloc_trim(0) };
}
