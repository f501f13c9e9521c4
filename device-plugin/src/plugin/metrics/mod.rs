//! What the plugin did, counted: `/metrics` in the text format of Prometheus.
//!
//! Names and labels keep to Prometheus' conventions. The number of series is bounded: reasons come from
//! drivers and the kernel's log, and whoever can make them up must not fill anybody's memory.

mod listen;
mod text;

pub use listen::{Listener, MakePage, Page, Place};

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use text::Text;

/// Label sets of one metric; what comes beyond is counted as `other`.
const SERIES_LIMIT: usize = 128;
/// A reason is a label, and no essay.
const REASON_LIMIT: usize = 60;
/// What stands for every reason beyond the bound.
const OTHER: &str = "other";

/// Upper bounds in seconds. An allocation is to take at most 300 µs at the 99th percentile.
const ALLOCATE: &[f64] = &[
    0.000_05, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0,
];
/// The kubelet is to know of a resource within 25 ms at the 99th percentile; it may take 10 s to dial.
const REGISTER: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// Which call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `Allocate`.
    Allocate,
    /// `PreStartContainer`.
    PreStart,
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The resource or the device is not there.
    NotFound,
    /// The device is unhealthy.
    Unhealthy,
    /// Somebody has the device open.
    InUse,
    /// What a container would be given cannot be put together.
    Offer,
}

/// How many devices a resource has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Those that can be used.
    pub healthy: u64,
    /// Those that cannot.
    pub unhealthy: u64,
    /// Those that a container holds, as far as the kubelet told; absent where it did not.
    pub held: Option<u64>,
}

/// What happened since the start.
#[derive(Debug)]
pub struct Metrics(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    allocations: BTreeMap<String, u64>,
    refusals: BTreeMap<(String, Call, Refusal), u64>,
    health: BTreeMap<(String, &'static str, String), u64>,
    registrations: BTreeMap<String, u64>,
    failures: u64,
    windows: u64,
    allocate: Histogram,
    register: Histogram,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics(Mutex::new(Counts {
            allocations: BTreeMap::new(),
            refusals: BTreeMap::new(),
            health: BTreeMap::new(),
            registrations: BTreeMap::new(),
            failures: 0,
            windows: 0,
            allocate: Histogram::new(ALLOCATE),
            register: Histogram::new(REGISTER),
        }))
    }
}

impl Metrics {
    /// A call of `Allocate` was answered after `took`, for so many containers.
    pub fn allocated(&self, resource: &str, containers: usize, took: Duration) {
        let mut counts = self.counts();
        counts.allocate.note(took);
        let containers = u64::try_from(containers).unwrap_or(u64::MAX);
        add(&mut counts.allocations, resource, containers);
    }

    /// A call was refused.
    pub fn refused(&self, resource: &str, call: Call, why: Refusal) {
        let mut counts = self.counts();
        let full = counts.refusals.len() >= SERIES_LIMIT;
        let key = (resource.to_owned(), call, why);
        if !full || counts.refusals.contains_key(&key) {
            *counts.refusals.entry(key).or_default() += 1;
        }
    }

    /// A device fell ill, with the reason, or recovered.
    pub fn health_changed(&self, resource: &str, ill: Option<&str>) {
        let (health, reason) = match ill {
            Some(why) => ("unhealthy", class(why)),
            None => ("healthy", String::new()),
        };
        let mut counts = self.counts();
        let full = counts.health.len() >= SERIES_LIMIT;
        let key = (resource.to_owned(), health, reason);
        let key = if full && !counts.health.contains_key(&key) {
            (OTHER.to_owned(), health, OTHER.to_owned())
        } else {
            key
        };
        *counts.health.entry(key).or_default() += 1;
    }

    /// The kubelet took a registration, so long after it came.
    pub fn registered(&self, resource: &str, took: Duration) {
        let mut counts = self.counts();
        counts.register.note(took);
        add(&mut counts.registrations, resource, 1);
    }

    /// A registration came to nothing.
    pub fn registration_failed(&self) {
        self.counts().failures += 1;
    }

    /// The verdicts of a window came in.
    pub fn heard(&self) {
        self.counts().windows += 1;
    }

