//! What an image's author demands of a node, as Node Feature Discovery's image compatibility
//! specification (`v1alpha1`) says it: YAML, in an artifact beside the image.
//!
//! The text comes from whoever could push to the registry: bounded, and without YAML's aliases, which
//! can make a small text a large document.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use yaml_rust2::Event;
use yaml_rust2::parser::{MarkedEventReceiver, Parser};
use yaml_rust2::scanner::Marker;

/// The longest specification that is read.
pub const LIMIT: usize = 256 << 10;
/// How deep one may be.
const DEPTH: usize = 32;

/// A specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specification {
    /// `v1alpha1`.
    pub version: String,
    /// One of these must hold.
    pub compatibilities: Vec<Compatibility>,
}

/// A set of rules that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compatibility {
    /// In words.
    #[serde(default)]
    pub description: String,
    /// The rules.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A rule: all of `features` and, where there are any, one of `any`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// All must match.
    #[serde(default, rename = "matchFeatures")]
    pub features: Vec<Term>,
    /// One must match.
    #[serde(default, rename = "matchAny")]
    pub any: Vec<Alternative>,
}

/// An alternative: all of its features.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// All must match.
    #[serde(default, rename = "matchFeatures")]
    pub features: Vec<Term>,
}

/// What is demanded of one feature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// `kernel.loadedmodule`, `pci.device`, ...
    pub feature: String,
    /// By the name of an element.
    #[serde(default, rename = "matchExpressions")]
    pub expressions: BTreeMap<String, Expression>,
    /// Of the names themselves.
    #[serde(default, rename = "matchName")]
    pub name: Option<Expression>,
}

/// An operator and its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// `In`, `Exists`, `Gt`, ...
    pub op: String,
    /// The values.
    #[serde(default)]
    pub value: Vec<String>,
}

/// Reads a specification.
///
/// # Errors
/// In words, where the text is none.
pub fn parse(text: &[u8]) -> Result<Specification, String> {
    let text = std::str::from_utf8(text).map_err(|_| "no UTF-8".to_owned())?;
    let mut builder = Builder::default();
    // The parser descends by calls: what is too deep is refused before it is parsed.
    if is_too_deep(text) {
        return Err(format!("more than {DEPTH} levels"));
    }
    let mut parser = Parser::new_from_str(text);
    parser
        .load(&mut builder, false)
        .map_err(|error| error.to_string())?;
    if let Some(why) = builder.refused {
        return Err(why.to_owned());
    }
    let value = builder.done.ok_or("an empty text")?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Counts brackets and indentation; each level costs one of either.
fn is_too_deep(text: &str) -> bool {
    let brackets = text.bytes().filter(|byte| b"[{".contains(byte)).count();
    let dashes = |line: &str| line.matches("- ").count();
    let indents = text.lines().map(|line| {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        indent.max(dashes(line))
    });
    text.len() > LIMIT || indents.max().unwrap_or(0) > DEPTH * 4 || brackets > 4096
}

/// Builds a JSON value from the parser's events; scalars are texts.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    done: Option<serde_json::Value>,
    refused: Option<&'static str>,
}

enum Open {
    List(Vec<serde_json::Value>),
    Map(serde_json::Map<String, serde_json::Value>, Option<String>),
}

impl Builder {
    fn add(&mut self, value: serde_json::Value) {
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => match (key.take(), value) {
                (Some(name), value) => {
                    map.insert(name, value);
                }
                (None, serde_json::Value::String(name)) => *key = Some(name),
                (None, _) => self.refused = Some("a key that is no text"),
            },
        }
    }
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, _: Marker) {
        if self.open.len() > DEPTH {
            self.refused = Some("too many levels");
        }
        if self.refused.is_some() {
            return;
        }
        match event {
            Event::Alias(_) => self.refused = Some("an alias, which is not followed"),
            Event::Scalar(text, ..) => self.add(serde_json::Value::String(text)),
            Event::SequenceStart(..) => self.open.push(Open::List(Vec::new())),
            Event::MappingStart(..) => self.open.push(Open::Map(serde_json::Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list)) => self.add(list.into()),
                Some(Open::Map(map, _)) => self.add(map.into()),
                None => {}
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of NFD's documentation ("Image Compatibility Artifact", Apache-2.0).
    pub(crate) const EXAMPLE: &str = r#"
version: v1alpha1
compatibilities:
- description: "My image requirements"
  rules:
  - name: "kernel and cpu"
    matchFeatures:
    - feature: kernel.loadedmodule
      matchExpressions:
        vfio-pci: {op: Exists}
    - feature: cpu.model
      matchExpressions:
        vendor_id: {op: In, value: ["Intel", "AMD"]}
  - name: "one of available nics"
    matchAny:
    - matchFeatures:
      - feature: pci.device
        matchExpressions:
          vendor: {op: In, value: ["0eee"]}
          class: {op: In, value: ["0200"]}
"#;

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let found = parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(found.version, "v1alpha1");
        let rules = &found.compatibilities[0].rules;
        assert_eq!(
            rules[0].features[1].expressions["vendor_id"].value,
            ["Intel", "AMD"]
        );
        assert_eq!(rules[1].any[0].features[0].feature, "pci.device");
    }

    #[test]
    fn bombs_and_other_texts_are_refused() {
        let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nversion: v\ncompatibilities: []\n";
        assert!(parse(bomb.as_bytes()).unwrap_err().contains("alias"));
        assert!(parse("[".repeat(10_000).as_bytes()).is_err());
        assert!(parse("- ".repeat(10_000).as_bytes()).is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"\xff").is_err());
        assert!(parse(b"version: v1alpha1").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[-a-z:\\[\\]{}&*! \"'|>\n]{0,200}") {
            let _ = parse(text.as_bytes());
        }
    }
}
