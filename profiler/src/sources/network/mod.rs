//! Traffic per network namespace.
