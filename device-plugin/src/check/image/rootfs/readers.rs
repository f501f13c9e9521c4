//! Threads that look into the files of a root folder. What they find comes back in the order in which the
//! files were named, so that the same folder gives the same facts.
//!
//! A cold disk answers one thread with a wait a file, and several at the same time.

use super::super::Look;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Threads.
const READERS: usize = 4;
/// One file of more bytes than this is read at a time: what is kept of one may be 32 MiB.
const LARGE: u64 = 4 << 20;
/// Files and bytes that one thread is given at a time.
const BATCH_FILES: usize = 32;
const BATCH_BYTES: u64 = 1 << 20;
/// Batches that are not read yet. Each file of one may hold a folder open, and a process has 1,024
/// descriptors by default.
const UNREAD: usize = 12;
/// Bytes of what was found behind a file that takes long.
const FOUND_BYTES: usize = 16 << 20;

/// A file to look into.
pub(super) struct Job {
    pub(super) folder: Arc<OwnedFd>,
    pub(super) name: OsString,
    /// As the image names it.
    pub(super) path: PathBuf,
    /// In bytes.
    pub(super) size: u64,
}

/// Files for one thread, with their place in the order.
type Batch = (u64, Vec<Job>);

/// What came of a file.
pub(super) struct Answer<F> {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) found: Outcome<F>,
}

pub(super) enum Outcome<F> {
    Found(F),
    /// It is gone, or no regular file any more.
    Unopened(Errno),
    Failed(io::Error),
}

enum Message<F> {
    Read(u64, Vec<Answer<F>>),
    /// A thread panicked.
    Gone,
}

/// The threads, and what they were given. They end when this is dropped.
pub(super) struct Readers<L: Look> {
    jobs: Option<Sender<Batch>>,
    messages: Receiver<Message<L::Found>>,
    threads: Vec<JoinHandle<()>>,
    batch: Vec<Job>,
    batch_bytes: u64,
    /// Batches in their order, the first of this number; None until they were read.
    given: VecDeque<Option<Vec<Answer<L::Found>>>>,
    first: u64,
    unread: usize,
    found_bytes: usize,
}

impl<L: Look> Readers<L> {
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(look: &Arc<L>) -> io::Result<Readers<L>> {
        let (jobs, given) = channel();
        let (send, messages) = channel();
        let given = Arc::new(Mutex::new(given));
        let large = Arc::new(Mutex::new(()));
        let threads = (0..READERS)
            .map(|_| {
                let reader = Reader {
                    look: Arc::clone(look),
                    given: Arc::clone(&given),
                    large: Arc::clone(&large),
                    send: send.clone(),
                };
                let builder = Builder::new().name("image-folder".to_owned());
                builder.spawn(move || reader.run())
            })
            .collect::<io::Result<_>>()?;
        Ok(Readers {
            jobs: Some(jobs),
            messages,
            threads,
            batch: Vec::new(),
            batch_bytes: 0,
            given: VecDeque::new(),
            first: 0,
            unread: 0,
            found_bytes: 0,
        })
    }

    /// Has a file looked into.
    pub(super) fn give(&mut self, job: Job) {
        self.batch_bytes = self.batch_bytes.saturating_add(job.size);
        self.batch.push(job);
        if self.batch.len() >= BATCH_FILES || self.batch_bytes >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if let Some(jobs) = self.jobs.as_ref().filter(|_| !batch.is_empty()) {
            let number = self.first + self.given.len() as u64;
            // That nobody is left shows where the answer is waited for.
            let _ = jobs.send((number, batch));
            self.given.push_back(None);
            self.unread += 1;
        }
    }

    /// What was found meanwhile. Waits where too much is on its way.
    ///
    /// # Errors
    /// Where a thread gave up.
    pub(super) fn ready(&mut self) -> io::Result<Vec<Answer<L::Found>>> {
        let mut ready = Vec::new();
        loop {
            let full = self.unread >= UNREAD || self.found_bytes >= FOUND_BYTES;
            if !self.take(full, &mut ready)? {
                return Ok(ready);
            }
        }
    }

    /// The next of what is left, once all files were given; empty where nothing is.
    ///
    /// # Errors
    /// As [`Readers::ready`].
    pub(super) fn rest(&mut self) -> io::Result<Vec<Answer<L::Found>>> {
        self.send();
        self.jobs = None;
        let mut ready = Vec::new();
        while ready.is_empty() && !self.given.is_empty() {
            self.take(true, &mut ready)?;
        }
        Ok(ready)
    }

