//! Where windows come from: live or recorded, the dashboard cannot tell.

use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Coverage, Judgement, Resource};
use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// One window, charged and judged.
#[derive(Clone, Debug)]
pub struct Tick {
    /// Who used what.
    pub window: WindowUse,
    /// Who harms whom.
    pub judgement: Judgement,
    /// How well each resource was watched.
    pub coverage: BTreeMap<Resource, Coverage>,
}

/// A source of windows.
///
/// Whoever needs time to make a window (a live host) does so in a thread of its own and hands over
/// a channel: its receiving end is a `Feed`.
pub trait Feed {
    /// The next window, where one is there within `wait`. `None` says nothing about later calls.
    fn next(&mut self, wait: Duration) -> Option<Tick>;
}

impl Feed for Receiver<Tick> {
    fn next(&mut self, wait: Duration) -> Option<Tick> {
        if wait.is_zero() {
            self.try_recv().ok()
        } else {
            self.recv_timeout(wait).ok()
        }
    }
}
