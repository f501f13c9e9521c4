//! The columns of the table of parties, and which of them fit.

use crate::format::{ABSENT, or_absent, percent, rate, size};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{DiskUse, PartyUse};

/// The narrowest that the column of names gets.
const NAME_WIDTH: usize = 12;

/// One column besides the name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its head.
    pub(super) title: &'static str,
    /// Its width, without the blank in front.
    pub(super) width: usize,
    /// Whether it holds text, not a number.
    pub(super) text: bool,
    /// A smaller one stays longer.
    rank: u8,
    /// The cell for a party in a window of this length.
    pub(super) cell: fn(&PartyUse, Nanos) -> String,
}

const fn number(
    title: &'static str,
    width: usize,
    rank: u8,
    cell: fn(&PartyUse, Nanos) -> String,
) -> Column {
    Column {
        title,
        width,
        text: false,
        rank,
        cell,
    }
}

const fn text(
    title: &'static str,
    width: usize,
    rank: u8,
    cell: fn(&PartyUse, Nanos) -> String,
) -> Column {
    Column {
        title,
        width,
        text: true,
        rank,
        cell,
    }
}

/// In the order in which they stand.
const ALL: [Column; 12] = [
    text("KIND", 9, 4, |row, _| row.party.kind.as_str().to_owned()),
    text("ENGINE", 10, 10, |row, _| {
        or_absent(row.party.engine.clone())
    }),
    number("CPU%", 6, 0, |row, window| {
        share(Some(row.cpu.usage), window)
    }),
    number("WAIT%", 6, 1, |row, window| {
        share(row.cpu.runqueue_wait, window)
    }),
    number("THR%", 6, 5, |row, window| share(row.cpu.throttled, window)),
    number("MEM", 6, 2, |row, _| {
        or_absent(row.memory.map(|memory| size(memory.used)))
    }),
    number("READ/s", 6, 6, |row, window| {
        disk(row, window, |disk| disk.read)
    }),
    number("WRITE/s", 7, 7, |row, window| {
        disk(row, window, |disk| disk.written)
    }),
    number("RECV/s", 6, 8, |row, window| {
        or_absent(row.network.map(|n| rate(n.received, window)))
    }),
    number("SENT/s", 6, 8, |row, window| {
        or_absent(row.network.map(|n| rate(n.sent, window)))
    }),
    number("PSI%", 6, 9, |row, _| or_absent(pressure(row).map(percent))),
    text("IMAGE", 24, 11, |row, _| or_absent(row.party.image.clone())),
];

fn share(time: Option<Nanos>, window: Nanos) -> String {
    match time {
        Some(time) if window != Nanos::ZERO => percent(time.seconds() / window.seconds()),
        _ => ABSENT.to_owned(),
    }
}

fn disk(row: &PartyUse, window: Nanos, amount: fn(&DiskUse) -> Bytes) -> String {
    or_absent(
        row.disk
            .as_ref()
            .map(|disks| rate(disks.iter().map(amount).sum(), window)),
    )
}

/// The worst of the party's pressures (some).
fn pressure(row: &PartyUse) -> Option<f64> {
    let pressure = &row.pressure;
    [pressure.cpu_some, pressure.memory_some, pressure.io_some]
        .into_iter()
        .flatten()
        .reduce(f64::max)
}

/// The columns that fit beside the names in `width` cells, and what is left for the names.
pub(super) fn fitting(width: usize) -> (Vec<Column>, usize) {
    let mut ranks: Vec<u8> = ALL.iter().map(|column| column.rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let mut columns = Vec::new();
    for rank in ranks {
        let wanted =
            |c: &Column| columns.iter().any(|k: &Column| k.title == c.title) || c.rank == rank;
        let more: Vec<Column> = ALL.into_iter().filter(|c| wanted(c)).collect();
        if taken(&more) + NAME_WIDTH > width {
            break;
        }
        columns = more;
    }
    let names = width.saturating_sub(taken(&columns));
    (columns, names)
}

fn taken(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(width: usize) -> Vec<&'static str> {
        fitting(width).0.iter().map(|column| column.title).collect()
    }

    #[test]
    fn what_matters_most_stays_longest() {
        assert_eq!(titles(38), ["CPU%", "WAIT%", "MEM"]);
        assert_eq!(
            titles(78),
            ["KIND", "CPU%", "WAIT%", "THR%", "MEM", "READ/s", "WRITE/s"]
        );
        assert_eq!(titles(200).len(), ALL.len());
        assert_eq!(titles(5).len(), 0);
    }

    #[test]
    fn a_row_never_outgrows_the_width() {
        for width in 0..200 {
            let (columns, names) = fitting(width);
            assert!(
                taken(&columns) + names <= width.max(taken(&columns)),
                "{width}"
            );
        }
    }
}
