//! Which image of an index is meant.

use super::documents::{Descriptor, Platform};
use super::error::ImageError;

/// A platform that was asked for, or that of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    platform: Platform,
    /// Whether somebody asked for it.
    pub(super) asked: bool,
}

impl Wanted {
    /// Parses `linux/arm64`, `linux/arm64/v8` or `arm64`; without a text it is this machine's.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] where the text is of no such form.
    pub(super) fn parse(text: Option<&str>) -> Result<Wanted, ImageError> {
        let Some(text) = text else {
            return Ok(Wanted {
                platform: of_this_machine(),
                asked: false,
            });
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(ImageError::Unsupported {
                what: format!("platform {text:?}"),
                why: "say it as linux/amd64 or linux/arm64/v8".to_owned(),
            });
        }
        Ok(Wanted {
            platform: Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(str::to_owned),
            },
            asked: true,
        })
    }

    /// How well `there` fits: None not at all; the smaller the better.
    fn fits(&self, there: &Platform) -> Option<u8> {
        if there.os != self.platform.os || there.architecture != self.platform.architecture {
            return None;
        }
        let has = plain_variant(there);
        match (plain_variant(&self.platform), has) {
            (None, None) => Some(0),
            // Variants are listed from the most to the least able; any runs where none is asked for.
            (None, Some(_)) => Some(1),
            (Some(wanted), Some(has)) if wanted == has => Some(0),
            (Some(_), _) => None,
        }
    }

    /// Whether an image that says it is made for `architecture` is what was asked for.
    pub(super) fn refuses(&self, there: &Platform) -> bool {
        self.asked && !there.architecture.is_empty() && self.fits(there).is_none()
    }

    /// That none of `there` fits.
    pub(super) fn nothing(&self, what: &str, there: &[Platform]) -> ImageError {
        let mut names: Vec<String> = there.iter().take(16).map(name).collect();
        names.sort_unstable();
        names.dedup();
        ImageError::Platform {
            what: what.to_owned(),
            wanted: name(&self.platform),
            there: if names.is_empty() {
                "no platform at all".to_owned()
            } else {
                names.join(", ")
            },
        }
    }

    /// The one of `descriptors` that is meant.
    ///
    /// # Errors
    /// [`ImageError::Platform`] where none is, [`ImageError::Several`] where several are.
    pub(super) fn choose<'a>(
        &self,
        what: &str,
        descriptors: &'a [Descriptor],
    ) -> Result<&'a Descriptor, ImageError> {
        let images: Vec<&Descriptor> = descriptors.iter().filter(|one| is_image(one)).collect();
        let best = (images.iter())
            .filter_map(|one| self.fits(one.platform.as_ref()?))
            .min();
        let fitting = |one: &&&Descriptor| match (&one.platform, best) {
            (Some(platform), Some(best)) => self.fits(platform) == Some(best),
            (None, None) => true,
            _ => false,
        };
        let mut chosen: Vec<&Descriptor> = images.iter().filter(fitting).copied().collect();
        if chosen.is_empty() && !self.asked {
            chosen.clone_from(&images);
            // Of several for other machines any tells that this one cannot run it.
            if images.iter().all(|one| one.platform.is_some()) {
                chosen.truncate(1);
            } else if distinct(&chosen) > 1 {
                chosen.clear();
            }
        }
        match (chosen.first(), distinct(&chosen)) {
            (Some(one), 1) => Ok(one),
            (None, _) => {
                let there: Vec<_> = images
                    .iter()
                    .filter_map(|one| one.platform.clone())
                    .collect();
                Err(self.nothing(what, &there))
            }
            _ => Err(ImageError::Several {
                what: what.to_owned(),
                names: several(&chosen),
            }),
        }
    }
}

/// How many images these are: one image may have several names.
fn distinct(descriptors: &[&Descriptor]) -> usize {
    let mut digests: Vec<&str> = descriptors.iter().map(|one| one.digest.as_str()).collect();
    digests.sort_unstable();
    digests.dedup();
    digests.len()
}

fn several(descriptors: &[&Descriptor]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in descriptors.iter().take(8) {
        names.push(reference_name(one).unwrap_or(&one.digest));
    }
    if descriptors.len() > names.len() {
        names.push("...");
    }
    names.join(", ")
}

