//! What the plugin knows of the host now, replaced as a whole at each change, and its answers.

use super::advertise::{Advertised, HealthChange, Slot, Slots};
use super::allocate::{Common, Give, by_names, by_nodes};
use super::api::{
    AllocateRequest, AllocateResponse, ContainerPreferredAllocationResponse, DevicePluginOptions,
    ListAndWatchResponse, PreStartContainerRequest, PreferredAllocationRequest,
    PreferredAllocationResponse,
};
use super::features::labels;
use super::holders::{Holders, Record};
use super::metrics::{Call, Metrics, Refusal, Stock};
use super::names::Naming;
use super::noise::Noise;
use super::placement::{Spread, Ties, preferred};
use super::serve::Plugin;
use crate::offer::Options;
use dunnage_host::HostRoot;
use dunnage_inventory::users::users;
use dunnage_inventory::{Config, Device, Inventory};
use dunnage_model::escape::escaped;
use dunnage_model::gap::Gap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{Notify, watch};
use tonic::Status;

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
        self.metrics.text(&stock.collect())
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
        let mut devices: Vec<&Device> = slots
            .0
            .iter()
            .filter_map(|slot| device(inventory, slot))
            .collect();
        devices.dedup_by_key(|device| device.id.clone());
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

/// A call that is refused: the reason to count, and what the kubelet is told.
struct Refused(Refusal, Status);

fn not_found(what: String) -> Refused {
    Refused(Refusal::NotFound, Status::not_found(what))
}

fn cannot_be_given(why: String) -> Refused {
    Refused(Refusal::Offer, Status::failed_precondition(why))
}

fn device<'i>(inventory: &'i Inventory, slot: &Slot) -> Option<&'i Device> {
    inventory.devices.iter().find(|one| one.id == slot.device)
}

/// The answers for one resource.
struct ResourcePlugin {
    resource: String,
    state: Arc<State>,
}

