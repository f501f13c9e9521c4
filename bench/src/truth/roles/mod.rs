//! What workloads do: one file a kind of load.
//!
//! To add a role: a file with its arguments and a `play`, and a line in [`Role`].

mod cache;
mod cpu;
mod disk;
mod memory;
mod network;
mod ordinary;
mod packets;

use super::part::Part;
use clap::Subcommand;
use std::time::Duration;

/// Every role.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Requests of so much CPU time at a steady rate; measures how late each one is
    Tick(cpu::Tick),
    /// Works all the time
    Spin(cpu::Spin),
    /// Works and rests in turn
    Burst(cpu::Burst),
    /// Processes that live for a moment, one after the other
    Fork(cpu::Fork),
    /// Requests to a disk; measures how long each one takes
    Disk(disk::Disk),
    /// Reads a file that stays in memory where there is room; measures how long that takes
    Reread(memory::Reread),
    /// Reads a file that is longer than what there is of memory
    Stream(memory::Stream),
    /// Fills memory and holds it
    Fill(memory::Fill),
    /// Small requests over a link, at a steady rate; measures each answer
    Ping(network::Ping),
    /// Packets at a rate, which nobody answers
    Flood(network::Flood),
    /// As much as TCP lets through
    Transfer(network::Transfer),
    /// Small packets, as fast as they go
    Packets(packets::Packets),
    /// Requests of so many rounds at a steady rate, which feel what softirqs take
    Count(packets::Count),
    /// Goes through memory in no order and times it
    Chase(cache::Chase),
    /// Writes through memory without a rest
    Overwrite(cache::Overwrite),
    /// Writes to a file through the page cache
    Log(ordinary::Log),
    /// Reads a file from the page cache
    Serve(ordinary::Serve),
    /// Talks over the loopback device
    Chat(ordinary::Chat),
    /// Does nothing
    Sleep,
}

impl Role {
    /// Plays it to the end of the script.
    pub(crate) fn play(self, part: &mut Part) -> anyhow::Result<()> {
        match self {
            Role::Tick(role) => role.play(part),
            Role::Spin(role) => role.play(part),
            Role::Burst(role) => role.play(part),
            Role::Fork(role) => role.play(part)?,
            Role::Disk(role) => role.play(part)?,
            Role::Reread(role) => role.play(part)?,
            Role::Stream(role) => role.play(part)?,
            Role::Fill(role) => role.play(part),
            Role::Ping(role) => role.play(part)?,
            Role::Flood(role) => role.play(part)?,
            Role::Transfer(role) => role.play(part)?,
            Role::Packets(role) => role.play(part)?,
            Role::Count(role) => role.play(part),
            Role::Chase(role) => role.play(part)?,
            Role::Overwrite(role) => role.play(part)?,
            Role::Log(role) => role.play(part)?,
            Role::Serve(role) => role.play(part)?,
            Role::Chat(role) => role.play(part)?,
            Role::Sleep => while part.next_span().map(super::clock::sleep_until).is_some() {},
        }
        Ok(())
    }
}

pub(crate) use cpu::burn;
pub(super) use disk::PLACE as FILES;
pub(super) use network::far_end;

/// `50ms`, `2s`, `300us`, `30m`, for the arguments of roles.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(|| format!("{text:?} has no unit: us, ms, s or m"))?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no number"))?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(format!("{unit:?} is no unit: us, ms, s or m")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text:?}: {error}"))
}

/// `4096`, `64k`, `20m`, `1g` in bytes, for the arguments of roles.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'k')) => (&text[..at], 1 << 10),
        Some((at, 'm')) => (&text[..at], 1 << 20),
        Some((at, 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is no size such as 64k, 20m or 1g"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("300us"), Ok(Duration::from_micros(300)));
        for wrong in ["5", "ms", "5h", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "k", "1t", "-1", "99999999999g"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
