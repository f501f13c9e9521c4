//! All about the selected party, and who ran while it waited.

use super::verdicts::share_line;
use super::{framed, scrolled};
use crate::format::{duration, fitted, or_absent, percent, rate, size, visible};
use crate::palette::Palette;
use crate::state::State;
use dunnage_model::party::{Party, Pod};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{Blamed, CpuClaim, PartyUse, PartyWait, WindowUse};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// The most labels that are shown.
const MAX_LABELS: usize = 50;

/// Draws the pane.
pub(super) fn draw(
    state: &State,
    row: &PartyUse,
    palette: Palette,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let Some(window) = state.tick().map(|tick| &tick.window) else {
        return;
    };
    let width = usize::from(area.width).saturating_sub(4);
    let block = framed(
        format!(" {} ", fitted(&row.party.name, width)),
        palette,
        true,
    );
    let mut fields = identity(&row.party);
    fields.extend(cpu(row, window.length));
    fields.extend(claim(&row.claim));
    fields.extend(memory_and_tasks(row));
    fields.extend(disk_and_network(row, window.length));
    fields.extend(pressure(row));
    let mut lines: Vec<Line<'static>> = fields
        .into_iter()
        .map(|(name, value)| {
            Line::from(vec![
                Span::styled(format!("{name:<12}"), palette.faint()),
                Span::raw(value),
            ])
        })
        .collect();
    let mut blame = blame(state.wait_of(&row.party), window, palette);
    blame.extend(stalls(&row.party, window, palette));
    // Why it waits is what one comes here for: right below the name and the CPU.
    let at = lines.len().min(identity(&row.party).len() + 2);
    lines.splice(at..at, blame);
    scrolled(lines, state.detail_scroll(), block, frame, area);
}

type Field = (&'static str, String);

fn identity(party: &Party) -> Vec<Field> {
    let engine = party
        .engine
        .as_deref()
        .map_or_else(String::new, |e| format!(", {}", visible(e)));
    let mut fields = vec![("kind", format!("{}{engine}", party.kind.as_str()))];
    let mut text = |name, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.push((name, visible(value)));
        }
    };
    text("id", Some(&party.id));
    text("image", party.image.as_deref());
    text("pod", party.pod.as_ref().map(pod).as_deref());
    text("cgroup", party.cgroup.as_deref());
    fields
}

fn pod(pod: &Pod) -> String {
    let parts = [&pod.namespace, &pod.name, &pod.container].map(|part| or_absent(part.clone()));
    parts.join("/")
}

fn cpu(row: &PartyUse, window: Nanos) -> Vec<Field> {
    let cpu = &row.cpu;
    let time = |time: Option<Nanos>| or_absent(time.map(duration));
    let share = if window == Nanos::ZERO {
        0.0
    } else {
        cpu.usage.seconds() / window.seconds()
    };
    let ran = format!(
        "ran {} ({} % of one CPU), user {}, system {}",
        duration(cpu.usage),
        percent(share),
        time(cpu.user),
        time(cpu.system),
    );
    let lost = format!(
        "{}, throttled {}",
        time(cpu.runqueue_wait),
        time(cpu.throttled)
    );
    vec![("cpu", ran), ("cpu wait", lost)]
}

fn claim(claim: &CpuClaim) -> Vec<Field> {
    let mut parts = Vec::new();
    if let Some(own) = claim.weights.last() {
        parts.push(format!("weight {}", own.weight));
    }
    if let Some(quota) = claim.quota_cpus {
        parts.push(format!("limit {quota:.2} CPUs"));
    }
    for parent in &claim.parent_quotas {
        parts.push(format!(
            "limit {:.2} CPUs of {}",
            parent.cpus,
            visible(&parent.path)
        ));
    }
    if let Some(cpus) = &claim.cpuset {
        parts.push(format!("on CPUs {cpus}"));
    }
    if parts.is_empty() {
        Vec::new()
    } else {
        vec![("claim", parts.join(", "))]
    }
}

fn memory_and_tasks(row: &PartyUse) -> Vec<Field> {
    let mut fields = Vec::new();
    if let Some(memory) = &row.memory {
        let mut text = size(memory.used);
        let sizes = [
            (" of", memory.limit),
            (", anonymous", memory.anon),
            (", page cache", memory.file),
        ];
        for (name, bytes) in sizes {
            text.extend(bytes.map(|bytes| format!("{name} {}", size(bytes))));
        }
        text.extend(
            memory
                .major_faults
                .map(|faults| format!(", {faults} major faults")),
        );
        fields.push(("memory", text));
    }
    if let Some(processes) = row.processes {
        let threads = row
            .threads
            .map_or_else(String::new, |threads| format!(", {threads} threads"));
        fields.push(("tasks", format!("{processes} processes{threads}")));
    }
    fields
}

