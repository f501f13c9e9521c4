//! Reading cgroup files cheaply: descriptors are kept and read again from the start, into one
//! buffer.
//!
//! A kept descriptor saves the path walk, which is four fifths of the cost of reading an idle
//! cgroup's file. Their number is bounded, because the kernel keeps a page for each: beyond it
//! files are opened, read and closed.

use super::layout::{Controller, Mounts, as_path};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Descriptors kept at most, whatever the process may have.
const MOST_DESCRIPTORS: usize = 12_288;

/// Descriptors left to the rest of the program.
const LEFT_TO_OTHERS: usize = 256;

/// The longest cgroup file that is read. `memory.stat` takes 2 KiB, `io.stat` 100 bytes a device,
/// `cgroup.procs` 8 bytes a process.
const LIMIT: usize = 256 << 10;

/// Everything that is read again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// v1 `cpuacct.usage`.
    CpuUsage,
    /// v1 `cpuacct.usage_sys`.
    CpuSystem,
    /// v1 `cpu.stat` (the quota).
    CpuThrottle,
    /// v2 `cpu.stat`.
    CpuStat,
    /// Memory in use.
    MemoryUsed,
    /// `memory.stat`.
    MemoryStat,
    /// v2 `memory.events.local`, v1 `memory.failcnt`.
    MemoryEvents,
    /// v1 `memory.oom_control`.
    MemoryKills,
    /// v2 `io.stat`, v1 bytes.
    IoBytes,
    /// v1 operations.
    IoOperations,
    /// `cpu.pressure`.
    PressureCpu,
    /// `memory.pressure`.
    PressureMemory,
    /// `io.pressure`.
    PressureIo,
    /// `pids.current`.
    Threads,
    /// `pids.events`.
    ForksRefused,
    /// `cgroup.procs`.
    Processes,
}

/// How many [`Slot`]s there are.
const SLOTS: usize = 16;

/// Why a file gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// There is no such file: the controller is off, or the kernel too old.
    Absent,
    /// The cgroup went away.
    Gone,
    /// This process may not read it.
    Denied,
}

impl Silence {
    fn of(error: &io::Error) -> Silence {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENODEV) => Silence::Gone,
            Some(Errno::EACCES | Errno::EPERM) => Silence::Denied,
            // ENOENT; EOPNOTSUPP of cgroup.procs in threaded cgroups and of pressure with psi=0.
            _ => Silence::Absent,
        }
    }
}

/// The kept descriptors of one cgroup.
#[derive(Debug, Default)]
pub(crate) struct Files {
    open: [Option<File>; SLOTS],
    /// Slots whose file is known not to be there.
    absent: u32,
}

impl Files {
    /// Files that were missing are looked for again: a controller may have been enabled.
    pub(crate) fn look_again(&mut self) {
        self.absent = 0;
    }
}

/// The reader of all files: one buffer, one path, one budget of descriptors.
#[derive(Debug)]
pub(crate) struct FileReader {
    buffer: Vec<u8>,
    path: Vec<u8>,
    kept: usize,
    most: usize,
}

