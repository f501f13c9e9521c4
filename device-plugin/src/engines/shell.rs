//! Words for a shell and for YAML: quoted only where they must be.

/// A word as a POSIX shell takes it.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The words of a command line, one space between them.
#[must_use]
pub fn line<I: IntoIterator<Item = S>, S: AsRef<str>>(words: I) -> String {
    let quoted: Vec<String> = words.into_iter().map(|text| word(text.as_ref())).collect();
    quoted.join(" ")
}

/// A string as YAML takes it, always in double quotes, which mean the same as in JSON.
#[must_use]
pub fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(
            line(["--device", "/dev/a:/dev/b:rw"]),
            "--device /dev/a:/dev/b:rw"
        );
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's"), "'it'\\''s'");
        assert_eq!(word(""), "''");
        assert_eq!(word("$(x)"), "'$(x)'");
        assert_eq!(yaml("a: \"b\""), "\"a: \\\"b\\\"\"");
    }
}
