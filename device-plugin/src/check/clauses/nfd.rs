//! The demands of an NFD compatibility artifact: one of its sets must hold, in a set every rule.
//!
//! Features are NFD's own (`kernel.version`, `kernel.loadedmodule`, `kernel.config`, `pci.device`,
//! `system.osrelease`, `cpu.model`); what is not read here is unknown, never a yes.

use super::{Clause, Verdict};
use crate::check::facts::ImageFacts;
use crate::check::facts::nfd::{Compatibility, Expression, Rule, Term};
use crate::check::host::HostFacts;
use crate::check::version::Version;
use std::collections::BTreeMap;

pub(super) fn clauses(image: &ImageFacts, host: &HostFacts) -> Vec<Clause> {
    let Some((specification, by)) = &image.nfd else {
        return Vec::new();
    };
    let sets = &specification.compatibilities;
    let best = sets
        .iter()
        .map(|set| (set_holds(set, host), set))
        .max_by_key(|(v, _)| *v);
    let clause = Clause::new("what the image's compatibility artifact demands");
    let Some((answer, set)) = best else {
        return Vec::new();
    };
    let name = if set.description.is_empty() {
        "a set of rules"
    } else {
        &set.description
    };
    let clause = clause.wanted(name, by).there_by("/proc, /sys");
    let failing = set
        .rules
        .iter()
        .find(|rule| rule_holds(rule, host) == answer);
    let failing = failing.map_or("", |rule| &*rule.name);
    vec![match answer {
        Verdict::Yes => clause.there("all rules hold").yes(),
        Verdict::No => clause
            .there(format!("the rule {failing:?} does not hold"))
            .no("run the image on a host that fulfils the rule"),
        Verdict::Unknown => clause
            .there(format!("the rule {failing:?} cannot be told"))
            .unknown("run nfd's own `compat validate-node` on this host"),
    }]
}

fn set_holds(set: &Compatibility, host: &HostFacts) -> Verdict {
    let rules = set.rules.iter().map(|rule| rule_holds(rule, host));
    rules.min().unwrap_or(Verdict::Yes)
}

fn rule_holds(rule: &Rule, host: &HostFacts) -> Verdict {
    let all = |terms: &[Term]| {
        let terms = terms.iter().map(|term| term_holds(term, host));
        terms.min().unwrap_or(Verdict::Yes)
    };
    let any = rule
        .any
        .iter()
        .map(|alternative| all(&alternative.features));
    all(&rule.features).min(any.max().unwrap_or(Verdict::Yes))
}

fn term_holds(term: &Term, host: &HostFacts) -> Verdict {
    // Demands on names themselves need patterns of names: not told here.
    let by_name = if term.name.is_some() {
        Verdict::Unknown
    } else {
        Verdict::Yes
    };
    let Some(instances) = instances(&term.feature, host) else {
        return Verdict::Unknown;
    };
    // One instance must fulfil all of them.
    let of_instances = instances.iter().map(|elements| {
        let each = term.expressions.iter();
        let each = each.map(|(name, expression)| holds(expression, elements.get(name)));
        each.min().unwrap_or(Verdict::Yes)
    });
    of_instances.max().unwrap_or(Verdict::No).min(by_name)
}

type Elements = BTreeMap<String, String>;

/// The elements of a feature: one set for flags and attributes, one for each device; `None` for what
/// is not read.
fn instances(feature: &str, host: &HostFacts) -> Option<Vec<Elements>> {
    let one = |elements: Elements| Some(vec![elements]);
    match feature {
        "kernel.version" => {
            let full = host.kernel.clone()?;
            let version = host.kernel_version()?;
            one(Elements::from([
                ("full".to_owned(), full),
                ("major".to_owned(), version.major().to_string()),
                ("minor".to_owned(), version.minor().to_string()),
                ("revision".to_owned(), version.part(2).to_string()),
            ]))
        }
        "kernel.loadedmodule" => {
            // The kernel writes `_` where people write either.
            let names = host.loaded.as_ref()?.iter();
            let both = names.flat_map(|name| [name.clone(), name.replace('_', "-")]);
            one(both.map(|name| (name, String::new())).collect())
        }
        "kernel.config" => one(host.config.clone()?),
        "system.osrelease" => one(host.os_release.clone()?),
        "pci.device" => host.pci.clone(),
        "cpu.model" => one(host.cpu_model.clone()?),
        _ => None,
    }
}

