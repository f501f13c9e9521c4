//! What the end-to-end tests share: engines, virtual machine, privileges.
