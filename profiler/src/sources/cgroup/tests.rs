//! The reader against trees built here and against this machine.

use super::*;
