//! Which devices a command is about, and what they make of a container.

use super::{Context, output};
use crate::cdi::names;
use crate::engines::Wanted;
use crate::offer::{self, Options};
use anyhow::bail;
use clap::Args;
use dunnage_inventory::{Device, Inventory, scan};
use std::path::PathBuf;

/// Options of all commands that give devices.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Given {
    /// A device by its id, another name of it, or its CDI name; may be repeated
    /// [default: all that can be given]
    #[arg(long = "device", value_name = "ID")]
    pub(super) devices: Vec<String>,

    #[command(flatten)]
    pub(super) offer: OfferArgs,
}

/// How devices are offered.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OfferArgs {
    /// Give the nodes for administration too, such as /dev/dfl-fme.0
    #[arg(long)]
    management: bool,

    /// Where NVIDIA's driver is installed, as the host names it
    #[arg(long, value_name = "DIR", default_value = "/", value_parser = host_path)]
    pub(super) driver_root: PathBuf,

    /// Where folders of links are kept that containers mount, as the host names it
    #[arg(long, value_name = "DIR", default_value = "/var/lib/dunnage/links", value_parser = host_path)]
    links_dir: PathBuf,
}

/// A path as the host names it: what engines are told must not depend on a folder that somebody stood
/// in, and they are told in JSON, which has text alone.
pub(super) fn host_path(text: &str) -> Result<PathBuf, &'static str> {
    if text.starts_with('/') {
        Ok(PathBuf::from(text))
    } else {
        Err("it must begin with `/`, as the host names it")
    }
}

impl OfferArgs {
    pub(super) fn options(&self) -> Options {
        Options {
            management: self.management,
            driver_root: self.driver_root.clone(),
            links_dir: self.links_dir.clone(),
            ..Options::default()
        }
    }
}

impl Given {
    /// The devices, as engines take them. What had to be left out is said on standard error.
    pub(super) fn wanted(&self, context: &Context) -> anyhow::Result<Wanted> {
        let inventory = scan(&context.host, &context.config);
        let devices = self.find(&inventory)?;
        let (edits, gaps) =
            offer::offer(&context.host, &inventory, &devices, &self.offer.options())?;
        output::Gaps::default().say(&gaps);
        Ok(Wanted::new(&devices, &inventory, edits))
    }

    fn find<'i>(&self, inventory: &'i Inventory) -> anyhow::Result<Vec<&'i Device>> {
        let mut found: Vec<&Device> = Vec::new();
        for name in &self.devices {
            let those = names::resolve(name, inventory);
            if those.is_empty() {
                bail!("there is no device {name:?} on this host: `dunnage devices` lists them");
            }
            for device in those {
                if found.iter().all(|other| other.id != device.id) {
                    found.push(device);
                }
            }
        }
        if self.devices.is_empty() {
            found.extend(inventory.devices.iter().filter(|one| !one.nodes.is_empty()));
        }
        if found.is_empty() {
            bail!(
                "this host has no accelerator that a container could be given: `dunnage devices` \
                   shows what was found"
            );
        }
        Ok(found)
    }
}

/// What is said where a hook is needed, which command lines cannot say.
pub(super) const NEEDS_CDI: &str =
    "# these devices need a hook, which only CDI and the OCI runtime can say";
