//! A rule: which devices, and what they are.

use crate::device::{Kind, Role, Shares};
use serde::Deserialize;

/// The longest text of a rule, in bytes.
const TEXT_LIMIT: usize = 1024;

/// The most patterns and further nodes of one rule.
const NODES_LIMIT: usize = 64;

/// A rule for devices that no family knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What sort of accelerator.
    pub kind: Kind,
    /// Who makes it; `other` where it is left out.
    pub vendor: String,
    /// The product.
    pub model: Option<String>,
    /// Which devices.
    pub select: Selection,
    /// Further nodes of each device.
    pub also: Vec<AlsoNode>,
    /// How many users a device can have at the same time.
    pub users: Shares,
    /// Where it is given, all that is selected is one device, which so many may use at a time.
    pub count: Option<u32>,
}

/// How a rule selects devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// By class in sysfs, by driver, or by both.
    Sysfs {
        /// `/sys/class/NAME`.
        class: Option<String>,
        /// The driver that is bound.
        driver: Option<String>,
    },
    /// By patterns below `/dev`: `*` and `?` stand for characters of one name.
    Nodes(Vec<String>),
}

/// A node that goes along with each device of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoNode {
    /// Below `/dev`; `{}` stands for what the first `*` of the rule's pattern matched.
    pub path: String,
    /// What it is for.
    #[serde(default)]
    pub role: AlsoRole,
    /// Whether the device can be used without it.
    #[serde(default)]
    pub optional: bool,
}

/// What a further node is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlsoRole {
    /// Part of the device.
    #[default]
    Own,
    /// Shared by all devices of the rule.
    Control,
    /// For administration.
    Management,
}

impl From<AlsoRole> for Role {
    fn from(role: AlsoRole) -> Role {
        match role {
            AlsoRole::Own => Role::Own,
            AlsoRole::Control => Role::Control,
            AlsoRole::Management => Role::Management,
        }
    }
}

/// How many users, as it is written.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Users {
    Word(UsersWord),
    Number(u32),
}

/// How many users, in words.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UsersWord {
    Any,
    One,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: String,
    #[serde(default)]
    kind: WrittenKind,
    vendor: Option<String>,
    model: Option<String>,
    class: Option<String>,
    driver: Option<String>,
    nodes: Option<Vec<String>>,
    #[serde(default)]
    also: Vec<AlsoNode>,
    users: Option<Users>,
    count: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenKind {
    Gpu,
    Fpga,
    Npu,
    Qat,
    Dsa,
    Media,
    #[default]
    Other,
}

impl From<WrittenKind> for Kind {
    fn from(kind: WrittenKind) -> Kind {
        match kind {
            WrittenKind::Gpu => Kind::Gpu,
            WrittenKind::Fpga => Kind::Fpga,
            WrittenKind::Npu => Kind::Npu,
            WrittenKind::Qat => Kind::Qat,
            WrittenKind::Dsa => Kind::Dsa,
            WrittenKind::Media => Kind::Media,
            WrittenKind::Other => Kind::Other,
        }
    }
}

impl TryFrom<Written> for Rule {
    type Error = String;

    fn try_from(written: Written) -> Result<Rule, String> {
        check_name("name", &written.name)?;
        let select = selection(&written)?;
        if written.also.len() > NODES_LIMIT {
            return Err(format!("more than {NODES_LIMIT} nodes in `also`"));
        }
        let fills = matches!(&select, Selection::Nodes(patterns) if patterns.iter().all(|pattern| pattern.contains('*')));
        for also in &written.also {
            check_path("also", &also.path.replace("{}", "0"))?;
            if also.path.contains("{}") && !fills {
                return Err(format!(
                    "{:?} has a {{}} and there is no `*` in `nodes` that would fill it",
                    also.path
                ));
            }
        }
        for (key, text) in [("vendor", &written.vendor), ("model", &written.model)] {
            if text.as_ref().is_some_and(|text| {
                text.is_empty() || text.len() > TEXT_LIMIT || text.chars().any(char::is_control)
            }) {
                return Err(format!(
                    "`{key}` is empty, too long or has control characters"
                ));
            }
        }
        if written.count == Some(0) {
            return Err("`count` is 0: nobody could use it".to_owned());
        }
        if written.count.is_some() && written.users.is_some() {
            return Err("`count` says how many may use it; leave `users` out".to_owned());
        }
        let users = match (written.count, written.users) {
            (Some(count), _) => Shares::UpTo(count),
            (None, Some(users)) => shares(users)?,
            (None, None) => Shares::Any,
        };
        Ok(Rule {
            name: written.name,
            kind: written.kind.into(),
            vendor: written.vendor.unwrap_or_else(|| "other".to_owned()),
            model: written.model,
            select,
            also: written.also,
            users,
            count: written.count,
        })
    }
}

fn shares(users: Users) -> Result<Shares, String> {
    match users {
        Users::Word(UsersWord::Any) => Ok(Shares::Any),
        Users::Word(UsersWord::One) | Users::Number(1) => Ok(Shares::One),
        Users::Number(0) => Err("`users` is 0: nobody could use it".to_owned()),
        Users::Number(most) => Ok(Shares::UpTo(most)),
    }
}

fn selection(written: &Written) -> Result<Selection, String> {
    let sysfs = written.class.is_some() || written.driver.is_some();
    match &written.nodes {
        Some(_) if sysfs => Err(
            "`nodes` selects by itself: leave `class` and `driver` out, or put the nodes into `also`"
                .to_owned(),
        ),
        Some(patterns) if patterns.is_empty() => Err("`nodes` is empty".to_owned()),
        Some(patterns) if patterns.len() > NODES_LIMIT => {
            Err(format!("more than {NODES_LIMIT} patterns in `nodes`"))
        }
        Some(patterns) => {
            for pattern in patterns {
                check_path("nodes", pattern)?;
            }
            Ok(Selection::Nodes(patterns.clone()))
        }
        None if sysfs => {
            for (key, name) in [("class", &written.class), ("driver", &written.driver)] {
                if let Some(name) = name {
                    check_name(key, name)?;
                }
            }
            Ok(Selection::Sysfs {
                class: written.class.clone(),
                driver: written.driver.clone(),
            })
        }
        None => Err("it selects nothing: give `class`, `driver` or `nodes`".to_owned()),
    }
}

/// Names become parts of paths and of ids.
fn check_name(key: &str, name: &str) -> Result<(), String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || name.starts_with('.') {
        return Err(format!(
            "`{key}` is {name:?}; wanted are 1 to 63 letters, digits, `-`, `_` and `.`"
        ));
    }
    Ok(())
}

/// A path that stays below `/dev`.
fn check_path(key: &str, path: &str) -> Result<(), String> {
    let below = path.strip_prefix("/dev/").is_some_and(|rest| {
        rest.split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
    });
    if !below || path.len() > TEXT_LIMIT || path.chars().any(char::is_control) {
        return Err(format!("{path:?} in `{key}` is no path below /dev"));
    }
    Ok(())
}