fn disk_and_network(row: &PartyUse, window: Nanos) -> Vec<Field> {
    let mut fields = Vec::new();
    for disk in row.disk.iter().flatten() {
        let text = format!(
            "{}: read {}/s in {}, wrote {}/s in {} operations",
            visible(&disk.device),
            rate(disk.read, window),
            disk.reads,
            rate(disk.written, window),
            disk.writes
        );
        fields.push(("disk", text));
    }
    if let Some(network) = &row.network {
        let dropped = or_absent(network.dropped.map(|dropped| dropped.to_string()));
        let text = format!(
            "received {}/s, sent {}/s, dropped {dropped}",
            rate(network.received, window),
            rate(network.sent, window)
        );
        fields.push(("network", text));
    }
    fields
}

fn pressure(row: &PartyUse) -> Vec<Field> {
    let pressure = &row.pressure;
    let of = [
        ("cpu", pressure.cpu_some, pressure.cpu_full),
        ("memory", pressure.memory_some, pressure.memory_full),
        ("io", pressure.io_some, pressure.io_full),
    ];
    let shown: Vec<String> = of
        .into_iter()
        .filter_map(|(name, some, full)| {
            let full = full.map_or_else(String::new, |full| format!(" (all {} %)", percent(full)));
            Some(format!("{name} {} %{full}", percent(some?)))
        })
        .collect();
    let mut fields = Vec::new();
    if !shown.is_empty() {
        fields.push(("pressure", shown.join(", ")));
    }
    let labels = row.party.labels.iter().take(MAX_LABELS);
    fields.extend(labels.map(|(k, v)| ("label", format!("{}={}", visible(k), visible(v)))));
    fields
}

/// Who ran while it waited; adds up to the wait, the unexplained part included.
fn blame(wait: Option<&PartyWait>, window: &WindowUse, palette: Palette) -> Vec<Line<'static>> {
    let Some(wait) = wait.filter(|wait| wait.wait != Nanos::ZERO) else {
        return Vec::new();
    };
    let whole = wait.wait.seconds();
    let p99 = wait.p99.map_or_else(String::new, |p99| {
        format!(", 99 % within {}", duration(p99))
    });
    let title = format!(
        "waited {} in {} waits{p99}; meanwhile ran",
        duration(wait.wait),
        wait.waits
    );
    let mut lines = vec![Line::styled(title, palette.strong())];
    let mut blame = wait.blame.clone();
    blame.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    for (index, time) in blame {
        let name = window.parties.get(index).map_or("?", |of| &of.party.name);
        let own = if index == wait.party { " (itself)" } else { "" };
        let amount = format!("{}{own}", duration(time));
        lines.push(share_line(time.seconds() / whole, name, &amount, palette));
    }
    if wait.unexplained != Nanos::ZERO {
        let share = wait.unexplained.seconds() / whole;
        lines.push(share_line(
            share,
            "unexplained",
            &duration(wait.unexplained),
            palette,
        ));
    }
    lines
}

/// What else it waited for: disks, and the queues of network devices.
fn stalls(party: &Party, window: &WindowUse, palette: Palette) -> Vec<Line<'static>> {
    let own = |blamed: &Blamed| {
        let waiting = window.parties.get(blamed.party);
        blamed.wait != Nanos::ZERO && waiting.is_some_and(|user| user.party.key == party.key)
    };
    let disks = window.stalls.disk.iter().flatten();
    let links = window.stalls.network.iter().flatten();
    let disks = disks.map(|stall| (&stall.device, &stall.blamed, "it worked for"));
    let links = links.map(|stall| (&stall.device, &stall.blamed, "it sent for"));
    disks
        .chain(links)
        .filter(|(_, blamed, _)| own(blamed))
        .flat_map(|(device, blamed, meanwhile)| {
            let wait = duration(blamed.wait);
            let title = format!(
                "waited {wait} for {}; meanwhile {meanwhile}",
                visible(device)
            );
            let mut lines = vec![Line::styled(title, palette.strong())];
            lines.extend(split(blamed, window, palette));
            lines
        })
        .collect()
}

/// A wait by whom it is blamed on, the largest part first.
fn split(blamed: &Blamed, window: &WindowUse, palette: Palette) -> Vec<Line<'static>> {
    let whole = blamed.wait.seconds();
    let name = |index: usize| window.parties.get(index).map_or("?", |of| &of.party.name);
    let mut parts: Vec<(Nanos, &str, &str)> = blamed
        .blame
        .iter()
        .map(|(party, time)| (*time, name(*party), ""))
        .collect();
    parts.push((blamed.own, name(blamed.party), " (itself)"));
    parts.push((blamed.unexplained, "unexplained", ""));
    parts.retain(|(time, ..)| *time != Nanos::ZERO);
    parts.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
    parts
        .into_iter()
        .map(|(time, name, note)| {
            let amount = format!("{}{note}", duration(time));
            share_line(time.seconds() / whole, name, &amount, palette)
        })
        .collect()
}