/// The name of an image in an index: containerd's annotation has the whole reference.
pub(super) fn reference_name(descriptor: &Descriptor) -> Option<&str> {
    descriptor
        .annotation("io.containerd.image.name")
        .or_else(|| descriptor.annotation("org.opencontainers.image.ref.name"))
}

/// Attestations of BuildKit and artifacts stand in an index beside the images.
fn is_image(descriptor: &Descriptor) -> bool {
    let attestation = descriptor.annotation("vnd.docker.reference.type").is_some();
    let unknown = (descriptor.platform.as_ref())
        .is_some_and(|platform| platform.os == "unknown" || platform.architecture == "unknown");
    let kind = descriptor.media_type.as_str();
    let document = kind.is_empty() || kind.contains("manifest") || kind.contains("image.index");
    !attestation && !unknown && document && descriptor.artifact_type.is_none()
}

/// arm64 and arm64/v8 are the same.
fn plain_variant(platform: &Platform) -> Option<&str> {
    let variant = platform
        .variant
        .as_deref()
        .filter(|text| !text.is_empty())?;
    let usual = matches!(
        (platform.architecture.as_str(), variant),
        ("arm64", "v8") | ("amd64", "v1")
    );
    (!usual).then_some(variant)
}

fn name(platform: &Platform) -> String {
    let mut name = format!("{}/{}", platform.os, platform.architecture);
    if let Some(variant) = platform.variant.as_deref().filter(|text| !text.is_empty()) {
        name.push('/');
        name.push_str(variant);
    }
    name
}

fn of_this_machine() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::documents::parse;
    use super::*;

    fn index(text: &str) -> Vec<Descriptor> {
        parse("index", text.as_bytes()).unwrap()
    }

    fn choose(wanted: Option<&str>, descriptors: &[Descriptor]) -> Result<String, ImageError> {
        let wanted = Wanted::parse(wanted)?;
        Ok(wanted.choose("it", descriptors)?.digest.clone())
    }

    #[test]
    fn the_platform_that_was_asked_for_is_found() {
        let all = index(
            r#"[{"digest":"a","platform":{"os":"linux","architecture":"amd64"}},
            {"digest":"a3","platform":{"os":"linux","architecture":"amd64","variant":"v3"}},
            {"digest":"b","platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
            {"digest":"x","platform":{"os":"unknown","architecture":"unknown"}}]"#,
        );
        for (wanted, found) in [
            ("linux/amd64", "a"),
            ("amd64", "a"),
            ("linux/amd64/v3", "a3"),
            ("linux/arm64", "b"),
            ("linux/arm64/v8", "b"),
        ] {
            assert_eq!(choose(Some(wanted), &all).unwrap(), found, "{wanted}");
        }
        let error = choose(Some("linux/s390x"), &all).unwrap_err().to_string();
        assert!(error.contains("linux/arm64/v8"), "{error}");
        assert!(!error.contains("unknown"), "{error}");
        assert!(choose(Some("linux/amd64/v2"), &all).is_err());
        assert!(choose(Some("a/b/c/d"), &all).is_err());
    }

    #[test]
    fn one_image_is_taken_whatever_it_is_made_for_unless_another_was_asked_for() {
        let one = index(r#"[{"digest":"z","platform":{"os":"linux","architecture":"s390x"}}]"#);
        assert_eq!(choose(None, &one).unwrap(), "z");
        assert!(choose(Some("linux/amd64"), &one).is_err());
        let foreign = index(
            r#"[{"digest":"z","platform":{"os":"linux","architecture":"s390x"}},
            {"digest":"y","platform":{"os":"windows","architecture":"amd64"}}]"#,
        );
        assert_eq!(choose(None, &foreign).unwrap(), "z");
        let unsaid = index(r#"[{"digest":"z"},{"digest":"z"}]"#);
        assert_eq!(choose(None, &unsaid).unwrap(), "z");
        let two = index(
            r#"[{"digest":"z","annotations":{"org.opencontainers.image.ref.name":"one"}},
            {"digest":"y"}]"#,
        );
        let error = choose(None, &two).unwrap_err();
        assert!(matches!(&error, ImageError::Several { names, .. } if names.contains("one")));
    }
}
