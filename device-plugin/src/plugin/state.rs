//! What the plugin knows now, of the host replaced as a whole at each change, and what comes of it.

mod answers;

use super::advertise::{Advertised, HealthChange, Slot, Slots};
use super::allocate::{Common, Give};
use super::api::{DevicePluginOptions, ListAndWatchResponse};
use super::features::labels;
use super::holders::{Holders, Record};
use super::metrics::{Metrics, Stock};
use super::names::Naming;
use super::noise::Noise;
use super::placement::{Spread, Ties};
use super::serve::Plugin;
use crate::offer::Options;
use answers::ResourcePlugin;
use dunnage_host::HostRoot;
use dunnage_inventory::{Config, Device, Inventory};
use dunnage_model::gap::Gap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// The options that every resource has.
pub const OPTIONS: DevicePluginOptions = DevicePluginOptions {
    pre_start_required: true,
    get_preferred_allocation_available: true,
};

/// How the plugin was asked to do things.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How resources are named.
    pub naming: Naming,
    /// How devices are given.
    pub give: Give,
    /// How slots of shared devices are chosen.
    pub spread: Spread,
    /// How devices are offered.
    pub offer: Options,
}

/// The host at one moment.
#[derive(Default)]
struct Now {
    inventory: Inventory,
    advertised: Advertised,
    ties: Ties,
    common: BTreeMap<String, Result<Common, String>>,
}

/// What all resources share.
pub struct State {
    host: HostRoot,
    config: Config,
    settings: Settings,
    now: RwLock<Arc<Now>>,
    lists: Mutex<BTreeMap<String, watch::Sender<ListAndWatchResponse>>>,
    /// The resources that there are.
    resources: watch::Sender<Vec<String>>,
    metrics: Metrics,
    holders: Mutex<Record>,
    /// Somebody may hold something new.
    given: Notify,
    noise: Mutex<Noise>,
}

/// What came of a look at the host.
#[derive(Debug, Default)]
pub struct Learned {
    /// What cannot be advertised.
    pub gaps: Vec<Gap>,
    /// Devices that fell ill or recovered.
    pub changes: Vec<HealthChange>,
}

impl State {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(host: HostRoot, config: Config, settings: Settings) -> Arc<State> {
        Arc::new(State {
            host,
            config,
            settings,
            now: RwLock::default(),
            lists: Mutex::default(),
            resources: watch::Sender::new(Vec::new()),
            metrics: Metrics::default(),
            holders: Mutex::default(),
            given: Notify::new(),
            noise: Mutex::default(),
        })
    }

    /// The host as it is now. Whoever watches is told what changed.
    pub fn learn(&self, inventory: Inventory) -> Learned {
        let before = self.now();
        let naming = self.settings.naming;
        let advertised = Advertised::of(&inventory, &self.config, naming, &before.advertised);
        let learned = Learned {
            gaps: advertised.gaps.clone(),
            changes: advertised.changes_since(&before.advertised),
        };
        for change in &learned.changes {
            let ill = change.ill.as_deref();
            self.metrics.health_changed(&change.resource, ill);
        }
        let common = advertised
            .resources
            .iter()
            .map(|(name, slots)| (name.clone(), self.common(&inventory, slots)))
            .collect();
        let lists: Vec<(String, ListAndWatchResponse)> = advertised
            .resources
            .iter()
            .map(|(name, slots)| (name.clone(), slots.list()))
            .collect();
        let now = Now {
            ties: Ties::of(&inventory),
            inventory,
            advertised,
            common,
        };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        self.tell(lists);
        learned
    }

    /// What happened is counted here.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The page for Prometheus.
    #[must_use]
    pub fn page(&self) -> String {
        let now = self.now();
        let holders = locked(&self.holders);
        let stock = now.advertised.resources.iter().map(|(resource, slots)| {
            let count = |ill: bool| {
                let slots = slots.0.iter().filter(|slot| slot.ill.is_some() == ill);
                u64::try_from(slots.count()).unwrap_or(u64::MAX)
            };
            let stock = Stock {
                healthy: count(false),
                unhealthy: count(true),
                held: holders.held(resource),
            };
            (resource.clone(), stock)
        });
        let noise = locked(&self.noise).by_node(Instant::now());
        self.metrics.text(&stock.collect(), &noise)
    }

