//! Verdicts as they come: the lines of `dunnage blame --watch --json`, from a named pipe or standard
//! input. A blocking read costs no wake-up.

use dunnage_model::document::BlameDocument;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest line: a host with 1,000 cgroups prints some 100 kB.
const LINE_LIMIT: u64 = 8 << 20;

/// Why verdicts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The pipe cannot be made.
    #[error(
        "cannot make the pipe {path} for verdicts: {source}; its folder must be there and writable"
    )]
    Make {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The pipe cannot be opened.
    #[error("cannot open the pipe {path} for verdicts: {source}")]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something else.
    #[error(
        "{path} is no pipe: remove it, and let `dunnage blame --watch --json` write to the pipe that \
         is made there"
    )]
    NoPipe {
        /// What.
        path: PathBuf,
    },
}

/// Documents, one a line.
pub struct Feed<R = Box<dyn Read + Send>> {
    lines: BufReader<R>,
    line: Vec<u8>,
}

impl Feed {
    /// Standard input for `-`, else the named pipe at `path`, which is made where nothing is there.
    ///
    /// # Errors
    /// Where it is no pipe, or cannot be made or opened.
    pub fn open(path: &Path) -> Result<Feed, FeedError> {
        if path == Path::new("-") {
            return Ok(Feed::of(Box::new(io::stdin())));
        }
        match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => {
                return Err(FeedError::Make {
                    path: path.to_path_buf(),
                    source: errno.into(),
                });
            }
        }
        // Opened for writing too, it never ends: writers may come and go.
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NOCTTY).bits())
            .open(path);
        let pipe = opened.map_err(|source| FeedError::Open {
            path: path.to_path_buf(),
            source,
        })?;
        let is_pipe = pipe.metadata().is_ok_and(|m| m.file_type().is_fifo());
        if !is_pipe {
            return Err(FeedError::NoPipe {
                path: path.to_path_buf(),
            });
        }
        Ok(Feed::of(Box::new(pipe)))
    }
}

impl<R: Read> Feed<R> {
    /// Of any reader.
    pub fn of(from: R) -> Feed<R> {
        Feed {
            lines: BufReader::new(from),
            line: Vec::new(),
        }
    }

    /// Waits for the next document; lines that are none, or too long, are passed over. `None` when the
    /// writer ended.
    ///
    /// # Errors
    /// Where reading fails for good.
    pub fn wait(&mut self) -> io::Result<Option<BlameDocument>> {
        loop {
            self.line.clear();
            let mut bounded = (&mut self.lines).take(LINE_LIMIT);
            if bounded.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            let document = serde_json::from_slice::<BlameDocument>(&self.line);
            // One long line is not kept in memory for ever.
            self.line.shrink_to(64 << 10);
            if let Ok(document) = document
                && document.schema == BlameDocument::SCHEMA
            {
                return Ok(Some(document));
            }
        }
    }
}
