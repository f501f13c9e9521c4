//! The `dunnage` command: parse, wire, run, exit code.

fn main() {}
