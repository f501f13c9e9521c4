//! What could not be read: absent is never zero.

/// A value, or a whole source, that could not be read, with the reason in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The source or file that stayed silent: `cgroup memory`, `/proc/pressure/cpu`, `docker`.
    pub what: String,
    /// Why, and what would help.
    pub why: String,
}

impl Gap {
    /// A gap in `what`, because of `why`.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Gap {
        Gap {
            what: what.into(),
            why: why.into(),
        }
    }
}
