//! `NVIDIA_REQUIRE_*`: what an image's author demands of the driver and the GPU.
//!
//! NVIDIA has two readers, and either may be the one that starts the container: the container toolkit
//! (`internal/requirements`) and `nvidia-container-cli` (libnvidia-container, `dsl.c`). To both,
//! conditions with a space between them are alternatives, with a comma between them all must hold;
//! several variables must all hold. A condition is a property, one of `= != < > <= >=`, and a value.
//! Properties are `cuda`, `driver`, `arch` (the compute capability) and `brand`. Other ones the toolkit
//! passes over, and `nvidia-container-cli` refuses; it also takes names in capitals, and no `v` before a
//! version. Where the two may differ it cannot be told.

use super::{Clause, Verdict, capability, cuda_releases};
use crate::check::facts::ImageFacts;
use crate::check::host::HostFacts;
use crate::check::version::Version;
use dunnage_inventory::Device;

/// Longer demands are not read.
const MAX_LENGTH: usize = 16 << 10;

/// What conditions are compared with.
#[derive(Clone, Debug, Default)]
struct Properties {
    cuda: Option<Version>,
    driver: Option<Version>,
    arch: Option<Version>,
    brand: Option<String>,
}

/// A clause for each variable.
pub(super) fn clauses(image: &ImageFacts, host: &HostFacts, device: &Device) -> Vec<Clause> {
    let off = image.env("NVIDIA_DISABLE_REQUIRE");
    let off = off.is_some_and(|value| ["1", "true", "TRUE", "True", "t", "T"].contains(&value));
    let properties = properties(host, device);
    let mut clauses = Vec::new();
    for (name, value) in &image.env {
        // Those for Jetson are passed over by both readers.
        let is_demand = name.starts_with("NVIDIA_REQUIRE_")
            && !name.starts_with("NVIDIA_REQUIRE_JETPACK")
            && !value.trim().is_empty();
        // Of two with the same name the last one counts.
        if is_demand && image.env(name) == Some(value) {
            let clause = clause(name, value, &properties, host, device);
            clauses.push(if off { clause.beside() } else { clause });
        }
    }
    clauses
}

fn clause(
    name: &str,
    value: &str,
    properties: &Properties,
    host: &HostFacts,
    device: &Device,
) -> Clause {
    let clause = Clause::new(format!("what {name} demands"))
        .wanted(value, "the image's environment")
        .there(in_words(properties));
    let clause = match host.nvidia_driver(device) {
        Some((_, _, by)) => clause.there_by(by),
        None => clause.there_by(&*device.id),
    };
    match demand(value, properties) {
        Some(Verdict::Yes) => clause.yes(),
        Some(Verdict::No) => {
            clause.no("update the driver, or use an image with an older CUDA release")
        }
        Some(Verdict::Unknown) => clause.unknown(
            "a property that it asks for cannot be read here, or only some releases of NVIDIA's \
             container toolkit know it",
        ),
        None => {
            clause.unknown("the demand cannot be read: a condition has no operator or no version")
        }
    }
}

fn properties(host: &HostFacts, device: &Device) -> Properties {
    let driver = host.nvidia_driver(device).map(|(driver, _, _)| driver);
    let stated = device
        .attributes
        .get("cuda.driver")
        .and_then(|text| Version::parse(text));
    Properties {
        cuda: stated.or_else(|| driver.as_ref().and_then(cuda_releases::of_driver)),
        driver,
        arch: capability::of(device).map(|(found, _)| Version::of(&[found / 10, found % 10])),
        brand: device
            .attributes
            .get("brand")
            .map(|brand| brand.to_ascii_lowercase()),
    }
}

fn in_words(properties: &Properties) -> String {
    let version = |found: &Option<Version>| {
        found
            .as_ref()
            .map_or_else(|| "unknown".to_owned(), Version::to_string)
    };
    format!(
        "cuda={}, driver={}, arch={}, brand={}",
        version(&properties.cuda),
        version(&properties.driver),
        version(&properties.arch),
        properties.brand.as_deref().unwrap_or("unknown")
    )
}

/// Whether a demand holds; `None` where it is not of the grammar.
fn demand(text: &str, properties: &Properties) -> Option<Verdict> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let mut any: Option<Verdict> = None;
    let mut disputed = false;
    for alternative in text.split(' ') {
        let mut all: Option<Verdict> = None;
        for condition in alternative
            .split(',')
            .filter(|text| !text.trim().is_empty())
        {
            let holds = match self::condition(condition, properties)? {
                Answer::Is(verdict) => verdict,
                Answer::Disputed => {
                    // Behind an alternative that holds nobody who would refuse it looks.
                    disputed |= any != Some(Verdict::Yes);
                    Verdict::Unknown
                }
            };
            all = Some(all.map_or(holds, |so_far| so_far.min(holds)));
        }
        if let Some(all) = all {
            any = Some(any.map_or(all, |so_far| so_far.max(all)));
        }
    }
    let verdict = any.unwrap_or(Verdict::Yes);
    Some(if disputed {
        verdict.min(Verdict::Unknown)
    } else {
        verdict
    })
}

/// What a condition comes to.
enum Answer {
    /// To both readers.
    Is(Verdict),
    /// One of the readers refuses it, or understands something else.
    Disputed,
}

