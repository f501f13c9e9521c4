//! Looking things up in the JSON documents of the contract, with errors that say what was there.

use anyhow::{Context, Result};
use serde_json::Value;

/// The value at a dotted path such as `window.seconds`.
pub fn at<'v>(value: &'v Value, path: &str) -> Result<&'v Value> {
    let mut here = value;
    for step in path.split('.') {
        here = here
            .get(step)
            .with_context(|| format!("{path:?}: no {step:?} in {}", short(here)))?;
    }
    Ok(here)
}

/// The number at a path.
pub fn number(value: &Value, path: &str) -> Result<f64> {
    let found = at(value, path)?;
    found
        .as_f64()
        .with_context(|| format!("{path:?} is no number but {}", short(found)))
}

/// The text at a path.
pub fn text<'v>(value: &'v Value, path: &str) -> Result<&'v str> {
    let found = at(value, path)?;
    found
        .as_str()
        .with_context(|| format!("{path:?} is no text but {}", short(found)))
}

/// The list at a path.
pub fn list<'v>(value: &'v Value, path: &str) -> Result<&'v [Value]> {
    let found = at(value, path)?;
    found
        .as_array()
        .map(Vec::as_slice)
        .with_context(|| format!("{path:?} is no list but {}", short(found)))
}

/// A party's name; empty where the document has none.
#[must_use]
pub fn name(party: &Value) -> &str {
    party.get("name").and_then(Value::as_str).unwrap_or("")
}

/// The party of a `dunnage.ps/1` document with this name.
pub fn party<'v>(ps: &'v Value, wanted: &str) -> Result<&'v Value> {
    let parties = list(ps, "parties")?;
    let found = parties.iter().find(|entry| {
        entry
            .get("party")
            .is_some_and(|party| name(party) == wanted)
    });
    found.with_context(|| {
        let names: Vec<&str> = parties
            .iter()
            .filter_map(|entry| entry.get("party"))
            .map(name)
            .collect();
        format!("no party {wanted:?} among {names:?}")
    })
}

/// The verdicts that accuse somebody else (`neighbour` or `host`) of harming this victim.
pub fn accusations<'v>(blame: &'v Value, victim: &str) -> Result<Vec<&'v Value>> {
    verdicts(blame, victim, &["neighbour", "host"])
}

/// The verdicts for a victim with one of these causes.
pub fn verdicts<'v>(blame: &'v Value, victim: &str, causes: &[&str]) -> Result<Vec<&'v Value>> {
    let mut found = Vec::new();
    for verdict in list(blame, "verdicts")? {
        if name(at(verdict, "victim")?) == victim && causes.contains(&text(verdict, "cause")?) {
            found.push(verdict);
        }
    }
    Ok(found)
}

/// Everybody whom the document accuses of harming somebody else.
pub fn accused(blame: &Value) -> Result<Vec<&str>> {
    let mut names = Vec::new();
    for verdict in list(blame, "verdicts")? {
        if text(verdict, "cause")? != "self" {
            for culprit in list(verdict, "culprits")? {
                names.push(name(at(culprit, "party")?));
            }
        }
    }
    Ok(names)
}

/// Everybody whom the document clears.
pub fn cleared(blame: &Value) -> Result<Vec<&str>> {
    list(blame, "cleared")?
        .iter()
        .map(|entry| Ok(name(at(entry, "party")?)))
        .collect()
}

/// A `dunnage.blame/1` document in a few lines, for the message of a test that fails.
#[must_use]
pub fn summary(blame: &Value) -> String {
    let mut lines = vec![format!("coverage {}", blame["coverage"])];
    for verdict in blame["verdicts"].as_array().into_iter().flatten() {
        let culprits = verdict["culprits"].as_array().into_iter().flatten().take(4);
        let culprits: Vec<String> = culprits
            .map(|culprit| {
                format!(
                    "{} {:.3}",
                    name(&culprit["party"]),
                    culprit["share"].as_f64().unwrap_or(f64::NAN)
                )
            })
            .collect();
        lines.push(format!(
            "{} loses {} ({}) by {}: {}\n    {}\n    {}",
            name(&verdict["victim"]),
            verdict["harm"]["seconds"],
            verdict["harm"]["fraction"],
            verdict["cause"],
            culprits.join(", "),
            verdict["evidence"],
            verdict["facts"],
        ));
    }
    for entry in blame["cleared"].as_array().into_iter().flatten() {
        lines.push(format!(
            "cleared: {}: {}",
            name(&entry["party"]),
            entry["why"]
        ));
    }
    lines.push(format!("gaps {}", blame["gaps"]));
    lines.join("\n")
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{accusations, accused, number};
    use serde_json::json;

    #[test]
    fn looks_up_who_accuses_whom() {
        let blame = json!({"window": {"seconds": 2.5}, "verdicts": [
            {"victim": {"name": "web"}, "cause": "neighbour", "culprits": [{"party": {"name": "batch"}}]},
            {"victim": {"name": "web"}, "cause": "self", "culprits": [{"party": {"name": "web"}}]}]});
        assert_eq!(accused(&blame).unwrap(), ["batch"]);
        assert_eq!(accusations(&blame, "web").unwrap().len(), 1);
        assert!(accusations(&blame, "batch").unwrap().is_empty());
        assert!((number(&blame, "window.seconds").unwrap() - 2.5).abs() < 1e-9);
        assert!(
            number(&blame, "window.minutes")
                .unwrap_err()
                .to_string()
                .contains("seconds")
        );
    }
}
