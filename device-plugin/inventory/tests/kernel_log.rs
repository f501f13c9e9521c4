//! A million ordinary messages of the kernel say nothing of any device.

use dunnage_inventory::health::{kmsg, messages};
use std::fmt::Write;
use std::time::Instant;

/// As kernels write them, of accelerators too: nothing of it makes a device unusable. `{}` is a number.
const ORDINARY: &[&str] = &[
    "usb 1-{}: new high-speed USB device number 3 using xhci_hcd",
    "veth{}: renamed from eth0",
    "docker0: port {}(vethb1a2c3d) entered blocking state",
    "EXT4-fs (sda{}): mounted filesystem with ordered data mode. Quota mode: none.",
    "oom-kill:constraint=CONSTRAINT_MEMCG,task=python3,pid={},uid=0",
    "Memory cgroup out of memory: Killed process {} (python3) total-vm:1234kB",
    "audit: type=1400 audit(1700000000.{}:42): apparmor=\"ALLOWED\" operation=\"open\"",
    "TCP: request_sock_TCP: Possible SYN flooding on port {}. Sending cookies.",
    "perf: interrupt took too long ({} > 2500), lowering kernel.perf_event_max_sample_rate to 79000",
    "python3[{}]: segfault at 0 ip 00007f0000000000 sp 00007ffc00000000 error 4 in libcuda.so.1",
    "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.{}.05",
    "NVRM: Xid (PCI:0000:65:00): 13, pid={}, name=python3, Graphics Exception: ESR 0x505224=0x80000000",
    "NVRM: Xid (PCI:0000:65:00): 31, pid={}, name=python3, Ch 00000008, MMU Fault",
    "NVRM: Xid (PCI:0000:65:00): 43, pid={}, name=python3, Ch 00000010",
    "NVRM: Xid (PCI:0000:65:00): 45, pid={}, name=python3, Ch 00000010",
    "NVRM: Xid (PCI:0000:65:00): 94, pid={}, name=python3, Contained: SM (0x1)",
    "nvidia-modeset: Loading NVIDIA Kernel Mode Setting Driver {}",
    "pcieport 0000:64:00.0: AER: Correctable error message received from 0000:65:00.{}",
    "nvidia 0000:65:00.0: PCIe Bus Error: severity=Correctable, type=Physical Layer, (Receiver ID) {}",
    "nvidia 0000:65:00.0:   device [10de:20b0] error status/mask=0000{}/00002000",
    "nvidia 0000:65:00.0: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Transaction Layer, {}",
    "amdgpu 0000:03:00.0: amdgpu: ring gfx_0.0.0 uses VM inv eng {} on hub 0",
    "amdgpu 0000:03:00.0: amdgpu: {} correctable hardware errors detected in umc block",
    "i915 0000:00:02.0: [drm] GuC firmware i915/tgl_guc_{}.bin version 70.1.1",
    "xe 0000:03:00.0: [drm] Using GuC firmware from xe/bmg_guc_{}.bin",
    "dfl-pci 0000:5e:00.0: FPGA device{} probed",
    "habanalabs hl0: Successfully added device {} to habanalabs driver",
    "vfio-pci 0000:65:00.{}: vfio_ecap_init: hiding ecap 0x19@0x900",
    "systemd[{}]: Started Daily apt download activities.",
    "IPv6: ADDRCONF(NETDEV_CHANGE): cali{}: link becomes ready",
    "Out of memory, said {} of 79 users: GPU has fallen off the bus. NVRM: Xid (PCI:0000:65:00): 79",
    "clocksource: timekeeping watchdog on CPU{}: hpet retried 2 times before success",
];

#[test]
fn a_million_ordinary_messages_cause_nothing() {
    let mut record = String::new();
    let began = Instant::now();
    for (sequence, text) in ORDINARY.iter().cycle().take(1_000_000).enumerate() {
        let (before, after) = text.split_once("{}").expect("each has a number");
        record.clear();
        write!(
            record,
            "6,{sequence},{},-;{before}{}{after}\n SUBSYSTEM=pci\n",
            sequence * 7,
            sequence % 97
        )
        .expect("a text takes all");
        let read = kmsg::parse(record.as_bytes()).expect("a record");
        if let Some(message) = messages::read(read.text) {
            panic!("{} says {message:?}", read.text);
        }
    }
    println!("a million messages in {:?}", began.elapsed());
}
