//! The unsafe door to the kernel: memory maps of eBPF arrays.
