//! The kernel's side: release, modules, control groups, emulators; and which engines are there.

use super::{HostFacts, Module};
use crate::check::facts::elf;
use crate::check::machine;
use crate::check::version::Version;
use dunnage_host::HostRoot;
use std::collections::BTreeSet;

/// `/proc/modules` and `modules.dep` of large kernels have some megabytes.
const LIST: usize = 16 << 20;
/// Modules that accelerators need.
const MODULES: [&str; 19] = [
    "nvidia",
    "nvidia_uvm",
    "nouveau",
    "amdgpu",
    "i915",
    "xe",
    "intel_vpu",
    "amdxdna",
    "qaic",
    "habanalabs",
    "dfl",
    "dfl_pci",
    "dfl_afu",
    "xocl",
    "qat_4xxx",
    "idxd",
    "vfio_pci",
    "intel_fpga_pci",
    "radeon",
];

pub(super) fn read(host: &HostRoot, facts: &mut HostFacts) {
    facts.name = host
        .fact("/proc/sys/kernel/hostname")
        .or_else(|| host.fact("/etc/hostname"));
    facts.kernel = host.fact("/proc/sys/kernel/osrelease");
    processor(host, facts);
    facts.emulated = emulated(host);
    facts.cgroup = cgroup(host);
    facts.engines = engines(host);
    facts.loaded = host.read("/proc/modules", LIST).ok().map(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let names = text.lines().filter_map(|line| line.split(' ').next());
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    });
    let missing = MODULES.iter().any(|name| !facts.has_module(name));
    if missing && let Some(kernel) = facts.kernel.clone() {
        facts.installed = listed(host, &format!("/lib/modules/{kernel}/modules.dep"));
        facts.built_in = listed(host, &format!("/lib/modules/{kernel}/modules.builtin"));
    }
    facts.nvidia_module = nvidia(host);
}

/// The processor: this program runs on it, unless a tree of another machine says otherwise.
fn processor(host: &HostRoot, facts: &mut HostFacts) {
    let own = (machine::own(), "this program's own".to_owned());
    let (machine, by) = if host.is_own() {
        own
    } else {
        let programs = [
            "/sbin/init",
            "/usr/bin/env",
            "/bin/sh",
            "/usr/lib/systemd/systemd",
        ];
        let found = programs.iter().find_map(|path| {
            let file = host.open(path).ok()?;
            Some((elf::head(&elf::OnDisk(&file))?.machine, (*path).to_owned()))
        });
        found.unwrap_or(own)
    };
    facts.machine = machine;
    facts.architecture = machine::go(machine).unwrap_or("unknown");
    facts.architecture_by = by;
}

fn emulated(host: &HostRoot) -> BTreeSet<u16> {
    let (names, _) = host
        .entries("/proc/sys/fs/binfmt_misc", 256)
        .unwrap_or_default();
    let names = names.iter().filter_map(|name| name.to_str());
    names.filter_map(machine::of_emulator).collect()
}

fn cgroup(host: &HostRoot) -> Option<&'static str> {
    let there = |path: &str| host.locate(path).is_ok();
    if there("/sys/fs/cgroup/cgroup.controllers") {
        Some("v2")
    } else if there("/sys/fs/cgroup/unified/cgroup.procs") {
        Some("hybrid")
    } else if there("/sys/fs/cgroup/memory") || there("/sys/fs/cgroup/cpu") {
        Some("v1")
    } else {
        None
    }
}

fn engines(host: &HostRoot) -> Vec<String> {
    const SIGNS: [(&str, &[&str]); 4] = [
        (
            "docker",
            &["/run/docker.sock", "/usr/bin/dockerd", "/usr/sbin/dockerd"],
        ),
        (
            "containerd",
            &["/run/containerd/containerd.sock", "/usr/bin/containerd"],
        ),
        ("podman", &["/run/podman/podman.sock", "/usr/bin/podman"]),
        ("cri-o", &["/run/crio/crio.sock", "/usr/bin/crio"]),
    ];
    let found = SIGNS
        .iter()
        .filter(|(_, paths)| paths.iter().any(|path| host.locate(path).is_ok()));
    found.map(|(name, _)| (*name).to_owned()).collect()
}

/// The modules of accelerators that a list of module files names.
fn listed(host: &HostRoot, path: &str) -> BTreeSet<String> {
    let bytes = host.read(path, LIST).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let names = text.lines().filter_map(|line| {
        let file = line.split(':').next()?.rsplit('/').next()?;
        Some(file.split(".ko").next()?.replace('-', "_"))
    });
    names.filter(|name| MODULES.contains(&&**name)).collect()
}

/// The version of NVIDIA's module, as it says itself.
fn nvidia(host: &HostRoot) -> Option<Module> {
    let (text, path) = dunnage_inventory::families::nvidia::driver_version(host)?;
    Some(Module {
        version: Version::parse(&text)?,
        text,
        path: path.to_string_lossy().into_owned(),
    })
}
