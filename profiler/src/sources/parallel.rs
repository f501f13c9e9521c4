//! Several jobs at once, on a few threads: the kernel takes long to check each program, and checks
//! those of different threads side by side.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Threads at most, the calling one among them. More would wait for the largest object all the same,
/// and take CPUs from the host's load.
const MOST_THREADS: usize = 4;

/// The opening of one source. It leaves its result where its maker looks for it.
pub(super) struct Job<'a> {
    size: usize,
    open: Box<dyn FnOnce() + Send + 'a>,
}

impl<'a> Job<'a> {
    /// A job that loads `object`.
    pub(super) fn new(object: &[u8], open: impl FnOnce() + Send + 'a) -> Job<'a> {
        Job {
            size: object.len(),
            open: Box::new(open),
        }
    }
}

/// Does all of `jobs`. Where no thread can be started, the calling one does them.
pub(super) fn in_parallel(mut jobs: Vec<Job<'_>>) {
    // Large objects take longest, so they come first: none is left for one thread to end with.
    jobs.sort_by_key(|job| Reverse(job.size));
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cpus.min(MOST_THREADS).min(jobs.len());
    let queue = Mutex::new(VecDeque::from(jobs));
    let work = || {
        while let Some(job) = next(&queue) {
            (job.open)();
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            let helper = thread::Builder::new().name("dunnage-open".to_owned());
            let _ = helper.spawn_scoped(scope, work);
        }
        work();
    });
}

fn next<'a>(queue: &Mutex<VecDeque<Job<'a>>>) -> Option<Job<'a>> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.pop_front()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_done_once_and_leaves_its_own_result() {
        for number in [0, 1, 2, MOST_THREADS, 100] {
            let mut results = vec![0; number];
            let jobs = results.iter_mut().enumerate();
            let jobs =
                jobs.map(|(at, result)| Job::new(&vec![0; at % 7], move || *result += at + 1));
            in_parallel(jobs.collect());
            assert_eq!(results, (1..=number).collect::<Vec<_>>());
        }
    }
}
