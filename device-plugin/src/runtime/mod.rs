//! An OCI runtime in front of the real one: gives a container the devices that it was asked for, and
//! hands over. For Swarm, which has no other way, and for engines that do not read CDI files.
//!
//! It acts on `create` and `run` alone, reads and writes the bundle's `config.json` and nothing else of
//! the container, and then becomes the real runtime by exec(2), so that nothing of it stays behind. A
//! container that asks for nothing is handed over untouched. Where a request cannot be fulfilled, the
//! container does not start.

mod command;
mod operator;
pub mod request;

pub use command::{Call, parse};

use crate::cdi::names;
use crate::engines::{bundle, swarm};
use crate::offer::{self, Edits, OfferError, Options};
use dunnage_host::{HostRoot, read_bounded};
use dunnage_inventory::{Device, Inventory};
use serde_json::Value;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The longest `config.json` that is read, in bytes. An engine writes some 20 kB.
const CONFIG_LIMIT: usize = 8 << 20;

/// Why a container does not get its devices, and so does not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The bundle's configuration cannot be read or written.
    #[error("{what} {path}: {source}")]
    Bundle {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bundle's configuration is no JSON.
    #[error("parse {path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It has not the shape of one.
    #[error(transparent)]
    Shape(#[from] bundle::NotOci),
    /// The request is not to be trusted.
    #[error(transparent)]
    Request(#[from] request::RequestError),
    /// A device of that name is not there.
    #[error("{by} asks for the device {name:?}, which this host does not have; it has: {there}")]
    NoSuchDevice {
        /// The variable or annotation.
        by: String,
        /// What it names.
        name: String,
        /// What there is.
        there: String,
    },
    /// The device cannot be given.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

/// Gives the container of a bundle what its configuration asks for; whether it asked for anything.
/// The inventory is taken only then: most containers ask for nothing, and start no later for it.
///
/// # Errors
/// [`RuntimeError`]; the container must not be started then.
pub fn prepare(
    host: &HostRoot,
    inventory: impl FnOnce() -> Inventory,
    bundle: &Path,
    options: &Options,
) -> Result<bool, RuntimeError> {
    let (path, mut config) = read(bundle)?;
    let requests = request::requests(&config, operator::set_by_operator)?;
    if requests.is_empty() {
        return Ok(false);
    }
    let inventory = inventory();
    let devices = resolve(&requests, &inventory)?;
    // All at once: so several GPUs get the names that a container expects, one after the other.
    let edits = offer::edits_for(host, &inventory, &devices, options)?;
    bundle::apply(&mut config, &edits)?;
    write(path, &config)?;
    Ok(true)
}

/// Gives a bundle these changes, whatever it asks for.
///
/// # Errors
/// [`RuntimeError`] where it cannot be read, changed or written.
pub fn apply_to_bundle(bundle: &Path, edits: &Edits) -> Result<(), RuntimeError> {
    let (path, mut config) = read(bundle)?;
    bundle::apply(&mut config, edits)?;
    write(path, &config)
}

fn read(bundle: &Path) -> Result<(PathBuf, Value), RuntimeError> {
    let path = bundle.join("config.json");
    let bytes = read_bounded(&path, CONFIG_LIMIT).map_err(|source| RuntimeError::Bundle {
        what: "read",
        path: path.clone(),
        source,
    })?;
    match serde_json::from_slice(&bytes) {
        Ok(config) => Ok((path, config)),
        Err(source) => Err(RuntimeError::Json { path, source }),
    }
}

fn write(path: PathBuf, config: &Value) -> Result<(), RuntimeError> {
    replace(&path, config).map_err(|source| RuntimeError::Bundle {
        what: "write",
        path,
        source,
    })
}

fn resolve<'i>(
    requests: &[request::Request],
    inventory: &'i Inventory,
) -> Result<Vec<&'i Device>, RuntimeError> {
    let mut devices: Vec<&Device> = Vec::new();
    for request in requests {
        for name in &request.names {
            // Of a shared device Swarm counts slots.
            let device = if request.by.starts_with(request::SWARM_PREFIX) {
                swarm::without_slot(name)
            } else {
                name
            };
            let found = names::resolve(device, inventory);
            let fits = |device: &&Device| request.fits(device);
            if found.is_empty() || !found.iter().all(fits) {
                return Err(RuntimeError::NoSuchDevice {
                    by: request.by.clone(),
                    name: name.clone(),
                    there: there(inventory),
                });
            }
            for device in found {
                if devices.iter().all(|other| other.id != device.id) {
                    devices.push(device);
                }
            }
        }
    }
    Ok(devices)
}

/// The names of what there is, for a message.
fn there(inventory: &Inventory) -> String {
    let names: Vec<String> = inventory
        .devices
        .iter()
        .take(16)
        .map(|device| names::qualified_name(device, inventory))
        .collect();
    match names.len() {
        0 => "none".to_owned(),
        16 => format!("{}, ... (`dunnage devices`)", names.join(", ")),
        _ => names.join(", "),
    }
}

/// Writes the configuration in one step, readable by whom it was readable before.
fn replace(path: &Path, config: &Value) -> io::Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    let fresh = path.with_extension(format!("json.dunnage-{}", std::process::id()));
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&fresh)?;
        file.set_permissions(permissions)?;
        file.write_all(config.to_string().as_bytes())?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests;
