//! End to end: the built `dunnage` against real engines, real kernels and hostile input.
//!
//! One binary, so that each engine is started once; one folder or file a theme. Run it by `./check`
//! as root. Scenarios measure the machine, so they take turns, however many threads run them.

mod blame;
mod cdi_referee;
mod check;
mod commands;
mod conservation;
mod cost;
mod demo;
mod device_cri;
mod device_engines;
mod device_rootless;
mod device_runtime;
mod devices;
mod devices_vm;
mod disk;
mod disks_vm;
mod driver_files;
mod engines;
mod fsync_vm;
mod grpc;
mod hostile;
mod interrupts;
mod kernels;
mod kubelet;
mod layouts;
mod memory;
mod network;
mod plugin_confined;
mod privileges;
mod run;
mod slots;
mod snippets_referee;
mod truth;
mod why;
