//! What a kubelet says of devices by its PodResources API v1: which are there and healthy, and which
//! container has which (`staging/src/k8s.io/kubelet/pkg/apis/podresources/v1/api.proto`).

use crate::grpc;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const LIST: &str = "/v1.PodResourcesLister/List";
const ALLOCATABLE: &str = "/v1.PodResourcesLister/GetAllocatableResources";

/// A kubelet answers within milliseconds, or it is not there yet.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct Listed {
    #[prost(message, repeated, tag = "1")]
    pods: Vec<OfPod>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfPod {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    containers: Vec<OfContainer>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfContainer {
    #[prost(message, repeated, tag = "2")]
    devices: Vec<Devices>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Devices {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(string, repeated, tag = "2")]
    ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Allocatable {
    #[prost(message, repeated, tag = "1")]
    devices: Vec<Devices>,
}

/// Devices by their resource.
pub(super) type ByResource = BTreeMap<String, BTreeSet<String>>;

/// A kubelet's socket.
pub(super) struct PodResources(pub(super) PathBuf);

impl PodResources {
    /// What pods can be given: all healthy devices, whoever has them.
    pub(super) fn allocatable(&self) -> Result<ByResource> {
        let answer: Allocatable = self.ask(ALLOCATABLE)?;
        Ok(by_resource(&answer.devices))
    }

    /// What each pod has, of those that have devices.
    pub(super) fn held(&self) -> Result<BTreeMap<String, ByResource>> {
        let answer: Listed = self.ask(LIST)?;
        let pods = answer.pods.into_iter().map(|pod| {
            let devices: Vec<Devices> = pod
                .containers
                .into_iter()
                .flat_map(|container| container.devices)
                .collect();
            (pod.name, by_resource(&devices))
        });
        Ok(pods.filter(|(_, devices)| !devices.is_empty()).collect())
    }

    fn ask<A: prost::Message + Default + 'static>(&self, call: &'static str) -> Result<A> {
        grpc::ask(&self.0, call, Nothing {}, PATIENCE)
    }
}

fn by_resource(devices: &[Devices]) -> ByResource {
    let mut all = ByResource::new();
    for one in devices {
        let ids = all.entry(one.resource.clone()).or_default();
        ids.extend(one.ids.iter().cloned());
    }
    all
}
