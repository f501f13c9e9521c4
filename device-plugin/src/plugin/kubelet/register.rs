//! Telling the kubelet that a resource is served.

use super::dial::dial;
use crate::plugin::api::{Empty, RegisterRequest, VERSION, path};
use crate::plugin::state::OPTIONS;
use std::path::Path;
use std::time::Duration;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// A kubelet dials back for up to 10 s before it answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why the kubelet does not know of a resource.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Nobody listens, or not yet.
    #[error("connecting to the kubelet at {path} failed: {why}")]
    Connect {
        /// The kubelet's socket.
        path: String,
        /// Why.
        why: String,
    },
    /// It said no.
    #[error("the kubelet refused {resource}: {status}")]
    Refused {
        /// The resource.
        resource: String,
        /// What it said.
        status: Box<Status>,
    },
    /// It said nothing.
    #[error("the kubelet did not answer for 15 s when {resource} was registered")]
    Late {
        /// The resource.
        resource: String,
    },
}

/// Registers `resource`, which is served at the socket named `endpoint` beside the kubelet's own.
///
/// # Errors
/// Where the kubelet is not there, is busy, or refuses the name.
pub async fn register(kubelet: &Path, endpoint: &str, resource: &str) -> Result<(), RegisterError> {
    let late = |_| RegisterError::Late {
        resource: resource.to_owned(),
    };
    tokio::time::timeout(PATIENCE, ask(kubelet, endpoint, resource))
        .await
        .map_err(late)?
}

async fn ask(kubelet: &Path, endpoint: &str, resource: &str) -> Result<(), RegisterError> {
    let dialled = dial(kubelet).await;
    let mut grpc = dialled.map_err(|why| RegisterError::Connect {
        path: kubelet.display().to_string(),
        why,
    })?;
    let request = Request::new(RegisterRequest {
        version: VERSION.to_owned(),
        endpoint: endpoint.to_owned(),
        resource_name: resource.to_owned(),
        options: Some(OPTIONS),
    });
    let codec = ProstCodec::<RegisterRequest, Empty>::default();
    let answer = grpc.unary(request, PathAndQuery::from_static(path::REGISTER), codec);
    answer
        .await
        .map(|_| ())
        .map_err(|status| RegisterError::Refused {
            resource: resource.to_owned(),
            status: Box::new(status),
        })
}
