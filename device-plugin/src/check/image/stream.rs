//! Archives that cannot be sought in: compressed ones, and what an engine sends.
//!
//! Their layers come in any order and the manifest often last, so they are read several times: for
//! the documents, for the names of all layers, and for the contents. Nothing is put on a disk.

use super::Interest;
use super::archive::Archive;
use super::budget::Budget;
use super::bytes::{ByReading, Headed, Packing, Section, Tar, Verified, stream_tar, unpacked};
use super::digest::Digest;
use super::engine::Request;
use super::error::ImageError;
use super::layers::{Merge, Pass};
use super::resolve::{Blob, archive_name};
use super::tar::{Entries, Kind, Skim};
use std::collections::HashMap;
use std::io::{self, BufReader};

/// Where the same stream can be had again.
pub(super) enum Origin {
    /// A compressed file.
    File(Section, Packing),
    /// An engine.
    Engine(Request),
}

impl Origin {
    /// The stream, from its beginning.
    pub(super) fn open(&self, name: &str, budget: &Budget) -> Result<Tar, ImageError> {
        let reading = |error| ImageError::reading(name, error);
        match self {
            Origin::File(section, packing) => {
                let packed = Verified::new(section.clone(), None, budget.clone());
                stream_tar(*packing, packed, budget).map_err(reading)
            }
            Origin::Engine(request) => {
                let body = Verified::new(request.send()?, None, budget.clone());
                stream_tar(Packing::None, body, budget).map_err(reading)
            }
        }
    }
}

/// The layers of an image, by their names in the stream: number from the top, and digest.
pub(super) struct Streamed {
    pub(super) origin: Origin,
    pub(super) name: String,
    layers: HashMap<String, (u16, Option<Digest>)>,
}

impl Streamed {
    /// `layers` is the lowest first.
    pub(super) fn new(
        origin: Origin,
        name: &str,
        archive: &Archive,
        layers: &[Blob],
    ) -> Result<Streamed, ImageError> {
        let mut numbers = HashMap::new();
        for (number, blob) in (0..).zip(layers.iter().rev()) {
            let (place, ..) = archive.place(blob)?;
            // A layer that is there twice is hidden by itself the second time.
            let entry = numbers.entry(place.to_owned());
            entry.or_insert((number, blob.digest().cloned()));
        }
        Ok(Streamed {
            origin,
            name: name.to_owned(),
            layers: numbers,
        })
    }

    /// Shows all layers to `merge`.
    pub(super) fn walk(
        &self,
        merge: &mut Merge<'_, impl Interest>,
        budget: &Budget,
    ) -> Result<(), ImageError> {
        if self.layers.len() == 1 {
            self.pass(merge, budget, Some(Pass::Together))?;
        } else {
            self.pass(merge, budget, Some(Pass::Names))?;
            self.pass(merge, budget, Some(Pass::Contents))?;
        }
        if self
            .layers
            .values()
            .any(|(number, _)| merge.has_orphans(*number))
        {
            self.pass(merge, budget, None)?;
        }
        Ok(())
    }

    /// Reads the stream once; without a pass it is for hard links whose file is hidden.
    fn pass(
        &self,
        merge: &mut Merge<'_, impl Interest>,
        budget: &Budget,
        pass: Option<Pass>,
    ) -> Result<(), ImageError> {
        let mut entries = Entries::new(self.origin.open(&self.name, budget)?, budget.clone());
        let reading = |error| ImageError::reading(&self.name, error);
        let mut found = 0;
        while let Some(entry) = entries.next_entry().map_err(reading)? {
            let name = archive_name(&String::from_utf8_lossy(&entry.path));
            let layer = self.layers.get(&name).filter(|_| entry.kind == Kind::File);
            let Some((number, digest)) = layer else {
                continue;
            };
            found += 1;
            let head = Headed::new(&mut entries).map_err(reading)?;
            self.layer(merge, head, *number, digest.as_ref(), (&name, pass), budget)?;
        }
        if found < self.layers.len() {
            return Err(ImageError::broken(
                &self.name,
                "it has changed while it was read: some of its layers are gone",
            ));
        }
        Ok(())
    }

    fn layer(
        &self,
        merge: &mut Merge<'_, impl Interest>,
        head: Headed<&mut Entries<Tar>>,
        number: u16,
        digest: Option<&Digest>,
        (name, pass): (&str, Option<Pass>),
        budget: &Budget,
    ) -> Result<(), ImageError> {
        let reading = |error: io::Error| ImageError::reading(name, error);
        let packing = Packing::of(head.head()).map_err(reading)?;
        if packing == Packing::None {
            return read(merge, head, number, pass, name, false);
        }
        let verified = Verified::new(head, digest.cloned(), budget.clone());
        let plain = unpacked(packing, BufReader::new(verified), budget.clone());
        read(merge, ByReading::new(plain), number, pass, name, true)
    }
}

fn read(
    merge: &mut Merge<'_, impl Interest>,
    tar: impl Skim,
    number: u16,
    pass: Option<Pass>,
    name: &str,
    to_end: bool,
) -> Result<(), ImageError> {
    match pass {
        Some(pass) => merge.layer(tar, number, pass, name, to_end),
        None if merge.has_orphans(number) => merge.orphans(tar, number, name),
        None => Ok(()),
    }
}
