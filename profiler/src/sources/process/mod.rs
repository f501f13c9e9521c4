//! Processes of the root cgroup.
