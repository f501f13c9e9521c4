//! Cgroups as they are made and removed, so that none is too short-lived to have a name.
