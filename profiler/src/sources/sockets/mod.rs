//! Traffic by the sockets' cgroup, for containers on the host's network.
