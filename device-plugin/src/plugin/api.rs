//! The messages of the kubelet's device plugin API v1beta1, with the tags of
//! `staging/src/k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto` of Kubernetes.
//!
//! Written down by hand, because building Dunnage needs cargo alone and no `protoc`.

use std::collections::HashMap;

/// The version of the API, as [`RegisterRequest::version`] says it.
pub const VERSION: &str = "v1beta1";

/// The health of a device that can be used.
pub const HEALTHY: &str = "Healthy";
/// The health of a device that cannot.
pub const UNHEALTHY: &str = "Unhealthy";

/// The longest id of a device.
pub const ID_LIMIT: usize = 63;

/// Paths of the calls.
pub mod path {
    /// The kubelet's: a plugin says that it is there.
    pub const REGISTER: &str = "/v1beta1.Registration/Register";
    /// The plugin's, from here on.
    pub const OPTIONS: &str = "/v1beta1.DevicePlugin/GetDevicePluginOptions";
    /// A stream of full lists.
    pub const LIST_AND_WATCH: &str = "/v1beta1.DevicePlugin/ListAndWatch";
    /// Which devices would be the best.
    pub const PREFERRED: &str = "/v1beta1.DevicePlugin/GetPreferredAllocation";
    /// What a container is given.
    pub const ALLOCATE: &str = "/v1beta1.DevicePlugin/Allocate";
    /// Before each start of a container.
    pub const PRE_START: &str = "/v1beta1.DevicePlugin/PreStartContainer";
}

/// What the plugin wants to be asked.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct DevicePluginOptions {
    /// `PreStartContainer` before each start of a container.
    #[prost(bool, tag = "1")]
    pub pre_start_required: bool,
    /// `GetPreferredAllocation` where there is a choice.
    #[prost(bool, tag = "2")]
    pub get_preferred_allocation_available: bool,
}

/// A plugin says that it is there and serves already.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterRequest {
    /// [`VERSION`].
    #[prost(string, tag = "1")]
    pub version: String,
    /// The file name of the plugin's socket.
    #[prost(string, tag = "2")]
    pub endpoint: String,
    /// `nvidia.com/gpu`.
    #[prost(string, tag = "3")]
    pub resource_name: String,
    /// Kubelets up to 1.20 take the options from here, later ones ask.
    #[prost(message, optional, tag = "4")]
    pub options: Option<DevicePluginOptions>,
}

/// Nothing.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// All devices of a resource; what is not in it is gone.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListAndWatchResponse {
    /// Each device, or each slot of a shared one.
    #[prost(message, repeated, tag = "1")]
    pub devices: Vec<Device>,
}

/// One device, or one slot of a shared one.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Device {
    /// At most [`ID_LIMIT`] bytes.
    #[prost(string, tag = "1")]
    pub id: String,
    /// [`HEALTHY`] or [`UNHEALTHY`].
    #[prost(string, tag = "2")]
    pub health: String,
    /// Absent where the host has no NUMA nodes or does not say.
    #[prost(message, optional, tag = "3")]
    pub topology: Option<TopologyInfo>,
}

/// Where a device is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TopologyInfo {
    /// Its NUMA nodes.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<NumaNode>,
}

/// A NUMA node.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct NumaNode {
    /// Never -1.
    #[prost(int64, tag = "1")]
    pub id: i64,
}

/// A container is about to start.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PreStartContainerRequest {
    /// What it was allocated.
    #[prost(string, repeated, tag = "1")]
    pub device_ids: Vec<String>,
}

/// Which devices would be the best.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PreferredAllocationRequest {
    /// One a container.
    #[prost(message, repeated, tag = "1")]
    pub container_requests: Vec<ContainerPreferredAllocationRequest>,
}

/// For one container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerPreferredAllocationRequest {
    /// To choose from.
    #[prost(string, repeated, tag = "1")]
    pub available_device_ids: Vec<String>,
    /// To be among the chosen.
    #[prost(string, repeated, tag = "2")]
    pub must_include_device_ids: Vec<String>,
    /// How many, those that must be included counted.
    #[prost(int32, tag = "3")]
    pub allocation_size: i32,
}

/// The best devices.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PreferredAllocationResponse {
    /// One a container.
    #[prost(message, repeated, tag = "1")]
    pub container_responses: Vec<ContainerPreferredAllocationResponse>,
}

/// For one container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerPreferredAllocationResponse {
    /// The chosen.
    #[prost(string, repeated, tag = "1")]
    pub device_ids: Vec<String>,
}

/// Devices are given to containers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AllocateRequest {
    /// One a container.
    #[prost(message, repeated, tag = "1")]
    pub container_requests: Vec<ContainerAllocateRequest>,
}

/// To one container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerAllocateRequest {
    /// Which.
    #[prost(string, repeated, tag = "1")]
    pub device_ids: Vec<String>,
}

/// What the containers are given.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AllocateResponse {
    /// One a container.
    #[prost(message, repeated, tag = "1")]
    pub container_responses: Vec<ContainerAllocateResponse>,
}

/// What one container is given.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerAllocateResponse {
    /// Environment.
    #[prost(map = "string, string", tag = "1")]
    pub envs: HashMap<String, String>,
    /// Bind mounts.
    #[prost(message, repeated, tag = "2")]
    pub mounts: Vec<Mount>,
    /// Device nodes.
    #[prost(message, repeated, tag = "3")]
    pub devices: Vec<DeviceSpec>,
    /// Annotations of the container, as the runtime sees it.
    #[prost(map = "string, string", tag = "4")]
    pub annotations: HashMap<String, String>,
    /// CDI names, for kubelets from 1.28 on.
    #[prost(message, repeated, tag = "5")]
    pub cdi_devices: Vec<CdiDevice>,
}

/// A bind mount.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Mount {
    /// In the container.
    #[prost(string, tag = "1")]
    pub container_path: String,
    /// On the host.
    #[prost(string, tag = "2")]
    pub host_path: String,
    /// Whether it may not be written.
    #[prost(bool, tag = "3")]
    pub read_only: bool,
}

/// A device node.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeviceSpec {
    /// In the container.
    #[prost(string, tag = "1")]
    pub container_path: String,
    /// On the host.
    #[prost(string, tag = "2")]
    pub host_path: String,
    /// A subset of `rwm`.
    #[prost(string, tag = "3")]
    pub permissions: String,
}

/// A device by its CDI name.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CdiDevice {
    /// `vendor.com/class=name`.
    #[prost(string, tag = "1")]
    pub name: String,
}
