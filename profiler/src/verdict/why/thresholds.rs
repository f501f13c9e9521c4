//! From where on a loss limits somebody. All numbers that decide are here, each with its reason.

/// Less than this is a handful of time slices, whatever the length of the window.
const LEAST_LOSS: f64 = 0.020;

/// Task-seconds lost per second of the window: below it nobody notices.
const OF_WINDOW: f64 = 0.01;

/// Lost / (lost + got): below it, taking the limit away would not show.
const OF_WANT: f64 = 0.05;

/// A party that has CPUs with this part idle did not wait for want of CPUs. Wake-ups and time
/// slices leave some idle on a machine that is full.
pub(super) const IDLE: f64 = 0.1;

/// Others that use this part of the CPUs that a party may use are busy neighbours. Services and the
/// kernel of a quiet host stay below it.
pub(super) const OTHERS_BUSY: f64 = 0.2;

/// Who stands in front of a party for this part of its wait is what it waits for.
pub(super) const MOST: f64 = 0.5;

/// Pressure from which on a party waits for a CPU where its waits are not counted. The kernel's
/// threads and interrupts alone make some.
pub(super) const CPU_PRESSURE: f64 = 0.1;

/// Involuntary switches per second of CPU time from which on somebody else wants the CPU, where
/// neither waits nor pressure are there: kernel threads alone take it some ten times a second,
/// another task at the end of each slice, which is a few milliseconds.
pub(super) const PREEMPTED: f64 = 50.0;

/// Pressure of memory that shows. It counts only stalls for want of memory, so that little is much.
pub(super) const MEMORY_PRESSURE: f64 = 0.02;

/// The machine is short of memory with less than this part of it available.
pub(super) const MEMORY_SHORT: f64 = 0.1;

/// Pages that refault in a second and cost a party time: 4 MiB/s from the disk.
pub(super) const REFAULTS: f64 = 1000.0;

/// Pressure of I/O that shows. Whoever reads a file waits for the disk now and then.
pub(super) const IO_PRESSURE: f64 = 0.05;

/// A use is at a limit from this part of it on: limits are kept over a stretch, not at each moment.
pub(super) const AT_LIMIT: f64 = 0.9;

/// Who used this part of what its quota allows used all of it: the first and the last period of a window
/// are cut, and a slice of a quota that was not asked for is given back.
pub(super) const ALL_OF_QUOTA: f64 = 0.95;

/// Whether `lost` task-seconds limit a party that got `got` in `window` seconds.
pub(super) fn shows(lost: f64, got: f64, window: f64) -> bool {
    lost >= LEAST_LOSS && lost >= OF_WINDOW * window && lost >= OF_WANT * (lost + got)
}
