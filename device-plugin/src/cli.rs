//! The command line of `devices`: data only.
