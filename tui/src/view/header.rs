//! The host, the window, the pressure, what is covered and what is missing.

use crate::format::{fitted, percent, visible};
use crate::palette::Palette;
use crate::state::State;
use dunnage_model::observation::Fidelity;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Coverage, Resource};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// The lines of the header: two, and a third where something is missing and there is room.
pub(super) fn lines(state: &State, palette: Palette, area: Rect) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let Some(tick) = state.tick() else {
        return vec![Line::styled("dunnage", palette.strong())];
    };
    let window = &tick.window;
    let mut lines = vec![
        host(state, window, palette, width),
        Line::raw(fitted(&machine(window), width)),
    ];
    let mut missing = coverage(state);
    if let Some(gap) = window.gaps.first() {
        missing.push(format!(
            "{} gaps, first: {}: {}",
            window.gaps.len(),
            gap.what,
            gap.why
        ));
    }
    if !missing.is_empty() && area.height >= 14 {
        lines.push(Line::styled(
            fitted(&missing.join("; "), width),
            palette.caution(),
        ));
    }
    lines
}

fn host(state: &State, window: &WindowUse, palette: Palette, width: usize) -> Line<'static> {
    let host = &window.host;
    let paused = if state.is_paused() { "  PAUSED" } else { "" };
    let about = format!(
        "  Linux {}  {} CPUs  cgroup {}  window {:.1} s",
        visible(&host.kernel),
        host.cpus,
        host.cgroup.as_str(),
        window.length.seconds()
    );
    let name = fitted(&host.name, width.saturating_sub(paused.len()).min(24));
    let taken = Span::raw(name.as_str()).width() + paused.len();
    Line::from(vec![
        Span::styled(name, palette.strong()),
        Span::styled(paused, palette.caution()),
        Span::raw(fitted(&about, width.saturating_sub(taken))),
    ])
}

/// The machine in one line, most wanted first: it is cut at the end.
fn machine(window: &WindowUse) -> String {
    let cpu = window.machine;
    let all = (cpu.busy() + cpu.idle + cpu.steal).seconds();
    let mut parts = Vec::new();
    if all > 0.0 {
        parts.push(format!(
            "cpu {} % busy",
            percent(cpu.busy().seconds() / all)
        ));
        if cpu.steal.0 > 0 {
            parts.push(format!("{} % stolen", percent(cpu.steal.seconds() / all)));
        }
    }
    let pressure = &window.machine_pressure;
    let some = [
        ("cpu", pressure.cpu_some),
        ("mem", pressure.memory_some),
        ("io", pressure.io_some),
    ];
    let some: Vec<String> = some
        .into_iter()
        .filter_map(|(name, share)| Some(format!("{name} {}", percent(share?))))
        .collect();
    if !some.is_empty() {
        parts.push(format!("pressure % {}", some.join(" ")));
    }
    if let (Fidelity::Sampled(share), true) = (window.fidelity, window.waits.is_some()) {
        parts.push(format!("sampled: {} % of the time", percent(share)));
    }
    parts.extend(unexplained(window).map(|share| format!("{} % unexplained", percent(share))));
    parts.push(format!("{} parties", window.parties.len()));
    parts.join("  ")
}

/// The share of all run-queue waits that nobody can be named for.
fn unexplained(window: &WindowUse) -> Option<f64> {
    let waits = window.waits.as_ref()?;
    let whole: f64 = waits.iter().map(|wait| wait.wait.seconds()).sum();
    let lost: f64 = waits.iter().map(|wait| wait.unexplained.seconds()).sum();
    (whole > 0.0).then(|| lost / whole)
}

/// How well each resource is watched, the unwatched ones too.
fn coverage(state: &State) -> Vec<String> {
    let Some(tick) = state.tick() else {
        return Vec::new();
    };
    let mut by_word: Vec<(&str, Vec<&str>)> = Vec::new();
    let unwatched = Resource::LISTED
        .iter()
        .map(|resource| (resource, &Coverage::None));
    let unwatched = unwatched.filter(|(resource, _)| !tick.coverage.contains_key(resource));
    for (resource, coverage) in tick.coverage.iter().chain(unwatched) {
        let word = coverage.as_str();
        match by_word.iter_mut().find(|(known, _)| *known == word) {
            Some((_, names)) => names.push(resource.as_str()),
            None => by_word.push((word, vec![resource.as_str()])),
        }
    }
    let texts = by_word
        .into_iter()
        .map(|(word, names)| format!("{word}: {}", names.join(" ")));
    let texts: Vec<String> = texts.collect();
    vec![format!("coverage {}", texts.join(", "))]
}
