//! What a kubelet says to a runtime by the CRI, `runtime.v1`, as far as it is said here
//! (`staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`).

use std::collections::HashMap;

/// A pod shares the node's network: there is none to be set up.
const NETWORK_OF_THE_NODE: i32 = 2;
/// A container has processes of its own.
const OWN: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Namespaces {
    #[prost(int32, tag = "1")]
    network: i32,
    #[prost(int32, tag = "2")]
    processes: i32,
}

impl Namespaces {
    pub(super) fn of_the_node_alone() -> Namespaces {
        Namespaces {
            network: NETWORK_OF_THE_NODE,
            processes: OWN,
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SandboxSecurity {
    #[prost(message, optional, tag = "1")]
    pub(super) namespaces: Option<Namespaces>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LinuxSandbox {
    #[prost(string, tag = "1")]
    pub(super) cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    pub(super) security: Option<SandboxSecurity>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SandboxConfig {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<Metadata>,
    #[prost(string, tag = "3")]
    pub(super) log_directory: String,
    #[prost(message, optional, tag = "8")]
    pub(super) linux: Option<LinuxSandbox>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RunSandbox {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<SandboxConfig>,
}

/// A request or an answer that is one id.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Id {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) attempt: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Image {
    #[prost(string, tag = "1")]
    pub(super) image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Mount {
    #[prost(string, tag = "1")]
    pub(super) container_path: String,
    #[prost(string, tag = "2")]
    pub(super) host_path: String,
    #[prost(bool, tag = "3")]
    pub(super) read_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Device {
    #[prost(string, tag = "1")]
    pub(super) container_path: String,
    #[prost(string, tag = "2")]
    pub(super) host_path: String,
    #[prost(string, tag = "3")]
    pub(super) permissions: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Number {
    #[prost(int64, tag = "1")]
    pub(super) value: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Resources {
    #[prost(int64, tag = "3")]
    pub(super) cpu_shares: i64,
    #[prost(int64, tag = "4")]
    pub(super) memory_bytes: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Security {
    #[prost(message, optional, tag = "3")]
    pub(super) namespaces: Option<Namespaces>,
    #[prost(message, optional, tag = "5")]
    pub(super) user: Option<Number>,
    #[prost(message, optional, tag = "12")]
    pub(super) group: Option<Number>,
    #[prost(int64, repeated, tag = "8")]
    pub(super) groups: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Linux {
    #[prost(message, optional, tag = "1")]
    pub(super) resources: Option<Resources>,
    #[prost(message, optional, tag = "2")]
    pub(super) security: Option<Security>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Container {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    pub(super) image: Option<Image>,
    #[prost(string, repeated, tag = "4")]
    pub(super) arguments: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(super) environment: Vec<KeyValue>,
    #[prost(message, repeated, tag = "7")]
    pub(super) mounts: Vec<Mount>,
    #[prost(message, repeated, tag = "8")]
    pub(super) devices: Vec<Device>,
    #[prost(map = "string, string", tag = "10")]
    pub(super) annotations: HashMap<String, String>,
    #[prost(string, tag = "11")]
    pub(super) log_path: String,
    #[prost(message, optional, tag = "15")]
    pub(super) linux: Option<Linux>,
    /// Names of CDI.
    #[prost(message, repeated, tag = "17")]
    pub(super) cdi_devices: Vec<Id>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Create {
    #[prost(string, tag = "1")]
    pub(super) sandbox: String,
    #[prost(message, optional, tag = "2")]
    pub(super) container: Option<Container>,
    #[prost(message, optional, tag = "3")]
    pub(super) sandbox_config: Option<SandboxConfig>,
}

/// The state of a container that has ended.
pub(super) const EXITED: i32 = 2;

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct State {
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<State>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Update {
    #[prost(string, tag = "1")]
    pub(super) container: String,
    #[prost(message, optional, tag = "2")]
    pub(super) resources: Option<Resources>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Execute {
    #[prost(string, tag = "1")]
    pub(super) container: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) command: Vec<String>,
    #[prost(int64, tag = "3")]
    pub(super) patience_seconds: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Executed {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) stdout: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) stderr: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub(super) exit_code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AskImage {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Image>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ImageStatus {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Id>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Nothing {}
