//! The plugin's answers for one resource, each a function of what the host is now.

use super::{Now, OPTIONS, State, device, locked};
use crate::plugin::advertise::Slots;
use crate::plugin::allocate::{Give, by_names, by_nodes};
use crate::plugin::api::{
    AllocateRequest, AllocateResponse, ContainerPreferredAllocationResponse, DevicePluginOptions,
    ListAndWatchResponse, PreStartContainerRequest, PreferredAllocationRequest,
    PreferredAllocationResponse,
};
use crate::plugin::metrics::{Call, Refusal};
use crate::plugin::placement::preferred;
use crate::plugin::serve::Plugin;
use dunnage_inventory::users::users;
use dunnage_inventory::{Device, Inventory};
use dunnage_model::escape::escaped;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tonic::Status;

/// A call that is refused: the reason to count, and what the kubelet is told.
struct Refused(Refusal, Status);

fn not_found(what: String) -> Refused {
    Refused(Refusal::NotFound, Status::not_found(what))
}

fn cannot_be_given(why: String) -> Refused {
    Refused(Refusal::Offer, Status::failed_precondition(why))
}

/// The answers for one resource.
pub(super) struct ResourcePlugin {
    pub(super) resource: String,
    pub(super) state: Arc<State>,
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
        let mut lists = locked(&self.state.lists);
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