    /// Takes one message, and what is next in the order then; false where none is there.
    fn take(&mut self, wait: bool, ready: &mut Vec<Answer<L::Found>>) -> io::Result<bool> {
        let message = if wait {
            self.messages.recv().ok()
        } else {
            match self.messages.try_recv() {
                Ok(message) => Some(message),
                Err(_) => return Ok(false),
            }
        };
        let Some(Message::Read(number, answers)) = message else {
            // Not to be taken for the end: files would be missing.
            let text = "a reader of the folder gave up on it (it panicked)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        self.unread -= 1;
        self.found_bytes += weight::<L>(&answers);
        let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        if let Some(place) = self.given.get_mut(place) {
            *place = Some(answers);
        }
        while let Some(Some(_)) = self.given.front() {
            if let Some(answers) = self.given.pop_front().flatten() {
                self.first += 1;
                self.found_bytes -= weight::<L>(&answers);
                ready.extend(answers);
            }
        }
        Ok(true)
    }
}

/// The memory that answers hold, in bytes and about.
fn weight<L: Look>(answers: &[Answer<L::Found>]) -> usize {
    let each = |answer: &Answer<L::Found>| {
        let found = match &answer.found {
            Outcome::Found(found) => L::weight(found),
            _ => 0,
        };
        size_of::<Answer<L::Found>>() + answer.path.capacity() + found
    };
    answers.iter().map(each).sum()
}

impl<L: Look> Drop for Readers<L> {
    fn drop(&mut self) {
        // Without a sender a thread ends once the batches that were given are read: a few files.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic in there has been told by its message.
            let _ = thread.join();
        }
    }
}

/// What one thread has.
struct Reader<L: Look> {
    look: Arc<L>,
    given: Arc<Mutex<Receiver<Batch>>>,
    large: Arc<Mutex<()>>,
    send: Sender<Message<L::Found>>,
}

impl<L: Look> Reader<L> {
    fn run(self) {
        loop {
            let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok((number, batch)) = given.recv() else {
                return;
            };
            drop(given);
            let answers = batch.into_iter().map(|job| self.read(job)).collect();
            if self.send.send(Message::Read(number, answers)).is_err() {
                return;
            }
        }
    }

    fn read(&self, job: Job) -> Answer<L::Found> {
        let _alone =
            (job.size > LARGE).then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        let found = match regular(&job) {
            // A file that grows is not followed.
            Ok(file) => match self
                .look
                .file(&job.path, job.size, &mut file.take(job.size))
            {
                Ok(found) => Outcome::Found(found),
                Err(error) => Outcome::Failed(error),
            },
            Err(errno) => Outcome::Unopened(errno),
        };
        Answer {
            path: job.path,
            size: job.size,
            found,
        }
    }
}

impl<L: Look> Drop for Reader<L> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody listening is no loss.
            let _ = self.send.send(Message::Gone);
        }
    }
}

/// Opens a file that was a regular one a moment ago, if it still is.
fn regular(job: &Job) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    let opened = openat(job.folder.as_fd(), &*job.name, flags, Mode::empty())?;
    let kind = SFlag::from_bits_truncate(fstat(&opened)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFREG {
        Ok(File::from(opened))
    } else {
        Err(Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Finds the file's name again, waits at one, and breaks at another.
    struct Names;

    impl Look for Names {
        type Found = Vec<u8>;

        fn wants(&self, _: &Path, _: u64) -> bool {
            true
        }

        fn file(&self, path: &Path, _: u64, content: &mut dyn Read) -> io::Result<Vec<u8>> {
            assert!(!path.ends_with("bad"), "as the test wants it");
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            Ok(bytes)
        }

        fn weight(found: &Vec<u8>) -> usize {
            found.len()
        }
    }

    fn job(folder: &Arc<OwnedFd>, name: &str, size: u64) -> Job {
        Job {
            folder: Arc::clone(folder),
            name: name.into(),
            path: Path::new("/").join(name),
            size,
        }
    }

    fn folder(files: usize) -> (tempfile::TempDir, Arc<OwnedFd>) {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..files {
            std::fs::write(dir.path().join(number.to_string()), number.to_string()).unwrap();
        }
        let opened = Arc::new(OwnedFd::from(File::open(dir.path()).unwrap()));
        (dir, opened)
    }

    #[test]
    fn answers_come_in_the_order_of_the_files() {
        let (_dir, folder) = folder(3000);
        let mut readers = Readers::start(&Arc::new(Names)).unwrap();
        let mut seen = Vec::new();
        for number in 0..3000 {
            // As if every seventh were large, and one gone.
            let name = if number == 1000 {
                "gone".to_owned()
            } else {
                number.to_string()
            };
            let size = if number % 7 == 0 { LARGE + 1 } else { 4 };
            readers.give(job(&folder, &name, size));
            seen.extend(readers.ready().unwrap());
        }
        loop {
            let rest = readers.rest().unwrap();
            if rest.is_empty() {
                break;
            }
            seen.extend(rest);
        }
        assert_eq!(seen.len(), 3000);
        for (number, answer) in seen.iter().enumerate() {
            match &answer.found {
                Outcome::Found(bytes) => assert_eq!(*bytes, number.to_string().into_bytes()),
                Outcome::Unopened(errno) => assert_eq!((number, *errno), (1000, Errno::ENOENT)),
                Outcome::Failed(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_reader_that_panics_ends_the_walk() {
        let (dir, folder) = folder(200);
        std::fs::write(dir.path().join("bad"), "x").unwrap();
        let mut readers = Readers::start(&Arc::new(Names)).unwrap();
        readers.give(job(&folder, "bad", 1));
        let mut result = Ok(Vec::new());
        for number in 0..200 {
            readers.give(job(&folder, &number.to_string(), 4));
        }
        while result.is_ok() {
            result = readers.rest();
            if result.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
        }
        assert!(result.is_err());
    }
}
