//! The JSON documents of an image: indexes, manifests, configurations, and Docker's own manifest.
//!
//! After the OCI image specification (manifest.md, image-index.md, config.md), which Docker's schema 2
//! agrees with, and Docker's image specification 1.2 for `manifest.json`. Unknown fields are left out
//! and every list has a limit; serde_json refuses deep nesting by itself.

use super::error::ImageError;
use super::limits::{ENTRIES, LAYERS, MANIFESTS};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A reference to a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) platform: Option<Platform>,
    pub(super) annotations: Option<Words>,
    pub(super) artifact_type: Option<String>,
}

impl Descriptor {
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.annotations.as_ref()?;
        annotations.0.get(name).map(String::as_str)
    }
}

/// What an image is made for, in Go's words.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    pub(super) variant: Option<String>,
}

/// An index or a manifest: which one shows in what is there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) schema_version: Option<u64>,
    pub(super) manifests: Option<List<Descriptor, MANIFESTS>>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Option<List<Descriptor, LAYERS>>,
    pub(super) annotations: Option<Words>,
    pub(super) artifact_type: Option<String>,
}

/// The configuration of an image.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    pub(super) architecture: Option<String>,
    pub(super) variant: Option<String>,
    pub(super) os: Option<String>,
    pub(super) config: Option<Container>,
    pub(super) rootfs: Option<Layers>,
}

/// What a container of the image starts with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) env: Option<List<String, ENTRIES>>,
    pub(super) labels: Option<Words>,
    pub(super) entrypoint: Option<List<String, ENTRIES>>,
    pub(super) cmd: Option<List<String, ENTRIES>>,
    pub(super) working_dir: Option<String>,
}

/// The layers that a configuration is about.
#[derive(Debug, Deserialize)]
pub(super) struct Layers {
    pub(super) diff_ids: Option<List<String, LAYERS>>,
}

/// `manifest.json` of `docker save`: one for each image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) repo_tags: Option<List<String, ENTRIES>>,
    pub(super) layers: Option<List<String, LAYERS>>,
}

/// Parses a document; `what` names it.
///
/// # Errors
/// [`ImageError::Broken`] where it is none, or longer in one of its lists than is taken.
pub(super) fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::broken(what, error.to_string()))
}

/// At most `N` values.
#[derive(Clone, Debug)]
pub(super) struct List<T, const N: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for List<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ListVisitor<T, N> {
    type Value = List<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            if list.len() == N {
                return Err(too_many::<A::Error>(N));
            }
            list.push(value);
        }
        Ok(List(list))
    }
}

/// Labels or annotations, at most [`ENTRIES`].
#[derive(Clone, Debug, Default)]
pub(super) struct Words(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "words by name, at most {ENTRIES}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut words = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Option<String>>()? {
            if words.len() == ENTRIES {
                return Err(too_many::<A::Error>(ENTRIES));
            }
            words.insert(name, value.unwrap_or_default());
        }
        Ok(Words(words))
    }
}

fn too_many<E: de::Error>(limit: usize) -> E {
    E::custom(format!(
        "a list of more than the {limit} entries that are read"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_a_limit_and_nesting_too() {
        let long = format!(
            "{{\"layers\":[{}]}}",
            vec!["{\"digest\":\"\"}"; 1001].join(",")
        );
        let error = parse::<Document>("x", long.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("more than the 1000"), "{error}");
        let deep = "[".repeat(100_000);
        assert!(parse::<Document>("x", deep.as_bytes()).is_err());
        let deep = format!("{{\"unknown\":{}", "{\"a\":".repeat(100_000));
        assert!(parse::<Document>("x", deep.as_bytes()).is_err());
    }

    #[test]
    fn absent_and_null_are_the_same() {
        let text =
            br#"{"architecture":"arm64","config":{"Env":null,"Labels":{"a":null}},"rootfs":null}"#;
        let found: Configuration = parse("x", text).unwrap();
        let container = found.config.unwrap();
        assert!(container.env.is_none() && container.cmd.is_none());
        assert_eq!(container.labels.unwrap().0["a"], "");
    }
}