fn holds(expression: &Expression, element: Option<&String>) -> Verdict {
    let answer = |holds: bool| if holds { Verdict::Yes } else { Verdict::No };
    let values = &expression.value;
    let number = |text: &String| Version::parse(text).filter(|version| version.len() == 1);
    let compared = |test: &dyn Fn(&[u32], u32) -> bool| {
        let bounds: Option<Vec<u32>> = values.iter().map(|v| Some(number(v)?.major())).collect();
        match (bounds, element.map(number)) {
            (_, None) => Verdict::No,
            (Some(bounds), Some(Some(found))) => answer(test(&bounds, found.major())),
            _ => Verdict::Unknown,
        }
    };
    match &*expression.op {
        "Exists" => answer(element.is_some()),
        "DoesNotExist" => answer(element.is_none()),
        "In" => answer(element.is_some_and(|found| values.contains(found))),
        "NotIn" => answer(element.is_none_or(|found| !values.contains(found))),
        "IsTrue" => answer(element.is_some_and(|found| found == "true")),
        "IsFalse" => answer(element.is_some_and(|found| found == "false")),
        "Gt" => compared(&|bounds, found| bounds.first().is_some_and(|&bound| found > bound)),
        "Lt" => compared(&|bounds, found| bounds.first().is_some_and(|&bound| found < bound)),
        "GtLt" => compared(
            &|bounds, found| matches!(bounds, [least, most] if found > *least && found < *most),
        ),
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::facts::nfd::parse;

    fn answer(text: &str) -> Verdict {
        let host = HostFacts {
            kernel: Some("6.8.0-45-generic".to_owned()),
            loaded: Some(["vfio_pci".to_owned()].into()),
            pci: Some(vec![
                Elements::from([
                    ("vendor".to_owned(), "8086".to_owned()),
                    ("class".to_owned(), "0300".to_owned()),
                ]),
                Elements::from([
                    ("vendor".to_owned(), "10de".to_owned()),
                    ("class".to_owned(), "0302".to_owned()),
                ]),
            ]),
            ..HostFacts::default()
        };
        let text = format!("version: v1alpha1\ncompatibilities:\n- rules:\n  - name: r\n{text}");
        let image = ImageFacts {
            nfd: Some((parse(text.as_bytes()).unwrap(), "x".to_owned())),
            ..ImageFacts::default()
        };
        clauses(&image, &host)[0].verdict
    }

    fn features(terms: &[&str]) -> String {
        let terms = terms.iter().map(|term| {
            let (feature, rest) = term.split_once(' ').unwrap();
            format!("    - feature: {feature}\n      matchExpressions: {{{rest}}}\n")
        });
        format!("    matchFeatures:\n{}", terms.collect::<String>())
    }

    #[test]
    fn rules_are_judged_with_three_values() {
        use Verdict::{No, Unknown, Yes};
        for (terms, expected) in [
            (&["kernel.loadedmodule vfio-pci: {op: Exists}"][..], Yes),
            (&["kernel.loadedmodule nvidia: {op: Exists}"][..], No),
            (&["kernel.version major: {op: Gt, value: ['5']}"][..], Yes),
            (
                &["kernel.version minor: {op: GtLt, value: ['8', '9']}"][..],
                No,
            ),
            (
                &["pci.device vendor: {op: In, value: ['10de']}, class: {op: In, value: ['0302']}"]
                    [..],
                Yes,
            ),
            (
                &["pci.device vendor: {op: In, value: ['10de']}, class: {op: In, value: ['0300']}"]
                    [..],
                No,
            ),
            (
                &["cpu.model vendor_id: {op: In, value: [Intel]}"][..],
                Unknown,
            ),
            (&["cpu.coprocessor nx_gzip: {op: Exists}"][..], Unknown),
            (
                &["kernel.version full: {op: InRegexp, value: ['^6']}"][..],
                Unknown,
            ),
            (
                &[
                    "cpu.model id: {op: Exists}",
                    "kernel.loadedmodule x: {op: Exists}",
                ][..],
                No,
            ),
        ] {
            assert_eq!(answer(&features(terms)), expected, "{terms:?}");
        }
    }
}
