//! `dunnage ps` for people: one line a party, the most CPU first.

use super::{Page, label};
use crate::sinks::escape::escaped;
use crate::sinks::quantity::{bytes, percent};
use crate::sinks::table::{Column, Table};
use dunnage_model::document::by_cpu;
use dunnage_model::party::PartyKind;
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{DiskUse, PartyUse, WindowUse};

/// What was not read.
const ABSENT: &str = "-";

/// The table of what each party used, and a line about the machine. Services that used nothing and
/// have no process are counted, not listed; containers always are. CPU and waits are in percent of
/// one CPU, disk and network in bytes a second.
#[must_use]
pub fn usage(window: &WindowUse, page: &Page) -> String {
    let (shown, idle): (Vec<&PartyUse>, Vec<&PartyUse>) =
        by_cpu(window).into_iter().partition(|u| is_shown(u));
    let mut table = Table::new(layout());
    for user in shown {
        table.row(cells(user, window.length));
    }
    let mut out = table.render(page.width, 0, page.paint);
    out.push_str(&page.paint.dim(&machine_line(window, idle.len())));
    out.push('\n');
    out
}

/// The order in which columns go on a narrow page is that of their last argument, highest first. Disk
/// is read and written together, network received and sent; the document has them apart.
fn layout() -> Vec<Column> {
    vec![
        Column::text("NAME", 10, 0),
        Column::text("KIND", 9, 5),
        Column::text("ENGINE", 6, 8),
        Column::text("IMAGE", 8, 6),
        Column::number("CPU%", 0),
        Column::number("WAIT%", 1),
        Column::number("THROT%", 4),
        Column::number("MEMORY", 2),
        Column::number("DISK/S", 3),
        Column::number("NET/S", 7),
        Column::number("PROCS", 9),
    ]
}

fn cells(user: &PartyUse, length: Nanos) -> Vec<String> {
    let text = |value: &Option<String>| value.as_deref().map_or(ABSENT.to_owned(), escaped);
    let rate = |total: Option<Bytes>| {
        total.map_or(ABSENT.to_owned(), |total| bytes(per_second(total, length)))
    };
    let share =
        |time: Option<Nanos>| time.map_or(ABSENT.to_owned(), |time| of_one_cpu(time, length));
    let disk = user
        .disk
        .as_ref()
        .map(|disks| disks.iter().map(|d| d.read + d.written).sum());
    vec![
        label(&user.party),
        user.party.kind.as_str().to_owned(),
        text(&user.party.engine),
        text(&user.party.image),
        of_one_cpu(user.cpu.usage, length),
        share(user.cpu.runqueue_wait),
        share(user.cpu.throttled),
        user.memory
            .map_or(ABSENT.to_owned(), |m| bytes(amount(m.used))),
        rate(disk),
        rate(user.network.map(|n| n.received + n.sent)),
        user.processes.map_or(ABSENT.to_owned(), |n| n.to_string()),
    ]
}

fn is_shown(user: &PartyUse) -> bool {
    let moved = |d: &DiskUse| d.read.0 > 0 || d.written.0 > 0;
    user.party.kind == PartyKind::Container
        || user.cpu.usage > Nanos::ZERO
        || user
            .cpu
            .runqueue_wait
            .is_some_and(|wait| wait > Nanos::ZERO)
        || user.processes.is_some_and(|n| n > 0)
        || user.disk.as_ref().is_some_and(|d| d.iter().any(moved))
}

fn machine_line(window: &WindowUse, idle: usize) -> String {
    let capacity = window.length.seconds() * f64::from(window.host.cpus);
    let share = |time: Nanos| {
        if capacity > 0.0 {
            percent(time.seconds() / capacity)
        } else {
            ABSENT.to_owned()
        }
    };
    let cpus = if window.host.cpus == 1 {
        "1 CPU".to_owned()
    } else {
        format!("{} CPUs", window.host.cpus)
    };
    let mut line = format!(
        "{}: {cpus}, {} busy",
        escaped(&window.host.name),
        share(window.machine.busy())
    );
    if window.machine.steal > Nanos::ZERO {
        line.push_str(&format!(
            ", {} stolen by the hypervisor",
            share(window.machine.steal)
        ));
    }
    match idle {
        0 => {}
        1 => line.push_str("; 1 idle service without processes left out"),
        n => line.push_str(&format!("; {n} idle services without processes left out")),
    }
    line
}

fn of_one_cpu(time: Nanos, length: Nanos) -> String {
    if length == Nanos::ZERO {
        return ABSENT.to_owned();
    }
    format!("{:.1}", time.seconds() / length.seconds() * 100.0)
}

fn per_second(total: Bytes, length: Nanos) -> f64 {
    if length == Nanos::ZERO {
        f64::NAN
    } else {
        amount(total) / length.seconds()
    }
}

/// Sizes stay far below 2^53, where an `f64` is exact.
fn amount(size: Bytes) -> f64 {
    size.0 as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::text::tests_support::{container, party_use, service, window};
    use dunnage_model::usage::{MemoryUse, NetworkUse};

    fn busy_window() -> WindowUse {
        let mut web = party_use(container("web", "shop/web:1.4"), 3.0);
        web.cpu.runqueue_wait = Some(Nanos::from_seconds(3.51));
        web.memory = Some(MemoryUse {
            used: Bytes(12 << 20),
            ..MemoryUse::default()
        });
        web.disk = Some(vec![DiskUse {
            device: "vda".into(),
            read: Bytes(10_240),
            written: Bytes(0),
            reads: 1,
            writes: 0,
        }]);
        web.network = Some(NetworkUse {
            received: Bytes(1 << 20),
            sent: Bytes(10),
            dropped: None,
        });
        web.processes = Some(3);
        let mut idle = party_use(service("old.slice"), 0.0);
        idle.processes = Some(0);
        window(vec![
            idle,
            web,
            party_use(container("batch\x1b[31m", "jobs"), 6.9),
        ])
    }

    #[test]
    fn the_table_is_sorted_by_cpu_and_absent_is_a_dash() {
        let text = usage(&busy_window(), &Page::plain(140));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = text.lines().map(words).collect();
        assert!(lines[0].starts_with("NAME KIND ENGINE IMAGE CPU% "));
        assert_eq!(
            lines[1],
            "batch\\x1b[31m container docker jobs 69.0 - - - - - -"
        );
        assert_eq!(
            lines[2],
            "web container docker shop/web:1.4 30.0 35.1 - 12Mi 1Ki 102Ki 3"
        );
        assert_eq!(
            text.lines().last().unwrap(),
            "n1: 2 CPUs, 50 % busy; 1 idle service without processes left out"
        );
    }

    #[test]
    fn the_table_fits_any_terminal() {
        for width in [40, 60, 80, 100, 132] {
            let text = usage(&busy_window(), &Page::plain(width));
            let table = text.lines().take(3);
            assert!(
                table.clone().all(|line| line.chars().count() <= width),
                "{text}"
            );
            assert!(table.clone().all(|line| !line.is_empty()));
        }
    }

    #[test]
    fn a_window_without_length_divides_by_nothing() {
        let mut window = busy_window();
        window.length = Nanos::ZERO;
        assert!(!usage(&window, &Page::plain(100)).contains("NaN"));
    }
}
