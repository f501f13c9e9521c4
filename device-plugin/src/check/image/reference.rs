//! References: `[registry/]repository[:tag][@digest]`, after the grammar of the distribution project.

use super::digest::Digest;
use super::error::ImageError;

/// A reference, taken apart. Its parts have no `..`, no empty part and no odd character, so that they
/// may stand in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The registry, where one is named.
    pub(super) registry: Option<String>,
    /// What is behind the registry.
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<Digest>,
}

impl Reference {
    /// # Errors
    /// [`ImageError::Unsupported`] where it is none.
    pub(super) fn parse(text: &str) -> Result<Reference, ImageError> {
        parse(text).ok_or_else(|| ImageError::Unsupported {
            what: format!("reference {:?}", text.chars().take(256).collect::<String>()),
            why: "say it as repository:tag, registry/repository:tag or repository@sha256:..."
                .to_owned(),
        })
    }

    /// The repositories that may be meant, the most likely first: a registry of one's own may be
    /// named in front, or be a part of the path.
    pub(super) fn repositories(&self) -> Vec<String> {
        let mut all = vec![self.repository.clone()];
        if let Some(registry) = &self.registry {
            all.push(format!("{registry}/{}", self.repository));
        }
        if !self.repository.contains('/') {
            all.push(format!("library/{}", self.repository));
        }
        all
    }

    /// As containerd and Docker name it in full: `docker.io/library/debian:12`.
    pub(super) fn in_full(&self) -> String {
        let registry = self.registry.as_deref().unwrap_or("docker.io");
        let library = registry == "docker.io" && !self.repository.contains('/');
        let library = if library { "library/" } else { "" };
        let end = match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!(":{tag}@{digest}"),
            (Some(tag), None) => format!(":{tag}"),
            (None, Some(digest)) => format!("@{digest}"),
            (None, None) => ":latest".to_owned(),
        };
        format!("{registry}/{library}{}{end}", self.repository)
    }
}

fn parse(text: &str) -> Option<Reference> {
    if text.len() > 1024 {
        return None;
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
        None => (text, None),
    };
    let (rest, tag) = match rest.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return None;
    }
    let (registry, repository) = match rest.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, rest),
    };
    if !repository.split('/').all(is_part) || !registry.is_none_or(is_registry) {
        return None;
    }
    Some(Reference {
        registry: registry.map(str::to_owned),
        repository: repository.to_owned(),
        tag: tag.map(str::to_owned),
        digest,
    })
}

fn is_part(part: &str) -> bool {
    let letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = part.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|&byte| letter(byte))
}

fn is_registry(text: &str) -> bool {
    let (name, port) = text.rsplit_once(':').unwrap_or((text, "0"));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !name.is_empty()
        && !name.contains("..")
        && name.bytes().all(letter)
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_tag(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = text.as_bytes().first();
    text.len() <= 128
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && text.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (text, full) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("a/b:1", "docker.io/a/b:1"),
            ("localhost:5000/x:y", "localhost:5000/x:y"),
            ("ghcr.io/o/n", "ghcr.io/o/n:latest"),
            ("localhost/x", "localhost/x:latest"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().in_full(), full, "{text}");
        }
        let digest = Digest::of(b"");
        let parsed = Reference::parse(&format!("x/y@{digest}")).unwrap();
        assert_eq!(parsed.digest, Some(digest));
        assert_eq!(
            Reference::parse("r.io/x:1").unwrap().repositories(),
            ["x", "r.io/x", "library/x"]
        );
    }

    #[test]
    fn nothing_that_climbs_is_a_reference() {
        for text in [
            "",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "/a",
            "a/",
            "a:..",
            "a:b/c:",
            "A",
            "a b",
            "a\0",
            "x@sha256:1",
            "..:5/x",
            "a..b:5/../x",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