impl ResourcePlugin {
    fn slots<'n>(&self, now: &'n Now) -> Result<&'n Slots, Refused> {
        let slots = now.advertised.resources.get(&self.resource);
        slots.ok_or_else(|| not_found(format!("{} is not offered here", self.resource)))
    }

    /// The devices of these slots, each once, all of which can be used.
    fn devices<'n>(&self, now: &'n Now, ids: &[String]) -> Result<Vec<&'n Device>, Refused> {
        let slots = self.slots(now)?;
        let mut devices: Vec<&Device> = Vec::new();
        for id in ids {
            let slot = slots
                .find(id)
                .ok_or_else(|| not_found(format!("{} has no device {id:?}", self.resource)))?;
            if let Some(why) = &slot.ill {
                let why = format!("device {id:?} cannot be used: {}", escaped(why));
                let status = Status::failed_precondition(why);
                return Err(Refused(Refusal::Unhealthy, status));
            }
            let device = device(&now.inventory, slot)
                .ok_or_else(|| not_found(format!("device {id:?} is gone")))?;
            if devices.iter().all(|other| other.id != device.id) {
                devices.push(device);
            }
        }
        Ok(devices)
    }

    fn refuse(&self, call: Call, refused: Refused) -> Status {
        let Refused(why, status) = refused;
        self.state.metrics.refused(&self.resource, call, why);
        status
    }

    /// What containers are given.
    fn give(&self, request: &AllocateRequest) -> Result<AllocateResponse, Refused> {
        let now = self.state.now();
        let settings = &self.state.settings;
        let answer = |ids: &[String]| {
            let devices = self.devices(&now, ids)?;
            match settings.give {
                Give::Cdi => Ok(by_names(&devices, &now.inventory)),
                Give::Nodes => {
                    let common = match now.common.get(&self.resource) {
                        Some(Ok(common)) => common,
                        Some(Err(why)) => return Err(cannot_be_given(why.clone())),
                        None => return Err(not_found("the devices are gone".to_owned())),
                    };
                    let (host, options) = (&self.state.host, &settings.offer);
                    by_nodes(host, &now.inventory, &devices, common, options)
                        .map_err(|error| cannot_be_given(error.to_string()))
                }
            }
        };
        let answers: Result<Vec<_>, Refused> = request
            .container_requests
            .iter()
            .map(|asked| answer(&asked.device_ids))
            .collect();
        Ok(AllocateResponse {
            container_responses: answers?,
        })
    }

    /// Whether a container may start.
    fn start(&self, request: &PreStartContainerRequest) -> Result<(), Refused> {
        let now = self.state.now();
        let devices = self.devices(&now, &request.device_ids)?;
        // Of a device that several may have it is nobody's business who the others are.
        let alone: Vec<Device> = devices
            .into_iter()
            .filter(|device| device.slots.is_none())
            .cloned()
            .collect();
        let inventory = Inventory {
            devices: alone,
            gaps: Vec::new(),
        };
        let found = users(&self.state.host, &inventory);
        match found.by_device.iter().next() {
            None => Ok(()),
            Some((device, users)) => {
                let who: Vec<String> = users
                    .iter()
                    .take(4)
                    .map(|user| format!("{} (pid {})", escaped(&user.comm), user.pid))
                    .collect();
                let given = self.given(&now, device, &request.device_ids);
                let status = Status::failed_precondition(format!(
                    "device {device:?} is still in use by {}{given}: end it, or declare the device as \
                     shared with [[sharing]]",
                    who.join(", ")
                ));
                Err(Refused(Refusal::InUse, status))
            }
        }
    }

    /// Whom the kubelet gave a device, of which `ids` are asked for.
    fn given(&self, now: &Now, device: &str, ids: &[String]) -> String {
        let slots = now.advertised.resources.get(&self.resource);
        let of_device = |id: &&String| {
            let slot = slots.and_then(|slots| slots.find(id));
            slot.is_some_and(|slot| slot.device == device)
        };
        let holders = locked(&self.state.holders);
        ids.iter()
            .find(of_device)
            .and_then(|id| holders.told(&self.resource, id))
            .map_or_else(String::new, |told| format!(" ({told})"))
    }
}

impl Plugin for ResourcePlugin {
    fn options(&self) -> DevicePluginOptions {
        OPTIONS
    }

    fn list(&self) -> watch::Receiver<ListAndWatchResponse> {
        let mut lists = self
            .state
            .lists
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lists.entry(self.resource.clone()).or_default().subscribe()
    }

    fn preferred(
        &self,
        request: &PreferredAllocationRequest,
    ) -> Result<PreferredAllocationResponse, Status> {
        let now = self.state.now();
        let ties = self.state.ties(&now);
        let empty = Slots::default();
        let slots = now
            .advertised
            .resources
            .get(&self.resource)
            .unwrap_or(&empty);
        let answers = request.container_requests.iter().map(|asked| {
            let size = usize::try_from(asked.allocation_size).unwrap_or(0);
            ContainerPreferredAllocationResponse {
                device_ids: preferred(
                    &slots.0,
                    &asked.available_device_ids,
                    &asked.must_include_device_ids,
                    size,
                    self.state.settings.spread,
                    &ties,
                ),
            }
        });
        Ok(PreferredAllocationResponse {
            container_responses: answers.collect(),
        })
    }

    fn allocate(&self, request: &AllocateRequest) -> Result<AllocateResponse, Status> {
        let start = Instant::now();
        let answer = self.give(request);
        let metrics = &self.state.metrics;
        let counted = answer.as_ref().map_or(0, |a| a.container_responses.len());
        metrics.allocated(&self.resource, counted, start.elapsed());
        answer.map_err(|refused| self.refuse(Call::Allocate, refused))
    }

    fn pre_start(&self, request: &PreStartContainerRequest) -> Result<(), Status> {
        let answer = self.start(request);
        if answer.is_ok() {
            self.state.ask_again();
        }
        answer.map_err(|refused| self.refuse(Call::PreStart, refused))
    }
}
