//! What a workload measures of itself: one record an operation, in a file in memory.
//!
//! The truth of the bench is made of these records alone. A file is written without waking anybody
//! up, where a pipe would make the bench run beside the loads it judges.

use super::clock;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Records are written out this often, so that the writing costs nothing worth naming.
const FLUSH_NANOS: u64 = 200_000_000;

/// Bytes of a record in the file.
const RECORD: usize = 24;

/// One operation, or the sum of some that were not timed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it ended, `CLOCK_MONOTONIC`.
    pub(crate) end: u64,
    /// From when it was due to its end; `None` where it was not timed.
    pub(crate) latency: Option<u64>,
    /// How much was done: bytes, packets, requests, as the role says.
    pub(crate) amount: u64,
}

impl Record {
    fn bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.end.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.latency.unwrap_or(u64::MAX).to_le_bytes());
        bytes[16..].copy_from_slice(&self.amount.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; RECORD]) -> Record {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Record {
            end: word(0),
            latency: Some(word(8)).filter(|latency| *latency != u64::MAX),
            amount: word(16),
        }
    }
}

/// The writing side; all threads of a workload may use it.
#[derive(Debug)]
pub(crate) struct Meter {
    inner: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    buffer: Vec<u8>,
    flushed: u64,
}

impl Meter {
    /// Writes to `path`, which is made.
    pub(crate) fn create(path: &Path) -> io::Result<Meter> {
        let writer = Writer {
            file: File::create(path)?,
            buffer: Vec::with_capacity(16 << 10),
            flushed: clock::monotonic(),
        };
        Ok(Meter {
            inner: Mutex::new(writer),
        })
    }

    /// An operation that was due at `due` has ended now.
    pub(crate) fn operation(&self, due: u64, amount: u64) {
        let end = clock::monotonic();
        self.push(Record {
            end,
            latency: Some(end.saturating_sub(due)),
            amount,
        });
    }

    /// So much was done since the last time, without latencies.
    pub(crate) fn done(&self, amount: u64) {
        self.push(Record {
            end: clock::monotonic(),
            latency: None,
            amount,
        });
    }

    fn push(&self, record: Record) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.buffer.extend_from_slice(&record.bytes());
        if record.end.saturating_sub(inner.flushed) >= FLUSH_NANOS {
            inner.flushed = record.end;
            inner.flush();
        }
    }
}

impl Writer {
    fn flush(&mut self) {
        // A record that cannot be written is missing from the truth, and the scenario is void.
        let _ = self.file.write_all(&self.buffer);
        self.buffer.clear();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.inner
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .flush();
    }
}

/// All records of a workload, as they were written; none where it wrote none.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Record>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(bytes
        .as_chunks::<RECORD>()
        .0
        .iter()
        .map(Record::parse)
        .collect())
}

/// What a workload measured in one span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    /// Timed operations that ended in the span.
    pub(crate) operations: usize,
    /// Their mean latency, seconds.
    pub(crate) mean: f64,
    /// Their 99th percentile.
    pub(crate) p99: f64,
    /// What was done in all.
    pub(crate) amount: u64,
}

/// Sums up the records that ended in `[from, to)`.
pub(crate) fn measured(records: &[Record], from: u64, to: u64) -> Measured {
    let inside = || records.iter().filter(|r| (from..to).contains(&r.end));
    let mut latencies: Vec<u64> = inside().filter_map(|r| r.latency).collect();
    latencies.sort_unstable();
    let at = (latencies.len() * 99 / 100).min(latencies.len().saturating_sub(1));
    let sum: f64 = latencies.iter().map(|l| clock::seconds(*l)).sum();
    Measured {
        operations: latencies.len(),
        mean: if latencies.is_empty() {
            0.0
        } else {
            sum / latencies.len() as f64
        },
        p99: latencies.get(at).map_or(0.0, |l| clock::seconds(*l)),
        amount: inside().map(|r| r.amount).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(end: u64, latency: Option<u64>, amount: u64) -> Record {
        Record {
            end,
            latency,
            amount,
        }
    }

    #[test]
    fn records_go_there_and_back() {
        for record in [record(1, Some(2), 3), record(u64::MAX, None, 0)] {
            assert_eq!(Record::parse(&record.bytes()), record);
        }
    }

    #[test]
    fn a_span_sums_up_what_ended_in_it() {
        let ms = 1_000_000;
        let mut records: Vec<Record> = (0..100).map(|i| record(i * ms, Some(i * ms), 2)).collect();
        records.push(record(60 * ms, None, 1000));
        let measured = measured(&records, 50 * ms, 70 * ms);
        assert_eq!(measured.operations, 20);
        assert_eq!(measured.amount, 1040);
        assert!((measured.mean - 0.0595).abs() < 1e-9, "{measured:?}");
        assert!((measured.p99 - 0.069).abs() < 1e-9, "{measured:?}");
    }

    #[test]
    fn nothing_in_a_span_is_no_operation() {
        assert_eq!(measured(&[], 0, 10), Measured::default());
    }
}
