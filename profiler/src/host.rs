//! Where the host is: the root in front of every path, and the facts that do not change.
