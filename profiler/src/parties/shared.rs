//! What the asking thread and the looking-up threads share.

use super::engines::{EngineKind, Failure};
use super::names::{Known, Names, SourceId};
use super::{EngineHealth, EngineState};
use dunnage_model::party::Party;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Paths whose answers are kept; with more the cache starts afresh.
const MOST_CACHED: usize = 65_536;

/// Names, the answers made of them, and how far each source has come.
#[derive(Default)]
pub(super) struct Shared {
    names: RwLock<Names>,
    answers: RwLock<HashMap<Arc<str>, Arc<Party>>>,
    sources: Mutex<Vec<Progress>>,
    moved: Condvar,
}

struct Progress {
    id: SourceId,
    kind: EngineKind,
    socket: PathBuf,
    state: EngineState,
    /// Rounds of questions asked for, and answered or given up.
    wanted: u64,
    done: u64,
    /// Rounds that brought an answer.
    answers: u64,
    wake: Arc<Notify>,
}

/// A source as its session sees it.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) id: SourceId,
    /// Somebody wants to know the latest.
    pub(super) wake: Arc<Notify>,
}

/// Which sources to ask for the latest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Those that cost a few directory listings.
    Cheap,
    /// All that do not tell news by themselves.
    All,
}

impl Shared {
    /// A new source; its first answer counts as wanted.
    pub(super) fn register(
        &self,
        kind: EngineKind,
        user: Option<u32>,
        socket: PathBuf,
    ) -> Registered {
        let id = write(&self.names).add_source(kind, user);
        let wake = Arc::new(Notify::new());
        lock(&self.sources).push(Progress {
            id,
            kind,
            socket,
            state: EngineState::Failing("not asked yet".to_owned()),
            wanted: 1,
            done: 0,
            answers: 0,
            wake: Arc::clone(&wake),
        });
        Registered { id, wake }
    }

    /// The party of a cgroup, from the cache or made now.
    pub(super) fn party(&self, path: &str) -> Arc<Party> {
        if let Some(known) = read(&self.answers).get(path) {
            return Arc::clone(known);
        }
        // The names stay locked until the answer is stored, so that a change in between, which
        // empties the cache, cannot leave an old answer behind.
        let names = read(&self.names);
        let party = Arc::new(names.party(path));
        let is_unknown = names.is_unknown(path);
        let mut answers = write(&self.answers);
        if answers.len() >= MOST_CACHED {
            answers.clear();
        }
        answers.insert(Arc::from(path), Arc::clone(&party));
        drop(answers);
        drop(names);
        if is_unknown {
            let is_container = !party.id.is_empty();
            self.ask(if is_container { Ask::All } else { Ask::Cheap });
        }
        party
    }

    /// Changes the names; answers made of the old ones are dropped where `change` says so.
    pub(super) fn change(&self, change: impl FnOnce(&mut Names) -> bool) {
        let mut names = write(&self.names);
        if change(&mut names) {
            write(&self.answers).clear();
        }
    }

    /// All that a source has now.
    pub(super) fn replace(&self, source: SourceId, all: Vec<Known>) {
        self.change(|names| names.replace(source, all, Instant::now()));
    }

    /// One more container of a source.
    pub(super) fn put(&self, source: SourceId, known: Known) {
        self.change(|names| names.put(source, known, Instant::now()));
    }

    /// Reads the names.
    pub(super) fn names<T>(&self, reader: impl FnOnce(&Names) -> T) -> T {
        reader(&read(&self.names))
    }

    /// Wakes the sources that tell no news by themselves.
    pub(super) fn ask(&self, ask: Ask) {
        for source in lock(&self.sources).iter_mut() {
            let is_cheap = source.kind == EngineKind::Runc;
            let polled = is_cheap || source.kind == EngineKind::Cri;
            if !polled || (ask == Ask::Cheap && !is_cheap) {
                continue;
            }
            // A round under way may have passed by what is new. An engine that does not answer at
            // all is asked again by its own back-off.
            if matches!(source.state, EngineState::Answering { .. }) {
                source.wanted += 1;
            }
            source.wake.notify_one();
        }
    }

    /// How many rounds are wanted of a source by now: to be given to [`Shared::answered`].
    pub(super) fn wanted(&self, source: SourceId) -> u64 {
        lock(&self.sources)
            .iter()
            .find(|s| s.id == source)
            .map_or(0, |s| s.wanted)
    }

    /// How many rounds have brought an answer.
    pub(super) fn answers_of(&self, source: SourceId) -> u64 {
        lock(&self.sources)
            .iter()
            .find(|s| s.id == source)
            .map_or(0, |s| s.answers)
    }

    /// A source has answered in full all that was wanted up to `round`.
    pub(super) fn answered(&self, source: SourceId, round: u64) {
        let containers = self.names(|names| names.count(source));
        self.advance(source, Some(round), &EngineState::Answering { containers });
    }

    /// A source could not answer.
    pub(super) fn failed(&self, source: SourceId, failure: &Failure) {
        let state = match failure {
            Failure::Absent => EngineState::Absent,
            Failure::Refused(why) => EngineState::Refused(why.clone()),
            Failure::Failing(why) => EngineState::Failing(why.clone()),
        };
        self.advance(source, None, &state);
    }

    fn advance(&self, source: SourceId, round: Option<u64>, state: &EngineState) {
        for progress in lock(&self.sources).iter_mut().filter(|s| s.id == source) {
            if progress.state != *state {
                tracing::debug!(kind = progress.kind.as_str(), socket = ?progress.socket, ?state);
            }
            progress.done = round.unwrap_or(progress.wanted);
            progress.answers += u64::from(round.is_some());
            progress.state = state.clone();
        }
        self.moved.notify_all();
    }

    /// Waits until every source has answered, or failed to, all that was asked; at most so long.
    pub(super) fn settle(&self, patience: Duration) {
        let sources = lock(&self.sources);
        let unsettled = |sources: &mut Vec<Progress>| sources.iter().any(|s| s.done < s.wanted);
        let waited = self.moved.wait_timeout_while(sources, patience, unsettled);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The state of every engine; state folders are no engines and left out.
    pub(super) fn health(&self) -> Vec<EngineHealth> {
        let mut health: Vec<EngineHealth> = Vec::new();
        for source in lock(&self.sources)
            .iter()
            .filter(|s| s.kind != EngineKind::Runc)
        {
            let state = match &source.state {
                EngineState::Answering { .. } => {
                    let containers = self.names(|names| names.count(source.id));
                    EngineState::Answering { containers }
                }
                other => other.clone(),
            };
            let engine = source.kind.as_str().to_owned();
            health.push(EngineHealth {
                engine,
                socket: source.socket.clone(),
                state,
            });
        }
        health
    }
}

// A thread that panicked while it held a lock has left whole entries behind; names are worth less
// than going on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