impl FileReader {
    /// Raises the soft limit of descriptors to the hard one, which needs no privilege.
    pub(crate) fn new() -> FileReader {
        let mut soft = 1024;
        if let Ok((now, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let raised = now < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
            soft = if raised { hard } else { now };
        }
        let soft = usize::try_from(soft).unwrap_or(usize::MAX);
        let most = MOST_DESCRIPTORS.min(soft.saturating_sub(LEFT_TO_OTHERS));
        FileReader {
            buffer: vec![0; 16 << 10],
            path: Vec::new(),
            kept: 0,
            most,
        }
    }

    /// Whether few descriptors are left, so that quiet cgroups should give theirs back.
    pub(crate) fn is_short(&self) -> bool {
        self.kept > self.most - self.most / 8
    }

    /// Closes what is kept for one cgroup.
    pub(crate) fn close(&mut self, files: &mut Files) {
        let open = files.open.iter().flatten().count();
        self.kept = self.kept.saturating_sub(open);
        *files = Files::default();
    }

    /// The content of `name` of the cgroup `raw`, through a kept descriptor where there is one.
    pub(crate) fn read(
        &mut self,
        mounts: &Mounts,
        raw: &[u8],
        (controller, name): (Controller, &str),
        files: &mut Files,
        slot: Slot,
    ) -> Result<&[u8], Silence> {
        let index = slot as usize;
        if files.absent & (1 << index) != 0 {
            return Err(Silence::Absent);
        }
        let whole = slot == Slot::Processes;
        if let Some(file) = files.open.get(index).and_then(Option::as_ref) {
            return match fill(file, &mut self.buffer, whole) {
                Ok(length) => Ok(self.buffer.get(..length).unwrap_or_default()),
                Err(error) => Err(Silence::of(&error)),
            };
        }
        let opened = self.open(mounts, raw, controller, name);
        let outcome = opened.and_then(|file| Ok((fill(&file, &mut self.buffer, whole)?, file)));
        match outcome {
            Ok((length, file)) => {
                if self.kept < self.most
                    && let Some(place) = files.open.get_mut(index)
                {
                    *place = Some(file);
                    self.kept += 1;
                }
                Ok(self.buffer.get(..length).unwrap_or_default())
            }
            Err(error) => {
                files.absent |= 1 << index;
                Err(Silence::of(&error))
            }
        }
    }

    /// The content of a file that is read too seldom to keep a descriptor for it.
    pub(crate) fn read_once(
        &mut self,
        mounts: &Mounts,
        raw: &[u8],
        controller: Controller,
        name: &str,
    ) -> Option<&[u8]> {
        let file = self.open(mounts, raw, controller, name).ok()?;
        let length = fill(&file, &mut self.buffer, false).ok()?;
        self.buffer.get(..length)
    }

    /// Whether the cgroup's directory is still there.
    pub(crate) fn exists(&mut self, mounts: &Mounts, raw: &[u8], controller: Controller) -> bool {
        mounts
            .of(controller)
            .and_then(|hierarchy| hierarchy.dir_of(raw, &mut self.path))
            .is_some_and(|()| as_path(&self.path).is_dir())
    }

    fn open(
        &mut self,
        mounts: &Mounts,
        raw: &[u8],
        controller: Controller,
        name: &str,
    ) -> io::Result<File> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let hierarchy = mounts.of(controller).ok_or_else(missing)?;
        hierarchy.dir_of(raw, &mut self.path).ok_or_else(missing)?;
        self.path.push(b'/');
        self.path.extend_from_slice(name.as_bytes());
        crate::host::open_regular(as_path(&self.path))
    }
}

/// Reads from the start into `buffer`, which grows up to [`LIMIT`]; what is longer is cut. Files
/// that the kernel makes in one piece end with a short read; `whole` reads on until nothing comes.
fn fill(file: &File, buffer: &mut Vec<u8>, whole: bool) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let offset = u64::try_from(length).unwrap_or(u64::MAX);
        let room = buffer.get_mut(length..).unwrap_or_default();
        let space = room.len();
        let read = match file.read_at(room, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            outcome => outcome?,
        };
        length += read;
        if read == 0 || (read < space && !whole) || length >= LIMIT {
            return Ok(length);
        }
        if length == buffer.len() {
            buffer.resize((length * 2).min(LIMIT), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_read_whole_and_endless_ones_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = vec![0; 16];
        for (length, wanted) in [(0, 0), (15, 15), (16, 16), (100, 100), (LIMIT + 5, LIMIT)] {
            let path = dir.path().join("file");
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            let file = File::open(&path).unwrap();
            for whole in [false, true] {
                assert_eq!(fill(&file, &mut buffer, whole).unwrap(), wanted);
            }
        }
    }

    #[test]
    fn the_budget_of_descriptors_holds() {
        let mut reader = FileReader::new();
        reader.most = 1;
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("sys/fs/cgroup");
        std::fs::create_dir_all(&top).unwrap();
        for name in [
            "cgroup.controllers",
            "cgroup.procs",
            "cpu.stat",
            "pids.current",
        ] {
            std::fs::write(top.join(name), "1\n").unwrap();
        }
        let mounts = Mounts::discover(&crate::host::HostRoot::new(dir.path())).unwrap();
        let mut files = Files::default();
        let stat = (Controller::Unified, "cpu.stat");
        let pids = (Controller::Unified, "pids.current");
        for _ in 0..2 {
            assert!(
                reader
                    .read(&mounts, b"", stat, &mut files, Slot::CpuStat)
                    .is_ok()
            );
            assert!(
                reader
                    .read(&mounts, b"", pids, &mut files, Slot::Threads)
                    .is_ok()
            );
        }
        assert_eq!(reader.kept, 1);
        let none = (Controller::Unified, "io.stat");
        let missing = reader.read(&mounts, b"", none, &mut files, Slot::IoBytes);
        assert_eq!(missing, Err(Silence::Absent));
        reader.close(&mut files);
        assert_eq!(reader.kept, 0);
    }
}
