//! What a container asks for, by its OCI configuration, and who asked.
//!
//! An image can set environment variables, and in an OCI configuration they look the same as those of
//! the operator: with `NVIDIA_VISIBLE_DEVICES=all` in their images, people have got every GPU of a host
//! past every allocation. So a variable counts only where the engine's own records show that it is not
//! the image's. An annotation can be trusted under every engine that takes none from images; Podman
//! does take them, and reads CDI files anyway.

use dunnage_inventory::Device;
use serde_json::Value;

/// The annotation: names of devices, with commas between them.
pub const ANNOTATION: &str = "dunnage.devices";
/// The variable of the same meaning.
pub const VARIABLE: &str = "DUNNAGE_DEVICES";
/// What the variables begin with by which Swarm tells a task of its generic resources.
pub const SWARM_PREFIX: &str = "DOCKER_RESOURCE_";
/// The most devices that one container may name.
const NAMES_LIMIT: usize = 256;

/// Devices that one annotation or variable asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The annotation or variable.
    pub by: String,
    /// The devices' names.
    pub names: Vec<String>,
}

impl Request {
    /// Whether a device is of the sort that was asked for: `DOCKER_RESOURCE_GPU` gives no FPGA.
    #[must_use]
    pub fn fits(&self, device: &Device) -> bool {
        self.by
            .strip_prefix(SWARM_PREFIX)
            .is_none_or(|resource| resource.eq_ignore_ascii_case(device.kind.as_str()))
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It may be the image's.
    #[error(
        "the container has {name} in its environment, and {why}. An image must not choose devices: \
         ask by the annotation {ANNOTATION}, or by the engine's own --device"
    )]
    NotTheOperators {
        /// The variable.
        name: String,
        /// Why it may be the image's.
        why: String,
    },
    /// Podman's annotations may be the image's.
    #[error(
        "the annotation {ANNOTATION} may be the image's, because Podman takes annotations from images: \
         ask by --device vendor.com/class=name, which Podman understands by itself"
    )]
    Podman,
    /// Nobody needs so many.
    #[error("{by} names more than {NAMES_LIMIT} devices")]
    TooMany {
        /// The annotation or variable.
        by: String,
    },
}

/// What a configuration asks for. `set_by_operator` tells whether a variable is not the image's, or why
/// that cannot be known.
///
/// # Errors
/// [`RequestError`] where somebody asks who must not.
pub fn requests(
    config: &Value,
    set_by_operator: impl Fn(&Value, &str) -> Result<(), String>,
) -> Result<Vec<Request>, RequestError> {
    let mut requests = Vec::new();
    let annotations = &config["annotations"];
    if let Some(text) = annotations[ANNOTATION]
        .as_str()
        .filter(|text| !text.trim().is_empty())
    {
        if annotations["io.container.manager"] == "libpod" {
            return Err(RequestError::Podman);
        }
        requests.push(request(ANNOTATION, text)?);
    }
    let env = config["process"]["env"].as_array();
    for entry in env.into_iter().flatten().filter_map(Value::as_str) {
        let Some((name, value)) = entry.split_once('=') else {
            continue;
        };
        let ours = name == VARIABLE || name.starts_with(SWARM_PREFIX);
        if !ours || value.trim().is_empty() {
            continue;
        }
        set_by_operator(config, name).map_err(|why| RequestError::NotTheOperators {
            name: name.to_owned(),
            why,
        })?;
        requests.push(request(name, value)?);
    }
    Ok(requests)
}

fn request(by: &str, text: &str) -> Result<Request, RequestError> {
    let names: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .take(NAMES_LIMIT + 1)
        .map(str::to_owned)
        .collect();
    if names.len() > NAMES_LIMIT {
        return Err(RequestError::TooMany { by: by.to_owned() });
    }
    Ok(Request {
        by: by.to_owned(),
        names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(config: &Value) -> Result<Vec<Request>, RequestError> {
        requests(config, |_, name| {
            if name.ends_with("BAD") {
                Err("no".to_owned())
            } else {
                Ok(())
            }
        })
    }

    #[test]
    fn annotations_and_the_operators_variables_count() {
        let config = json!({
            "annotations": {"dunnage.devices": "intel.com/gpu=0, b"},
            "process": {"env": ["PATH=/", "DOCKER_RESOURCE_GPU=a", "DUNNAGE_DEVICES=", "ODD"]}
        });
        let found = asked(&config).unwrap();
        assert_eq!(found[0].names, ["intel.com/gpu=0", "b"]);
        assert_eq!(found[1].by, "DOCKER_RESOURCE_GPU");
        assert_eq!(asked(&json!({"process": {"env": 3}})).unwrap(), []);
        assert_eq!(asked(&json!([])).unwrap(), []);
    }

    #[test]
    fn what_may_be_the_images_is_refused() {
        let env = json!({"process": {"env": ["DOCKER_RESOURCE_BAD=a"]}});
        assert!(matches!(
            asked(&env),
            Err(RequestError::NotTheOperators { .. })
        ));
        let podman = json!({"annotations": {
            "dunnage.devices": "a", "io.container.manager": "libpod"}});
        assert!(matches!(asked(&podman), Err(RequestError::Podman)));
        let many = json!({"annotations": {"dunnage.devices": "a,".repeat(300)}});
        assert!(matches!(asked(&many), Err(RequestError::TooMany { .. })));
    }
}
