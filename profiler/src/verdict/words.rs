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

/// "10 s", "2.5 s".
pub(super) fn duration(seconds: f64) -> String {
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
