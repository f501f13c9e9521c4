//! 2. Who: cgroup -> container, pod, service.

use dunnage_model::party::Party;
use std::sync::Arc;

/// Answers who a reading belongs to. Never blocks: names that are not known yet are simply missing.
pub trait PartyLookup {
    /// The party that the cgroup at `path` (as in `/proc/PID/cgroup`, from the host's cgroup root)
    /// belongs to. [`Party::cgroup`] of the answer is `path` or one of its parents: a container or
    /// unit owns everything below its own cgroup. `/` gives the party of the root cgroup's rest.
    fn of_cgroup(&self, path: &str) -> Arc<Party>;

    /// The party of a process of the root cgroup with this command name.
    fn of_root_process(&self, command: &str) -> Arc<Party>;
}
