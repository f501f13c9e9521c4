//! Load generators with a known truth, and what Dunnage costs beside them.
