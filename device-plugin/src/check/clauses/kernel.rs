//! The kernel: its modules, and whether they go with the driver's files.

use super::Clause;
use super::asks::Ask;
use crate::check::host::HostFacts;
use dunnage_inventory::Device;

/// The NVIDIA module, and that it is of the same version as the files: NVIDIA's library refuses any
/// other (`Driver/library version mismatch`).
pub(super) fn nvidia(host: &HostFacts, device: &Device, ask: &Ask) -> Vec<Clause> {
    let mut clauses = vec![module(host, "nvidia", device, ask)];
    if let (Some(module), Some((library, path))) =
        (&host.nvidia_module, host.nvidia_library_version())
    {
        let clause = Clause::new("driver files of the module's version")
            .wanted(&*module.text, &*module.path)
            .there(library.to_string())
            .there_by(path);
        clauses.push(if module.version == library {
            clause.yes()
        } else {
            clause.no(
                "load the module of the installed driver: unload the old one, or restart the host",
            )
        });
    }
    clauses
}

/// That a module is loaded.
pub(super) fn module(host: &HostFacts, name: &str, device: &Device, ask: &Ask) -> Clause {
    let clause = Clause::new(format!("kernel module {name}"))
        .wanted(name, &*ask.by)
        .there_by("/proc/modules");
    if host.has_module(name) {
        return clause.there("loaded").yes();
    }
    let bound = device
        .driver
        .as_ref()
        .is_some_and(|driver| driver.name == name);
    if bound && host.loaded.is_none() {
        // The list cannot be read, and a device is bound to it.
        return clause
            .there("bound to the device")
            .there_by(&*device.id)
            .yes();
    }
    if host.loaded.is_none() {
        return clause.unknown("/proc/modules cannot be read");
    }
    if bound {
        return clause
            .there("built into the kernel")
            .there_by(&*device.id)
            .yes();
    }
    let clause = clause.there("not loaded");
    if host.installed.contains(name) {
        clause.no(format!("modprobe {name}"))
    } else {
        clause.no("install the driver: it has no module for this kernel")
    }
}
