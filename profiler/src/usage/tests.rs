//! Hand-made windows, one a rule.