/// Whether a condition holds; `None` where it is not of the grammar.
fn condition(text: &str, properties: &Properties) -> Option<Answer> {
    const OPERATORS: [&str; 6] = ["!=", "<=", ">=", "=", "<", ">"];
    let (property, rest) = text.split_at(text.find(['<', '>', '=', '!'])?);
    let operator = OPERATORS
        .iter()
        .find(|operator| rest.starts_with(**operator))?;
    let value = &rest[operator.len()..];
    let order = match property {
        "cuda" => version_order(properties.cuda.as_ref(), value)?,
        "driver" => version_order(properties.driver.as_ref(), value)?,
        "arch" => version_order(properties.arch.as_ref(), value)?,
        // One reader looks at capitals, and the other knows no order of brands.
        "brand" if value.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            return Some(Answer::Disputed);
        }
        "brand" if !matches!(*operator, "=" | "!=") => return Some(Answer::Disputed),
        "brand" => properties.brand.as_deref().map(|brand| brand.cmp(value)),
        _ => return Some(Answer::Disputed),
    };
    let Some(order) = order else {
        return Some(Answer::Is(Verdict::Unknown));
    };
    let holds = match *operator {
        "!=" => order.is_ne(),
        "<=" => order.is_le(),
        ">=" => order.is_ge(),
        "=" => order.is_eq(),
        "<" => order.is_lt(),
        _ => order.is_gt(),
    };
    Some(Answer::Is(if holds { Verdict::Yes } else { Verdict::No }))
}

fn version_order(found: Option<&Version>, value: &str) -> Option<Option<std::cmp::Ordering>> {
    let value = Version::parse(value)?;
    Some(found.map(|found| found.cmp(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(cuda: &str, driver: &str, brand: Option<&str>) -> Properties {
        Properties {
            cuda: Version::parse(cuda),
            driver: Version::parse(driver),
            arch: Version::parse("8.0"),
            brand: brand.map(str::to_owned),
        }
    }

    #[test]
    fn a_space_is_or_and_a_comma_is_and() {
        let demand_of_124 = "cuda>=12.4 brand=tesla,driver>=470,driver<471 \
                             brand=tesla,driver>=535,driver<536 brand=geforce,driver>=535,driver<536";
        let tesla = Some("tesla");
        for (properties, expected) in [
            (host("12.4", "550.54.14", None), Verdict::Yes),
            (host("12.2", "535.54.03", tesla), Verdict::Yes),
            (host("12.2", "535.54.03", Some("titan")), Verdict::No),
            (host("11.4", "470.256.02", tesla), Verdict::Yes),
            (host("11.8", "520.61.05", tesla), Verdict::No),
            (host("12.2", "535.54.03", None), Verdict::Unknown),
            (host("11.8", "520.61.05", None), Verdict::No),
            (Properties::default(), Verdict::Unknown),
        ] {
            assert_eq!(
                demand(demand_of_124, &properties),
                Some(expected),
                "{properties:?}"
            );
        }
    }

    #[test]
    fn the_grammar_is_the_toolkits() {
        let here = host("12.2", "535.54.03", Some("tesla"));
        for (text, expected) in [
            ("", Some(Verdict::Yes)),
            (" , ", Some(Verdict::Yes)),
            ("gpu>=3,cuda>=13", Some(Verdict::No)),
            ("arch!=8.0", Some(Verdict::No)),
            ("arch>=7.0,arch<9.0", Some(Verdict::Yes)),
            ("brand!=tesla", Some(Verdict::No)),
            ("cuda>=v12", None),
            ("cuda", None),
            ("cuda>=", None),
            ("cuda>=new", None),
            ("cuda!12", None),
        ] {
            assert_eq!(demand(text, &here), expected, "{text:?}");
        }
    }

    #[test]
    fn what_the_two_readers_take_differently_is_no_yes() {
        let here = host("12.2", "535.54.03", Some("tesla"));
        for (text, expected) in [
            ("gpu>=3", Verdict::Unknown),
            ("==", Verdict::Unknown),
            ("CUDA>=99", Verdict::Unknown),
            ("\tcuda>=12", Verdict::Unknown),
            ("brand=Tesla", Verdict::Unknown),
            ("brand>=a", Verdict::Unknown),
            ("cuda>=12 gpu>=3", Verdict::Yes),
            ("gpu>=3 cuda>=12", Verdict::Unknown),
            ("cuda>=12,gpu>=3", Verdict::Unknown),
            ("gpu>=3 cuda>=13", Verdict::Unknown),
        ] {
            assert_eq!(demand(text, &here), Some(expected), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z<>=!., 0-9v]{0,80}") {
            let _ = demand(&text, &host("12.2", "535.54.03", None));
        }

        #[test]
        fn an_alternative_more_never_takes_a_yes_away(
            text in "(cuda>=1[0-3]|driver<5[0-9]{2}|brand=tesla|arch>=8)([ ,](cuda>=1[0-3]|arch<9)){0,4}",
            more in "(cuda>=1[0-3]|brand=titan)",
        ) {
            let here = host("12.2", "535.54.03", None);
            let longer = format!("{text} {more}");
            prop_assert!(demand(&longer, &here) >= demand(&text, &here));
        }
    }
}