    /// The page, with what there is now, and the noise of NUMA nodes.
    #[must_use]
    pub fn text(&self, stock: &BTreeMap<String, Stock>, noise: &BTreeMap<u32, f64>) -> String {
        self.counts().text(stock, noise)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(to: &mut BTreeMap<String, u64>, resource: &str, count: u64) {
    if let Some(there) = to.get_mut(resource) {
        *there = there.saturating_add(count);
    } else if to.len() < SERIES_LIMIT {
        to.insert(resource.to_owned(), count);
    }
}

/// The sort of an illness: what stands in front of its particulars.
fn class(why: &str) -> String {
    let end = why.find([':', '(', ',', ';']).unwrap_or(why.len());
    let class = why.get(..end).unwrap_or_default().trim();
    class.chars().take(REASON_LIMIT).collect()
}

impl Counts {
    fn text(&self, stock: &BTreeMap<String, Stock>, noise: &BTreeMap<u32, f64>) -> String {
        let mut page = Text::default();
        page.family(
            "dunnage_plugin_devices",
            "gauge",
            "Devices, or slots of shared ones, that are listed to the kubelet.",
        );
        for (resource, stock) in stock {
            for (health, count) in [("healthy", stock.healthy), ("unhealthy", stock.unhealthy)] {
                page.sample("", &[("resource", resource), ("health", health)], count);
            }
        }
        page.family(
            "dunnage_plugin_devices_held",
            "gauge",
            "Devices, or slots of shared ones, that the kubelet says containers hold.",
        );
        for (resource, stock) in stock {
            if let Some(held) = stock.held {
                page.sample("", &[("resource", resource)], held);
            }
        }
        page.family(
            "dunnage_plugin_allocations_total",
            "counter",
            "Containers that were given devices.",
        );
        for resource in stock.keys() {
            let count = self.allocations.get(resource).copied().unwrap_or(0);
            page.sample("", &[("resource", resource)], count);
        }
        page.family(
            "dunnage_plugin_refusals_total",
            "counter",
            "Calls of the kubelet that were refused, by reason.",
        );
        for ((resource, call, why), count) in &self.refusals {
            let (call, why) = (call.as_str(), why.as_str());
            let labels = [("resource", &**resource), ("call", call), ("reason", why)];
            page.sample("", &labels, *count);
        }
        page.family(
            "dunnage_plugin_health_changes_total",
            "counter",
            "Times that a device fell ill, by reason, or recovered.",
        );
        for ((resource, health, reason), count) in &self.health {
            let labels = [
                ("resource", &**resource),
                ("health", *health),
                ("reason", reason),
            ];
            page.sample("", &labels, *count);
        }
        page.family(
            "dunnage_plugin_registrations_total",
            "counter",
            "Registrations that the kubelet took.",
        );
        for resource in stock.keys() {
            let count = self.registrations.get(resource).copied().unwrap_or(0);
            page.sample("", &[("resource", resource)], count);
        }
        page.family(
            "dunnage_plugin_registration_failures_total",
            "counter",
            "Registrations that were given up until the kubelet comes back.",
        );
        page.sample("", &[], self.failures);
        page.family(
            "dunnage_plugin_verdict_windows_total",
            "counter",
            "Windows of which the profiler's verdicts came in.",
        );
        page.sample("", &[], self.windows);
        page.family(
            "dunnage_plugin_noise",
            "gauge",
            "Tasks that stand still because of others, on the average over the last windows.",
        );
        for (node, tasks) in noise {
            page.sample("", &[("numa_node", &node.to_string())], tasks);
        }
        page.histogram(
            "dunnage_plugin_allocate_duration_seconds",
            "Time that answering Allocate took.",
            &self.allocate,
        );
        page.histogram(
            "dunnage_plugin_registration_duration_seconds",
            "Time from the kubelet's coming to its taking of a registration.",
            &self.register,
        );
        page.text
    }
}

impl Call {
    fn as_str(self) -> &'static str {
        match self {
            Call::Allocate => "allocate",
            Call::PreStart => "pre_start_container",
        }
    }
}

impl Refusal {
    fn as_str(self) -> &'static str {
        match self {
            Refusal::NotFound => "not_found",
            Refusal::Unhealthy => "unhealthy",
            Refusal::InUse => "in_use",
            Refusal::Offer => "cannot_be_given",
        }
    }
}

/// Durations, counted by upper bounds.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    /// Of each bound alone, those below it not included; the last one is beyond all bounds.
    counts: Vec<u64>,
    sum_seconds: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum_seconds: 0.0,
        }
    }

    fn note(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum_seconds += seconds;
    }
}

#[cfg(test)]
mod tests;
