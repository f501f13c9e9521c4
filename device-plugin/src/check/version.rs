//! Versions as drivers, libraries and kernels write them: numbers with dots.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// A version: at least one number. `12.4` equals `12.4.0`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version(Vec<u32>);

/// More parts than any version has.
const MAX_PARTS: usize = 8;

impl Version {
    /// Of numbers that are known.
    #[must_use]
    pub fn of(parts: &[u32]) -> Version {
        Version(parts.to_vec())
    }

    /// The whole text as a version: `470.256.02`. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        let parts: Vec<u32> = text
            .split('.')
            .map(|part| number(part.as_bytes()))
            .collect::<Option<_>>()?;
        (parts.len() <= MAX_PARTS).then_some(Version(parts))
    }

    /// The version that `text` begins with: `6.8.0-45-generic` is 6.8.0.
    #[must_use]
    pub fn leading(text: &str) -> Option<Version> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        Version::parse(text[..end].trim_end_matches('.'))
    }

    /// The first number.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.part(0)
    }

    /// The second number, or 0.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.part(1)
    }

    /// How many numbers were written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a version has a number. Stands here because `len` does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number at `index`, or 0.
    #[must_use]
    pub fn part(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')),
    )
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        (0..self.0.len().max(other.0.len()))
            .map(|index| self.part(index).cmp(&other.part(index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_ordered_by_number() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("470.256.02") < version("525.60.13"));
        assert!(version("12.4") < version("12.10"));
        assert_eq!(version("12.4"), version("12.4.0"));
        assert_eq!(version("470.256.02").to_string(), "470.256.2");
        assert_eq!(
            Version::leading("6.8.0-45-generic").unwrap(),
            version("6.8")
        );
        assert_eq!(Version::leading("6.1.").unwrap(), version("6.1"));
        for bad in [
            "",
            ".",
            "1..2",
            "a",
            "1.a",
            "-1",
            "12345678901",
            "1.2.3.4.5.6.7.8.9",
        ] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_version_or_nothing(text in ".{0,40}") {
            if let Some(version) = Version::parse(&text) {
                prop_assert_eq!(Version::parse(&version.to_string()), Some(version));
            }
            let _ = Version::leading(&text);
        }
    }
}
