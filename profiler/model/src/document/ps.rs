//! `dunnage.ps/1`: what each party used in one window.

use super::part::{
    GapDocument, GovernorDocument, HostDocument, PartyDocument, PressureDocument, WindowDocument,
};
use super::{Word, finite};
use crate::units::{Bytes, Nanos};
use crate::usage::{DiskUse, MemoryUse, NetworkUse, PartyUse, WindowUse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `dunnage ps --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PsDocument {
    /// `dunnage.ps/1`.
    pub schema: Word,
    /// The host.
    pub host: HostDocument,
    /// The window.
    pub window: WindowDocument,
    /// Only where switches of tasks were seen for a part of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<GovernorDocument>,
    /// The whole machine.
    pub machine: MachineDocument,
    /// Everybody; the most CPU first. All but the hypervisor add up to the machine.
    pub parties: Vec<PartyUseDocument>,
    /// What could not be read.
    pub gaps: Vec<GapDocument>,
}

impl PsDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.ps/1";

    /// The document of one window; `requested` is how long the window should have been.
    #[must_use]
    pub fn from_parts(window: &WindowUse, requested: Nanos) -> PsDocument {
        PsDocument {
            schema: PsDocument::SCHEMA.into(),
            host: HostDocument::from(&window.host),
            window: WindowDocument::new(window, requested),
            governor: GovernorDocument::of(window),
            machine: MachineDocument::from(window),
            parties: by_cpu(window)
                .into_iter()
                .map(PartyUseDocument::from)
                .collect(),
            gaps: window.gaps.iter().map(GapDocument::from).collect(),
        }
    }
}

/// The parties of `window`, the most CPU first, then by name and identity so that the order is stable.
#[must_use]
pub fn by_cpu(window: &WindowUse) -> Vec<&PartyUse> {
    let mut parties: Vec<&PartyUse> = window.parties.iter().collect();
    parties.sort_by(|a, b| {
        let order = b.cpu.usage.cmp(&a.cpu.usage);
        order
            .then_with(|| a.party.name.cmp(&b.party.name))
            .then_with(|| a.party.key.cmp(&b.party.key))
    });
    parties
}

/// The whole machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineDocument {
    /// CPU time.
    pub cpu: MachineCpuDocument,
    /// System-wide pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<PressureDocument>,
}

impl From<&WindowUse> for MachineDocument {
    fn from(window: &WindowUse) -> MachineDocument {
        MachineDocument {
            cpu: MachineCpuDocument {
                busy_seconds: window.machine.busy().seconds(),
                idle_seconds: window.machine.idle.seconds(),
                steal_seconds: window.machine.steal.seconds(),
            },
            pressure: PressureDocument::of(&window.machine_pressure),
        }
    }
}

/// The machine's CPU time in the window, summed over all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineCpuDocument {
    /// user, nice, system, irq and softirq.
    pub busy_seconds: f64,
    /// idle and iowait.
    pub idle_seconds: f64,
    /// Time the hypervisor gave to others.
    pub steal_seconds: f64,
}

/// One party in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartyUseDocument {
    /// Who.
    pub party: PartyDocument,
    /// Labels as the engine shows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// CPU.
    pub cpu: CpuDocument,
    /// Memory at the window's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryDocument>,
    /// Block I/O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskDocument>,
    /// Network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkDocument>,
    /// Accelerators; left out where they are not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerators: Option<Vec<AcceleratorDocument>>,
    /// Pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<PressureDocument>,
    /// Processes at the window's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Threads at the window's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
}

impl From<&PartyUse> for PartyUseDocument {
    fn from(user: &PartyUse) -> PartyUseDocument {
        PartyUseDocument {
            party: PartyDocument::from(&*user.party),
            labels: user.party.labels.clone(),
            cpu: CpuDocument::from(user),
            memory: user
                .memory
                .map(|m| MemoryDocument::new(m, user.pressure.memory_some)),
            disk: user.disk.as_deref().map(DiskDocument::from),
            network: user.network.map(NetworkDocument::from),
            accelerators: None,
            pressure: PressureDocument::of(&user.pressure),
            processes: user.processes,
            threads: user.threads,
        }
    }
}

/// CPU time of one party in the window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuDocument {
    /// Ran.
    pub usage_seconds: f64,
    /// In user mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_seconds: Option<f64>,
    /// In the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_seconds: Option<f64>,
    /// Throttled by its own quota, summed over CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_seconds: Option<f64>,
    /// Waited on run queues, summed over tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runqueue_wait_seconds: Option<f64>,
    /// Share of the window in which at least one task waited, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_some: Option<f64>,
}

impl From<&PartyUse> for CpuDocument {
    fn from(user: &PartyUse) -> CpuDocument {
        CpuDocument {
            usage_seconds: user.cpu.usage.seconds(),
            user_seconds: user.cpu.user.map(Nanos::seconds),
            system_seconds: user.cpu.system.map(Nanos::seconds),
            throttled_seconds: user.cpu.throttled.map(Nanos::seconds),
            runqueue_wait_seconds: user.cpu.runqueue_wait.map(Nanos::seconds),
            pressure_some: user.pressure.cpu_some.and_then(finite),
        }
    }
}

/// Memory of one party at the window's end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryDocument {
    /// In use, page cache included.
    pub used_bytes: u64,
    /// Anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anon_bytes: Option<u64>,
    /// Page cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    /// The nearest limit, its own or a parent's; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// Major faults within the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
    /// Share of the window in which at least one task was stalled, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_some: Option<f64>,
}

impl MemoryDocument {
    fn new(memory: MemoryUse, pressure_some: Option<f64>) -> MemoryDocument {
        let bytes = |b: Bytes| b.0;
        MemoryDocument {
            used_bytes: memory.used.0,
            anon_bytes: memory.anon.map(bytes),
            file_bytes: memory.file.map(bytes),
            limit_bytes: memory.limit.map(bytes),
            major_faults: memory.major_faults,
            pressure_some: pressure_some.and_then(finite),
        }
    }
}

/// Block I/O of one party in the window, all devices together and each alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskDocument {
    /// Read from the devices.
    pub read_bytes: u64,
    /// Written to the devices.
    pub written_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
    /// From queueing to completion of requests; left out where block events are not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<f64>,
    /// Each device.
    pub devices: Vec<DeviceDocument>,
}

impl From<&[DiskUse]> for DiskDocument {
    fn from(devices: &[DiskUse]) -> DiskDocument {
        let sum = |of: fn(&DiskUse) -> u64| devices.iter().map(of).fold(0, u64::saturating_add);
        DiskDocument {
            read_bytes: sum(|d| d.read.0),
            written_bytes: sum(|d| d.written.0),
            reads: sum(|d| d.reads),
            writes: sum(|d| d.writes),
            wait_seconds: None,
            devices: devices.iter().map(DeviceDocument::from).collect(),
        }
    }
}

/// Block I/O on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDocument {
    /// Kernel name, or `major:minor`.
    pub device: String,
    /// Read from the device.
    pub read_bytes: u64,
    /// Written to the device.
    pub written_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

impl From<&DiskUse> for DeviceDocument {
    fn from(disk: &DiskUse) -> DeviceDocument {
        DeviceDocument {
            device: disk.device.to_string(),
            read_bytes: disk.read.0,
            written_bytes: disk.written.0,
            reads: disk.reads,
            writes: disk.writes,
        }
    }
}

/// Network traffic of one party in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDocument {
    /// Received.
    pub received_bytes: u64,
    /// Sent.
    pub sent_bytes: u64,
    /// Dropped, both directions; left out where the source does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_packets: Option<u64>,
}

impl From<NetworkUse> for NetworkDocument {
    fn from(network: NetworkUse) -> NetworkDocument {
        NetworkDocument {
            received_bytes: network.received.0,
            sent_bytes: network.sent.0,
            dropped_packets: network.dropped,
        }
    }
}

/// Use of one accelerator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceleratorDocument {
    /// The device's id.
    pub device: String,
    /// Engine time.
    pub busy_seconds: f64,
    /// Device memory in use.
    pub memory_bytes: u64,
}
