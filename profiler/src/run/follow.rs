//! Waits for a CPU of a process and its children, task by task, where no scheduler events can be
//! had: the kernel counts them in `schedstat` (`Documentation/scheduler/sched-stats.rst`).
//!
//! Tasks that come and go between two looks are missed, and so are those that left the tree; behind
//! whom a task waited is not told.

use crate::stop::Stop;
use dunnage_model::units::Nanos;
use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the tree is looked at. A look costs some 20 us a task.
const EVERY: Duration = Duration::from_millis(100);

/// Tasks that are looked at at most.
const MOST_TASKS: usize = 4096;

/// The waits of one tree.
#[derive(Debug, Default)]
struct Waits {
    /// Of each task: ran and waited when it was seen last, and waited when it was seen first.
    tasks: HashMap<u32, (u64, u64, u64)>,
    /// Of tasks whose number another one has now.
    gone: u64,
}

impl Waits {
    /// `first` is what had been waited before the tree was followed: all of a task that is there at
    /// the beginning, nothing of one that is born later.
    fn note(&mut self, task: u32, ran: u64, waited: u64, first: bool) {
        let base = if first { waited } else { 0 };
        let entry = self.tasks.entry(task).or_insert((0, base, base));
        if ran < entry.0 {
            self.gone += entry.1.saturating_sub(entry.2);
            *entry = (0, 0, 0);
        }
        entry.0 = ran;
        entry.1 = waited;
    }

    fn total(&self) -> u64 {
        let tasks = self.tasks.values();
        self.gone
            + tasks
                .map(|(_, last, first)| last.saturating_sub(*first))
                .sum::<u64>()
    }

    fn look(&mut self, root: u32, first: bool) {
        let mut open = vec![root];
        let mut seen = 0;
        while let Some(pid) = open.pop() {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten();
            for task in tasks.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()) {
                seen += 1;
                if seen > MOST_TASKS {
                    return;
                }
                let read =
                    |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{task}/{file}"));
                if let Some((ran, waited)) = read("schedstat").ok().and_then(|text| parse(&text)) {
                    self.note(task, ran, waited, first);
                }
                let children = read("children").unwrap_or_default();
                open.extend(
                    children
                        .split_whitespace()
                        .filter_map(|word| word.parse::<u32>().ok()),
                );
            }
        }
    }
}

/// Nanoseconds on a CPU, and on a run queue.
fn parse(schedstat: &str) -> Option<(u64, u64)> {
    let mut words = schedstat.split_whitespace().map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}

/// Follows a tree in a thread of its own.
#[derive(Debug)]
pub struct Follower {
    waits: Arc<Mutex<Waits>>,
    root: u32,
    ended: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows `root` and what it starts.
    #[must_use]
    pub fn begin(root: u32) -> Follower {
        let waits: Arc<Mutex<Waits>> = Arc::default();
        lock(&waits).look(root, true);
        let ended = Stop::new();
        let (theirs, stop) = (Arc::clone(&waits), ended.clone());
        let thread = thread::spawn(move || {
            while !stop.wait(EVERY) {
                lock(&theirs).look(root, false);
            }
        });
        Follower {
            waits,
            root,
            ended,
            thread: Some(thread),
        }
    }

    /// Looks a last time, and ends: what all tasks waited for a CPU. To be called before the root is
    /// reaped.
    #[must_use]
    pub fn end(mut self) -> Nanos {
        self.stop();
        let mut waits = lock(&self.waits);
        waits.look(self.root, false);
        Nanos(waits.total())
    }

    fn stop(&mut self) {
        self.ended.raise();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(waits: &Mutex<Waits>) -> std::sync::MutexGuard<'_, Waits> {
    waits.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_count_from_the_beginning_and_outlive_their_tasks() {
        let mut waits = Waits::default();
        waits.note(7, 100, 50, true);
        assert_eq!(waits.total(), 0);
        waits.note(7, 200, 80, false);
        waits.note(8, 10, 5, false);
        assert_eq!(waits.total(), 35);
        // Another task has the number 8 now.
        waits.note(8, 3, 1, false);
        assert_eq!(waits.total(), 36);
    }

    #[test]
    fn this_very_process_is_followed() {
        let mut waits = Waits::default();
        waits.look(std::process::id(), false);
        let told = std::path::Path::new("/proc/self/schedstat").exists();
        assert_eq!(waits.tasks.is_empty(), !told);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
