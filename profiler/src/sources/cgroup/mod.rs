//! Control groups: which hierarchies there are, which cgroups, and what their files say.
