//! The programs that see every packet of the machine, attached only while packets stand in queues.
//!
//! Most packets pass no queue: loopback has none, and one that finds its queue empty and the device ready
//! goes past it. So the programs that note whose a packet is before it comes to a queue, and those that
//! see it dropped, are taken away while queues are not in use. The program in the queue counts on, and
//! wakes the thread of this file, which attaches them again. To attach and detach may wait for every CPU;
//! nobody else waits for it here.

use super::LinkError;
use super::layout::watch;
use crate::clock;
use crate::sources::switched::Switched;
use crate::sys::MappedArray;
use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use aya::programs::ProgramError;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Packets a second in queues from which on it is told whose they are, were they routed: `ENOUGH` of
/// `tables.h`. Fewer of full length make some 200 kbit/s.
const ENOUGH: f64 = 16.0;

/// How long after the start it is first looked whether queues are in use: a flood that is there already
/// shows in a fraction of it.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// For how long queues must have been quiet before their programs go: bursts that come every few seconds
/// keep them.
const QUIET: Duration = Duration::from_secs(10);

/// The thread; ends when dropped, and the programs with it.
pub(super) struct Demand {
    end: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Demand {
    /// Takes over a loaded object with all its programs; those called `programs` go and come by demand
    /// and are attached from now on.
    pub(super) fn start(
        mut ebpf: Ebpf,
        watch: MappedArray,
        programs: Vec<&'static str>,
    ) -> Result<Demand, LinkError> {
        let wakes = ebpf.take_map("wakes");
        let wakes = wakes.and_then(|map| RingBuf::try_from(map).ok());
        let wakes = wakes.ok_or(LinkError::Missing("wakes"))?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let end = Arc::new(EventFd::from_flags(flags).map_err(std::io::Error::from)?);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(std::io::Error::from)?;
        for (fd, which) in [(wakes.as_fd(), WOKEN), (end.as_fd(), ENDED)] {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, which);
            epoll.add(fd, event).map_err(std::io::Error::from)?;
        }
        let mut programs = Programs {
            switched: Switched::new(ebpf, programs),
            watch,
        };
        programs
            .attach()
            .map_err(|e| LinkError::Demand(Box::new(e)))?;
        // It lives until this side is dropped, which raises the event.
        let ended = Arc::clone(&end);
        let thread = std::thread::Builder::new()
            .name("queues".to_owned())
            .spawn(move || {
                let _ended = ended;
                follow(&epoll, wakes, programs);
            })?;
        Ok(Demand {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        if self.end.write(1).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

const WOKEN: u64 = 0;
const ENDED: u64 = 1;

/// Attaches and detaches until it is told to end.
fn follow(epoll: &Epoll, mut wakes: RingBuf<MapData>, mut programs: Programs) {
    let mut length = FIRST_LOOK;
    let mut began = (Instant::now(), programs.busy());
    loop {
        // Nothing but a wake-up is waited for while nothing is attached.
        let left = programs
            .switched
            .are_attached()
            .then(|| length.saturating_sub(began.0.elapsed()));
        let mut events = [EpollEvent::empty(); 2];
        let count = match epoll.wait(&mut events, timeout(left)) {
            Ok(count) => count,
            Err(nix::Error::EINTR) => continue,
            Err(_) => return,
        };
        if events.iter().take(count).any(|event| event.data() == ENDED) {
            return;
        }
        while wakes.next().is_some() {}
        if !programs.switched.are_attached() {
            // Where the kernel refuses them this time, those packets are nobody's, and the next wake-up
            // is a second away: they were attached once.
            if count > 0 && programs.attach().is_ok() {
                length = QUIET;
                began = (Instant::now(), programs.busy());
            }
        } else if began.0.elapsed() >= length {
            let busy = programs.busy();
            if !are_in_use(busy.saturating_sub(began.1), began.0.elapsed()) {
                programs.detach();
            }
            length = QUIET;
            began = (Instant::now(), busy);
        }
    }
}

/// A millisecond more than what is left, so that it has passed then.
fn timeout(left: Option<Duration>) -> EpollTimeout {
    left.map_or(EpollTimeout::NONE, |left| {
        let more = left + Duration::from_millis(1);
        EpollTimeout::try_from(more).unwrap_or(EpollTimeout::MAX)
    })
}

/// Whether so many packets in queues within `time` are enough.
fn are_in_use(packets: u64, time: Duration) -> bool {
    packets as f64 >= ENOUGH * time.as_secs_f64()
}

/// The programs, and the words that the program in the queue shares with them.
struct Programs {
    switched: Switched,
    watch: MappedArray,
}

impl Programs {
    fn busy(&self) -> u64 {
        self.watch.load(0, watch::BUSY)
    }

    /// All of them, or none.
    fn attach(&mut self) -> Result<(), ProgramError> {
        // What was noted before now may be of other packets.
        self.watch.store(0, watch::NOTING, clock::monotonic().0);
        let attached = self.switched.attach();
        if attached.is_err() {
            self.watch.store(0, watch::NOTING, 0);
        }
        attached
    }

    fn detach(&mut self) {
        self.watch.store(0, watch::NOTING, 0);
        self.switched.detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_in_use_from_a_rate_on() {
        let second = Duration::from_secs(1);
        assert!(!are_in_use(0, second));
        assert!(!are_in_use(15, second));
        assert!(are_in_use(16, second));
        assert!(!are_in_use(100, QUIET));
        assert!(are_in_use(4, FIRST_LOOK));
        assert!(!are_in_use(3, FIRST_LOOK));
    }

    #[test]
    fn a_wait_never_ends_too_early_and_may_have_no_end() {
        assert_eq!(timeout(None), EpollTimeout::NONE);
        let waits = timeout(Some(Duration::from_micros(100)));
        assert_eq!(waits, EpollTimeout::from(1_u8));
        assert_eq!(timeout(Some(Duration::ZERO)), EpollTimeout::from(1_u8));
    }
}
