//! Limits on what strangers may make us keep: names, labels, paths come from containers and engines.

use std::collections::BTreeMap;

/// A displayed name, in characters.
const NAME: usize = 256;
/// An image reference, in characters.
const IMAGE: usize = 512;
/// A label's value, in characters.
const LABEL: usize = 1024;
/// Labels of one party.
const LABELS: usize = 64;
/// How much of an id stands for a name while no engine has told one, as docker shows it.
const SHORT_ID: usize = 12;

/// At most [`NAME`] characters, cut at a character's boundary. Control characters stay: whoever
/// prints escapes them.
pub(super) fn name(text: &str) -> String {
    text.chars().take(NAME).collect()
}

pub(super) fn image(text: &str) -> String {
    text.chars().take(IMAGE).collect()
}

/// The first labels in their order, each one cut.
pub(super) fn labels<K, V>(labels: impl IntoIterator<Item = (K, V)>) -> BTreeMap<String, String>
where
    K: AsRef<str>,
    V: AsRef<str>,
{
    let cut = |(key, value): (K, V)| {
        (
            name(key.as_ref()),
            value.as_ref().chars().take(LABEL).collect(),
        )
    };
    let mut sorted: BTreeMap<String, String> = labels.into_iter().map(cut).collect();
    while sorted.len() > LABELS {
        sorted.pop_last();
    }
    sorted
}

/// What stands for a container's name while nobody has told one.
pub(super) fn short_id(id: &str) -> String {
    let is_digest = id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest {
        id[..SHORT_ID].to_owned()
    } else {
        name(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(name(&"é".repeat(5000)), "é".repeat(NAME));
        assert_eq!(short_id(&"a1".repeat(32)), "a1a1a1a1a1a1");
        assert_eq!(short_id("job\u{1b}[2J"), "job\u{1b}[2J");
    }

    #[test]
    fn labels_are_counted_and_cut() {
        let many = (0..500).map(|i| (format!("k{i:03}"), "v".repeat(9000)));
        let kept = labels(many);
        assert_eq!(kept.len(), LABELS);
        assert!(kept.values().all(|v| v.len() == LABEL));
        assert!(kept.contains_key("k000"));
    }
}
