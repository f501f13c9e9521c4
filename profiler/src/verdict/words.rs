//! Words that every judge needs. Names stand as the engine shows them; whoever prints them escapes
//! them. A name becomes part of a command only where a shell reads it as itself.

use dunnage_model::party::Party;

/// A party's name in a sentence; containers of pods by namespace, pod and container.
pub(super) fn called(party: &Party) -> String {
    let Some(pod) = &party.pod else {
        return party.name.clone();
    };
    let parts = [&pod.namespace, &pod.name, &pod.container];
    if parts.iter().any(|part| part.is_none()) {
        return party.name.clone();
    }
    parts
        .into_iter()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .join("/")
}

/// "10 s", "2.5 s", "15 ms" for a command or a window that ended at once.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.1 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    let text = format!("{seconds:.1}");
    format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
}

/// The cgroup to look for.
pub(super) fn place(party: &Party) -> String {
    match party.cgroup.as_deref() {
        Some("/") | None => "a cgroup of its own".to_owned(),
        Some(path) => format!("cgroup {path}"),
    }
}

/// What a command may call a party: its name, else its id; nothing that a shell could take for more
/// than a word, or a command for an option.
pub(super) fn handle(party: &Party) -> Option<String> {
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ':'))
    };
    if plain(&party.name) {
        return Some(party.name.clone());
    }
    plain(&party.id).then(|| party.id.chars().take(12).collect())
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn no_window_is_said_to_have_lasted_no_time() {
        for (seconds, text) in [
            (10.0, "10 s"),
            (2.5, "2.5 s"),
            (0.1, "0.1 s"),
            (0.015, "15 ms"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
