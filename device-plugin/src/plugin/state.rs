//! What the plugin knows of the host now, replaced as a whole at each change, and its answers.

use super::advertise::{Advertised, Slot, Slots};
use super::allocate::{Common, Give, by_names, by_nodes};
use super::api::{
    AllocateRequest, AllocateResponse, ContainerPreferredAllocationResponse, DevicePluginOptions,
    ListAndWatchResponse, PreStartContainerRequest, PreferredAllocationRequest,
    PreferredAllocationResponse,
};
use super::names::Naming;
use super::placement::{Spread, Ties, preferred};
use super::serve::Plugin;
use crate::offer::Options;
use dunnage_host::HostRoot;
use dunnage_inventory::users::users;
use dunnage_inventory::{Config, Device, Inventory};
use dunnage_model::escape::escaped;
use dunnage_model::gap::Gap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;
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
        })
    }

    /// The host as it is now. Whoever watches is told what changed; returns what cannot be advertised.
    pub fn learn(&self, inventory: Inventory) -> Vec<Gap> {
        let before = self.now();
        let naming = self.settings.naming;
        let advertised = Advertised::of(&inventory, &self.config, naming, &before.advertised);
        let gaps = advertised.gaps.clone();
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
        gaps
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

fn device<'i>(inventory: &'i Inventory, slot: &Slot) -> Option<&'i Device> {
    inventory.devices.iter().find(|one| one.id == slot.device)
}

/// The answers for one resource.
struct ResourcePlugin {
    resource: String,
    state: Arc<State>,
}

impl ResourcePlugin {
    fn slots<'n>(&self, now: &'n Now) -> Result<&'n Slots, Status> {
        let slots = now.advertised.resources.get(&self.resource);
        slots.ok_or_else(|| Status::not_found(format!("{} is not offered here", self.resource)))
    }

    /// The devices of these slots, each once, all of which can be used.
    fn devices<'n>(&self, now: &'n Now, ids: &[String]) -> Result<Vec<&'n Device>, Status> {
        let slots = self.slots(now)?;
        let mut devices: Vec<&Device> = Vec::new();
        for id in ids {
            let slot = slots.find(id).ok_or_else(|| {
                Status::not_found(format!("{} has no device {id:?}", self.resource))
            })?;
            if let Some(why) = &slot.ill {
                let why = format!("device {id:?} cannot be used: {}", escaped(why));
                return Err(Status::failed_precondition(why));
            }
            let device = device(&now.inventory, slot)
                .ok_or_else(|| Status::not_found(format!("device {id:?} is gone")))?;
            if devices.iter().all(|other| other.id != device.id) {
                devices.push(device);
            }
        }
        Ok(devices)
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
                    &now.ties,
                ),
            }
        });
        Ok(PreferredAllocationResponse {
            container_responses: answers.collect(),
        })
    }

    fn allocate(&self, request: &AllocateRequest) -> Result<AllocateResponse, Status> {
        let now = self.state.now();
        let settings = &self.state.settings;
        let answer = |ids: &[String]| {
            let devices = self.devices(&now, ids)?;
            match settings.give {
                Give::Cdi => Ok(by_names(&devices, &now.inventory)),
                Give::Nodes => {
                    let common = match now.common.get(&self.resource) {
                        Some(Ok(common)) => common,
                        Some(Err(why)) => return Err(Status::failed_precondition(why.clone())),
                        None => return Err(Status::not_found("the devices are gone")),
                    };
                    let (host, options) = (&self.state.host, &settings.offer);
                    by_nodes(host, &now.inventory, &devices, common, options)
                        .map_err(|error| Status::failed_precondition(error.to_string()))
                }
            }
        };
        let answers: Result<Vec<_>, Status> = request
            .container_requests
            .iter()
            .map(|asked| answer(&asked.device_ids))
            .collect();
        Ok(AllocateResponse {
            container_responses: answers?,
        })
    }

    fn pre_start(&self, request: &PreStartContainerRequest) -> Result<(), Status> {
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
                Err(Status::failed_precondition(format!(
                    "device {device:?} is still in use by {}: end it, or declare the device as shared \
                     with [[sharing]]",
                    who.join(", ")
                )))
            }
        }
    }
}
