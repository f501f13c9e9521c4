//! Tar files: written by the crate `tar`, by hand, and at random.
use super::*;
