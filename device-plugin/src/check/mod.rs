//! Whether an image can work with this host, before anything starts.
//!
//! `image -> facts`, `host -> facts`, and pure clauses that compare the two. The facts of an image are
//! kept for as long as it is the same image ([`cache`]); the host is read each time.

mod artifact;
pub mod cache;
pub mod clauses;
mod document;
pub mod facts;
pub mod host;
pub mod image;
pub mod machine;
#[cfg(test)]
mod testing;
pub mod version;

use crate::cdi::names;
use clauses::{Outcome, Verdict};
use dunnage_host::HostRoot;
use dunnage_inventory::Inventory;
use dunnage_model::document::CompatibilityDocument;
use dunnage_model::gap::Gap;
use facts::{Collector, ImageFacts};
use host::HostFacts;
use image::{ImageError, ImageMeta, Source, Stamp};
use std::path::PathBuf;
use std::time::SystemTime;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The device to ask about, by any of its names; absent for whichever answers best.
    pub device: Option<String>,
    /// The platform to choose from an index: `linux/arm64`.
    pub platform: Option<String>,
    /// The folder of the host that NVIDIA's driver is installed in.
    pub driver_root: PathBuf,
    /// Where facts of images are kept; absent to keep none.
    pub cache: Option<PathBuf>,
}

impl Default for CheckOptions {
    fn default() -> CheckOptions {
        CheckOptions {
            device: None,
            platform: None,
            driver_root: PathBuf::from("/"),
            cache: None,
        }
    }
}

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// There is no such device.
    #[error("no device is called {0:?}: `devices list` shows those there are")]
    NoSuchDevice(String),
    /// The name is that of all of a kind.
    #[error("{0:?} is several devices: name one of them")]
    SeveralDevices(String),
}

/// Checks an image against a host.
///
/// # Errors
/// An image that cannot be read, or a device that is not there.
pub fn check(
    host: &HostRoot,
    inventory: &Inventory,
    source: &Source,
    options: &CheckOptions,
) -> Result<CompatibilityDocument, CheckError> {
    let device = match &options.device {
        Some(name) => match names::resolve(name, inventory)[..] {
            [device] => Some(device),
            [] => return Err(CheckError::NoSuchDevice(name.clone())),
            _ => return Err(CheckError::SeveralDevices(name.clone())),
        },
        None => None,
    };
    let (meta, mut facts, mut gaps) = read(source, options)?;
    // Artifacts may be attached at any time after the image was made.
    let (attached, unread) = artifact::find(source, &meta);
    facts.nfd = attached;
    gaps.extend(unread);
    let here = HostFacts::read(host, inventory, &facts, &options.driver_root);
    let mut outcome = clauses::compare(&facts, &here, inventory, device);
    add_gaps(&mut outcome, &gaps);
    gaps.extend(inventory.gaps.iter().cloned());
    Ok(document::of(&meta, &facts, &here, &outcome, &gaps))
}

/// What the image is and what its files tell, from the cache where it is still the same image.
fn read(
    source: &Source,
    options: &CheckOptions,
) -> Result<(ImageMeta, ImageFacts, Vec<Gap>), ImageError> {
    let platform = options.platform.as_deref();
    let folder = options.cache.as_deref();
    let began = SystemTime::now();
    let kept = |stamp: &Stamp| cache::Entry::of(folder?, stamp).read();
    let mut stamp = folder.and_then(|_| image::stamp(source, platform));
    if let Some(kept) = stamp.as_ref().and_then(kept) {
        return Ok((kept.meta, kept.facts, Vec::new()));
    }
    let image = image::open(source, platform)?;
    if let (Some(_), None) = (folder, &stamp) {
        stamp = image.stamp();
        if let Some(kept) = stamp.as_ref().and_then(kept) {
            // Its documents were read just now.
            return Ok((image.meta().clone(), kept.facts, Vec::new()));
        }
    }
    let mut collector = Collector::new(image.meta());
    let walked = image.walk(&mut collector)?;
    let facts = collector.finish();
    // What was read in part may read whole another time, and what was changed meanwhile, or may have
    // been, is not what the stamp stands for.
    if let (Some(folder), Some(stamp)) = (folder, stamp)
        && walked.gaps.is_empty()
        && stamp.settled_by(began)
        && image.is_still(&stamp, source, platform)
    {
        cache::Entry::of(folder, &stamp).write(image.meta(), &facts);
    }
    Ok((image.meta().clone(), facts, walked.gaps))
}

/// An image that was read in part may hold what was not seen.
fn add_gaps(outcome: &mut Outcome<'_>, gaps: &[Gap]) {
    if let Some(gap) = gaps.first() {
        let mut clause = clauses::Clause::new("the whole image readable");
        clause.there = Some(format!("{}: {}", gap.what, gap.why));
        clause.remedy = Some("fetch the image again".to_owned());
        outcome.clauses.push(clause);
    }
}

/// The answer of a document.
#[must_use]
pub fn verdict_of(document: &CompatibilityDocument) -> Verdict {
    match &*document.verdict {
        "yes" => Verdict::Yes,
        "no" => Verdict::No,
        _ => Verdict::Unknown,
    }
}

/// The facts of an image, without a host: for tests and measurements.
///
/// # Errors
/// An image that cannot be read.
pub fn facts_of(source: &Source, platform: Option<&str>) -> Result<ImageFacts, ImageError> {
    let image = image::open(source, platform)?;
    let mut collector = Collector::new(image.meta());
    image.walk(&mut collector)?;
    Ok(collector.finish())
}
