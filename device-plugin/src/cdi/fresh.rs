//! Specifications that are kept fresh: written again whenever something changes that they tell of.
//!
//! What is gone is taken back at once, before it is known what takes its place. Then a burst of events
//! is let pass, the host is scanned, and what differs is written.

use super::gone::Standing;
use super::spec::Spec;
use super::write::{Report, Store, WriteError, is_ours};
use dunnage_host::HostRoot;
use dunnage_inventory::events::{Change, Events, EventsError};
use dunnage_model::gap::Gap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A burst is over when nothing comes for so long. One device brings several events within
/// milliseconds: its own, those of its classes, and its nodes.
const QUIET: Duration = Duration::from_millis(20);

/// A burst without end is not waited for. With a scan this stays well below 200 ms.
const BURST: Duration = Duration::from_millis(60);

/// What could not be written is tried again after this long, and then ever more rarely: no event tells
/// that there is room again on a disk.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// Why specifications cannot be kept fresh.
#[derive(Debug, thiserror::Error)]
pub enum FreshError {
    /// No events can be had.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// Waiting for events failed.
    #[error("cannot wait for events of the kernel: {0}")]
    Wait(#[from] io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What came of one change.
#[derive(Debug, Default)]
pub struct Round {
    /// What changed, in words for a log; hostile text.
    pub what: Vec<String>,
    /// Files that were taken back, or cut down to what still stands, before the host was scanned.
    pub withdrawn: Vec<String>,
    /// What was written then.
    pub report: Report,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// From the first event to the last file.
    pub took: Duration,
}

/// Makes the specifications of the host as it is now.
type Make<'a> = Box<dyn FnMut() -> (Vec<Spec>, Vec<Gap>) + 'a>;

/// Keeps a folder of specifications fresh.
pub struct Keeper<'a> {
    host: &'a HostRoot,
    folder: PathBuf,
    watched: Vec<PathBuf>,
    make: Make<'a>,
    events: Events,
    standing: Vec<Standing>,
    retry: Option<Duration>,
}

impl<'a> Keeper<'a> {
    /// A keeper of `folder`, whose specifications `make` makes. `watched` are further paths of the host
    /// whose change means that they must be made again.
    ///
    /// # Errors
    /// Where no events can be had.
    pub fn open(
        host: &'a HostRoot,
        folder: &Path,
        watched: Vec<PathBuf>,
        make: impl FnMut() -> (Vec<Spec>, Vec<Gap>) + 'a,
    ) -> Result<Keeper<'a>, FreshError> {
        let events = Events::open(host, &watched)?;
        Ok(Keeper {
            host,
            folder: folder.to_path_buf(),
            watched,
            make: Box::new(make),
            events,
            standing: Vec::new(),
            retry: None,
        })
    }

    /// Scans and writes.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn refresh(&mut self) -> Result<Round, FreshError> {
        let started = Instant::now();
        let mut round = Round::default();
        self.renew(&mut round)?;
        round.took = started.elapsed();
        Ok(round)
    }

    /// Waits for a change, and sees to it that the specifications say what is there then.
    ///
    /// # Errors
    /// Where events cannot be waited for. A folder that cannot be used is tried again, and is a gap.
    pub fn wait(&mut self) -> Result<Round, FreshError> {
        let change = self.events.wait(self.retry)?;
        let started = Instant::now();
        let mut round = Round::default();
        let done = if is_own_writing(&change) {
            self.check(&mut round)
        } else {
            self.settle(change, &mut round)
                .and_then(|()| self.renew(&mut round))
        };
        match done {
            Ok(()) => {}
            Err(FreshError::Write(error)) => {
                self.retry_later(true);
                round.report.failed.push(error);
            }
            Err(error) => return Err(error),
        }
        round.took = started.elapsed();
        Ok(round)
    }

    /// Takes back what is gone while the burst lasts.
    fn settle(&mut self, first: Change, round: &mut Round) -> Result<(), FreshError> {
        let started = Instant::now();
        let mut change = first;
        while !change.timed_out {
            round.what.append(&mut change.what);
            self.withdraw(round)?;
            if started.elapsed() >= BURST {
                break;
            }
            change = self.events.wait(Some(QUIET))?;
        }
        round.what.sort_unstable();
        round.what.dedup();
        Ok(())
    }

    /// Takes back what names something that is gone.
    fn withdraw(&mut self, round: &mut Round) -> Result<(), FreshError> {
        let host = self.host;
        let left: Vec<Option<Spec>> = self.standing.iter().map(|s| s.left(host)).collect();
        let whole =
            |(standing, left): (&Standing, &Option<Spec>)| left.as_ref() == Some(&standing.spec);
        if self.standing.iter().zip(&left).all(whole) {
            return Ok(());
        }
        let store = Store::open(&self.folder)?;
        let before: Vec<String> = self.standing.iter().map(|s| s.spec.file_name()).collect();
        let specs: Vec<Spec> = left.into_iter().flatten().collect();
        let report = store.update(&specs)?;
        // Rather no specification than one that names what is gone.
        for name in before {
            let kept = report.written.contains(&name) || report.unchanged.contains(&name);
            if !kept {
                store.withdraw(&name)?;
            }
            if !report.unchanged.contains(&name) {
                round.withdrawn.push(name);
            }
        }
        self.standing = specs
            .into_iter()
            .map(|spec| Standing::now(host, spec))
            .collect();
        Ok(())
    }

    /// Scans the host and writes what differs.
    fn renew(&mut self, round: &mut Round) -> Result<(), FreshError> {
        let (mut specs, mut gaps) = (self.make)();
        for _ in 0..3 {
            self.standing = specs
                .iter()
                .map(|spec| Standing::now(self.host, spec.clone()))
                .collect();
            let mut paths = self.watched.clone();
            paths.extend(specs.iter().flat_map(Spec::referenced_paths));
            if !self.events.watch_instead(&paths) {
                break;
            }
            // Whatever went between the scan and the watch is told by nobody.
            let whole = |s: &Standing| s.left(self.host).as_ref() == Some(&s.spec);
            if self.standing.iter().all(whole) {
                break;
            }
            (specs, gaps) = (self.make)();
        }
        gaps.extend(self.events.gaps());
        round.gaps = gaps;
        round.report = Store::open(&self.folder)?.update(&specs)?;
        self.retry_later(!round.report.failed.is_empty());
        Ok(())
    }

    /// Looks after the files alone: somebody wrote into the folder, which may have been us.
    fn check(&mut self, round: &mut Round) -> Result<(), FreshError> {
        let specs: Vec<Spec> = self.standing.iter().map(|s| s.spec.clone()).collect();
        round.report = Store::open(&self.folder)?.update(&specs)?;
        self.retry_later(!round.report.failed.is_empty());
        Ok(())
    }

    fn retry_later(&mut self, failed: bool) {
        self.retry = failed.then(|| {
            let next = self.retry.map_or(RETRY, |before| before * 2);
            next.min(RETRY_LIMIT)
        });
    }
}

/// Whether nothing but files of ours was written.
fn is_own_writing(change: &Change) -> bool {
    let is_file_of_ours = |what: &String| {
        let name = Path::new(what).file_name();
        name.and_then(|name| name.to_str()).is_some_and(is_ours)
    };
    !change.overflow && !change.what.is_empty() && change.what.iter().all(is_file_of_ours)
}

#[cfg(test)]
mod tests;
