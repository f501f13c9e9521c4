//! What the operator adds: rules for devices that no family knows, and how devices are shared.
//!
//! A TOML file. A key that is not known, a value of the wrong sort and a rule that says nothing are
//! errors with the line, so that a slip of the pen does not give less than was meant, or more:
//!
//! ```toml
//! [[rule]]                        # each character device of a class in sysfs is a device
//! name = "coral"
//! kind = "npu"                    # gpu, fpga, npu, qat, dsa, media, other (where left out)
//! vendor = "google"
//! model = "Edge TPU"
//! class = "apex"                  # /sys/class/apex/*
//!
//! [[rule]]                        # each device that a driver is bound to, on any bus
//! name = "uio"
//! driver = "uio_pci_generic"
//!
//! [[rule]]                        # each match of a pattern below /dev
//! name = "card"
//! nodes = ["/dev/vendor/card*"]
//! users = "one"                   # any (where left out), one, or a number
//! also = [
//!     { path = "/dev/vendor/card{}_dma" },                        # {}: what the star stood for
//!     { path = "/dev/vendor/ctl", role = "control" },
//!     { path = "/dev/vendor/debug", role = "management", optional = true },
//! ]
//!
//! [[rule]]                        # counted: all matches together, for three users at a time
//! name = "cluster"
//! nodes = ["/dev/tty2?"]
//! count = 3
//!
//! [[sharing]]                     # how many containers may have a device at the same time
//! device = "0000:65:00.0"         # an id or another name of it; or family = "..." or model = "..."
//! slots = 4
//!
//! [[resource]]                    # what schedulers call a device; or device = "...", model = "..."
//! family = "nvidia"
//! name = "acme.com/gpu"
//! ```

mod resource;
mod rule;
mod sharing;

use crate::device::Device;
use dunnage_host::read_bounded;
pub use resource::Resource;
pub use rule::{AlsoNode, AlsoRole, Rule, Selection};
use serde::Deserialize;
pub use sharing::{Sharing, SharingError, Subject};
use std::path::{Path, PathBuf};

/// The largest configuration that is read, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// The most rules, and the most statements on sharing.
const TABLES_LIMIT: usize = 1024;

/// The configuration of the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Devices that no family knows.
    pub rules: Vec<Rule>,
    /// How many may use a device at the same time, where it is not what the driver allows.
    pub sharing: Vec<Sharing>,
    /// What schedulers call devices, where it is not what they are called everywhere.
    pub resources: Vec<Resource>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; name another with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not UTF-8.
    #[error("the configuration {path} is not UTF-8 text")]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// The text is no TOML, or has a key or value that is not known.
    #[error("the configuration cannot be used: line {line}: {why}")]
    Parse {
        /// The line, from 1.
        line: usize,
        /// What is wrong in it, and what is wanted.
        why: String,
    },
    /// A rule contradicts itself.
    #[error("rule {name:?} of the configuration: {why}")]
    Rule {
        /// Its name.
        name: String,
        /// What is wrong, and what is wanted.
        why: String,
    },
    /// A statement on sharing contradicts itself.
    #[error("[[sharing]] number {number} of the configuration: {why}")]
    Sharing {
        /// Its place among those in the file, from 1.
        number: usize,
        /// What is wrong, and what is wanted.
        why: String,
    },
    /// A name of a resource cannot be used.
    #[error("[[resource]] number {number} of the configuration: {why}")]
    Resource {
        /// Its place among those in the file, from 1.
        number: usize,
        /// What is wrong, and what is wanted.
        why: String,
    },
    /// There are too many tables.
    #[error("more than {TABLES_LIMIT} tables [[{0}]] in the configuration")]
    TooMany(&'static str),
}

/// The file as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    rule: Vec<rule::Written>,
    #[serde(default)]
    sharing: Vec<sharing::Written>,
    #[serde(default)]
    resource: Vec<resource::Written>,
}

/// The library draws the line and a mark below it, which is no sentence.
fn in_one_line(text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start));
    ConfigError::Parse {
        line: 1 + before.map_or(0, |before| before.matches('\n').count()),
        why: error.message().replace('\n', "; "),
    }
}

impl Config {
    /// Of the text of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`], with the line for everything that the text itself has wrong.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let written: Written = toml::from_str(text).map_err(|error| in_one_line(text, &error))?;
        if written.rule.len() > TABLES_LIMIT {
            return Err(ConfigError::TooMany("rule"));
        }
        if written.sharing.len() > TABLES_LIMIT {
            return Err(ConfigError::TooMany("sharing"));
        }
        if written.resource.len() > TABLES_LIMIT {
            return Err(ConfigError::TooMany("resource"));
        }
        let mut rules = Vec::<Rule>::new();
        for written in written.rule {
            let name = written.name.clone();
            let error = |why| ConfigError::Rule {
                name: name.clone(),
                why,
            };
            let rule = Rule::try_from(written).map_err(error)?;
            if rules.iter().any(|other| other.name == rule.name) {
                return Err(error("there is another rule of this name".to_owned()));
            }
            rules.push(rule);
        }
        let sharing = written
            .sharing
            .into_iter()
            .zip(1..)
            .map(|(written, number)| {
                Sharing::try_from(written).map_err(|why| ConfigError::Sharing { number, why })
            })
            .collect::<Result<_, _>>()?;
        let resources = written
            .resource
            .into_iter()
            .zip(1..)
            .map(|(written, number)| {
                Resource::try_from(written).map_err(|why| ConfigError::Resource { number, why })
            })
            .collect::<Result<_, _>>()?;
        Ok(Config {
            rules,
            sharing,
            resources,
        })
    }

    /// Reads the configuration at `path`: a file of this machine, not below the host's root.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that is not there is an error too.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let bytes = read_bounded(path, SIZE_LIMIT).map_err(|source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::Encoding {
            path: path.to_path_buf(),
        })?;
        Config::parse(&text)
    }

    /// How many slots are declared for `device`; `None` where nothing is declared. What names the
    /// device goes before what names its model, and that before its family; of several alike the
    /// last one holds.
    ///
    /// # Errors
    /// [`SharingError`] where more are declared than the driver lets use the device: sharing that
    /// cannot work is refused and not quietly made smaller.
    pub fn slots(&self, device: &Device) -> Result<Option<u32>, SharingError> {
        sharing::slots(&self.sharing, device)
    }

    /// What schedulers are to call the resource that `device` belongs to; `None` for the usual name.
    #[must_use]
    pub fn resource(&self, device: &Device) -> Option<&str> {
        resource::name(&self.resources, device)
    }
}

#[cfg(test)]
mod tests;