    /// The labels of the node.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        labels(&self.now().inventory, &self.config, self.settings.naming)
    }

    /// Takes in who holds what.
    pub fn learn_holders(&self, told: &Holders) {
        let now = self.now();
        let slots = now.advertised.resources.iter();
        let listed = slots.flat_map(|(resource, slots)| {
            let ids = slots.0.iter();
            ids.map(move |slot| (resource.as_str(), slot.id.as_str()))
        });
        locked(&self.holders).learn(told, listed);
    }

    /// How many devices of each resource containers hold, as far as the kubelet told.
    #[must_use]
    pub fn held(&self) -> BTreeMap<String, u64> {
        let now = self.now();
        let holders = locked(&self.holders);
        let held = |resource: &String| Some((resource.clone(), holders.held(resource)?));
        now.advertised.resources.keys().filter_map(held).collect()
    }

    /// The kubelet is to be asked again who holds what.
    pub fn ask_again(&self) {
        self.given.notify_one();
    }

    /// Waits until the kubelet is to be asked again: a container is about to start, and has its
    /// devices by then, or the kubelet came back.
    pub async fn wants_holders(&self) {
        self.given.notified().await;
    }

    /// Takes in the noise of a window, by NUMA node.
    pub fn hear(&self, now: Instant, window: BTreeMap<u32, f64>) {
        self.metrics.heard();
        locked(&self.noise).note(now, window);
    }

    /// The ties of devices, with the noise of the last windows at their NUMA nodes.
    fn ties(&self, now: &Now) -> Ties {
        let by_node = locked(&self.noise).by_node(Instant::now());
        if by_node.is_empty() {
            return now.ties.clone();
        }
        let noise = |device: &Device| {
            let noise = by_node.get(&device.numa_node?)?;
            Some((device.id.clone(), *noise))
        };
        let devices = now.inventory.devices.iter();
        now.ties.with_noise(devices.filter_map(noise).collect())
    }

    fn common(&self, inventory: &Inventory, slots: &Slots) -> Result<Common, String> {
        if self.settings.give == Give::Cdi {
            return Ok(Common::default());
        }
        // One walk of the inventory: looking each slot up would take the square of their number.
        let wanted: BTreeSet<&str> = slots.0.iter().map(|slot| slot.device.as_str()).collect();
        let devices = inventory.devices.iter();
        let devices: Vec<&Device> = devices
            .filter(|device| wanted.contains(device.id.as_str()))
            .collect();
        Common::of(&self.host, inventory, &devices, &self.settings.offer)
            .map_err(|error| error.to_string())
    }

    fn tell(&self, now: Vec<(String, ListAndWatchResponse)>) {
        let names = now.iter().map(|(name, _)| name.clone()).collect();
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, list) in now {
            let sender = lists.entry(name).or_default();
            sender.send_if_modified(|there| {
                let other = *there != list;
                *there = list;
                other
            });
        }
        drop(lists);
        self.resources.send_if_modified(|there| {
            let other = *there != names;
            *there = names;
            other
        });
    }

    /// The names of all resources, and whenever they change.
    #[must_use]
    pub fn resources(&self) -> watch::Receiver<Vec<String>> {
        self.resources.subscribe()
    }

    /// What answers for one resource.
    #[must_use]
    pub fn plugin(self: &Arc<State>, resource: &str) -> Arc<dyn Plugin> {
        Arc::new(ResourcePlugin {
            resource: resource.to_owned(),
            state: Arc::clone(self),
        })
    }

    fn now(&self) -> Arc<Now> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device<'i>(inventory: &'i Inventory, slot: &Slot) -> Option<&'i Device> {
    inventory.devices.iter().find(|one| one.id == slot.device)
}
