//! Configurations that are right, and the many ways to be wrong.

use super::*;
use crate::device::{Kind, Shares};
use proptest::prelude::*;

const ALL: &str = r#"
[[rule]]
name = "coral"
kind = "npu"
vendor = "google"
model = "Edge TPU"
class = "apex"

[[rule]]
name = "card"
nodes = ["/dev/vendor/card*"]
users = "one"
also = [
    { path = "/dev/vendor/card{}_dma" },
    { path = "/dev/vendor/ctl", role = "control" },
    { path = "/dev/vendor/debug", role = "management", optional = true },
]

[[rule]]
name = "cluster"
nodes = ["/dev/tty2?"]
count = 3

[[sharing]]
device = "0000:65:00.0"
slots = 4

[[sharing]]
family = "dfl"
slots = 2
"#;

#[test]
fn all_that_is_documented_is_understood() {
    let config = Config::parse(ALL).unwrap();
    let [coral, card, cluster] = config.rules.as_slice() else {
        panic!("{config:?}");
    };
    assert_eq!((coral.kind, coral.vendor.as_str()), (Kind::Npu, "google"));
    assert_eq!(
        coral.select,
        Selection::Sysfs {
            class: Some("apex".to_owned()),
            driver: None
        }
    );
    assert_eq!((card.users, card.also.len()), (Shares::One, 3));
    assert!(card.also[2].optional);
    assert_eq!(card.also[1].role, AlsoRole::Control);
    assert_eq!((cluster.users, cluster.count), (Shares::UpTo(3), Some(3)));
    assert_eq!(config.sharing.len(), 2);
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    let error = Config::parse("[[rule]]\nname = \"a\"\nclass = \"b\"\nclas = \"c\"\n").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("line 4") && text.contains("clas"), "{text}");
    let error = Config::parse("\n[[rules]]\nname = \"a\"\n").unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    let error = Config::parse("[[sharing]]\nfamily = \"dfl\"\nslots = -1\n").unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn rules_that_contradict_themselves_are_refused() {
    for (body, wanted) in [
        ("name = \"a\"", "selects nothing"),
        ("name = \"\"\nclass = \"x\"", "1 to 63"),
        ("name = \"a/b\"\nclass = \"x\"", "1 to 63"),
        ("name = \"a\"\nclass = \"../x\"", "1 to 63"),
        ("name = \"a\"\nclass = \"..\"", "1 to 63"),
        (
            "name = \"a\"\nclass = \"x\"\nnodes = [\"/dev/x\"]",
            "by itself",
        ),
        ("name = \"a\"\nnodes = []", "empty"),
        ("name = \"a\"\nnodes = [\"/etc/shadow\"]", "below /dev"),
        ("name = \"a\"\nnodes = [\"/dev/../etc/x\"]", "below /dev"),
        (
            "name = \"a\"\nnodes = [\"/dev/x\"]\nalso = [{ path = \"/dev/y{}\" }]",
            "fill it",
        ),
        (
            "name = \"a\"\nclass = \"x\"\nalso = [{ path = \"/y\" }]",
            "below /dev",
        ),
        ("name = \"a\"\nclass = \"x\"\nusers = 0", "nobody"),
        ("name = \"a\"\nclass = \"x\"\ncount = 0", "nobody"),
        (
            "name = \"a\"\nclass = \"x\"\ncount = 2\nusers = 2",
            "leave `users` out",
        ),
        (
            "name = \"a\"\nclass = \"x\"\nmodel = \"\\u001b[2J\"",
            "control characters",
        ),
        (
            "name = \"a\"\nclass = \"x\"\n[[rule]]\nname = \"a\"\nclass = \"y\"",
            "another rule",
        ),
    ] {
        let error = Config::parse(&format!("[[rule]]\n{body}\n")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(wanted), "{body}: {text}");
    }
}

#[test]
fn sharing_names_one_subject_and_some_slots() {
    for body in [
        "slots = 1",
        "family = \"dfl\"\nmodel = \"x\"\nslots = 1",
        "family = \"\"\nslots = 1",
        "family = \"dlf\"\nslots = 1",
        "family = \"dfl\"\nslots = 0",
        "family = \"dfl\"\nslots = 5000",
    ] {
        let error = Config::parse(&format!("[[sharing]]\n{body}\n")).unwrap_err();
        assert!(error.to_string().contains("number 1"), "{error}");
    }
}

#[test]
fn the_more_particular_statement_holds_and_the_driver_has_the_last_word() {
    let config = Config::parse(
        "[[sharing]]\nfamily = \"dfl\"\nslots = 2\n\
         [[sharing]]\ndevice = \"dfl-port.0\"\nslots = 8\n\
         [[sharing]]\nmodel = \"Big\"\nslots = 3\n",
    )
    .unwrap();
    let mut device = Device::new("0000:05:00.0-port0", "dfl", Kind::Fpga, "intel");
    assert_eq!(config.slots(&device), Ok(Some(2)));
    device.model = Some("Big".to_owned());
    assert_eq!(config.slots(&device), Ok(Some(3)));
    device.aliases.push("dfl-port.0".to_owned());
    assert_eq!(config.slots(&device), Ok(Some(8)));
    device.shares = Shares::UpTo(7);
    assert_eq!(config.slots(&device).unwrap_err().allowed, 7);
    device.shares = Shares::One;
    assert!(
        config
            .slots(&device)
            .unwrap_err()
            .to_string()
            .contains("among 8")
    );
    device.family = "xrt";
    device.model = None;
    device.aliases.clear();
    assert_eq!(config.slots(&device), Ok(None));
}

#[test]
fn a_file_is_read_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("devices.toml");
    assert!(
        Config::load(&path)
            .unwrap_err()
            .to_string()
            .contains("devices.toml")
    );
    std::fs::write(&path, ALL).unwrap();
    assert_eq!(Config::load(&path).unwrap().rules.len(), 3);
    std::fs::write(&path, vec![b'#'; SIZE_LIMIT + 1]).unwrap();
    assert!(Config::load(&path).is_err());
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(
        Config::load(&path)
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
}

#[test]
fn the_example_for_boards_says_which_nodes_are_what() {
    let config = Config::parse(include_str!("../../../examples/boards.toml")).unwrap();
    let rules: Vec<_> = config
        .rules
        .iter()
        .map(|rule| (rule.kind, &*rule.vendor, rule.select.clone()))
        .collect();
    let nodes = |path: &str| Selection::Nodes(vec![path.to_owned()]);
    assert_eq!(
        rules,
        [
            (Kind::Gpu, "arm", nodes("/dev/mali*")),
            (Kind::Npu, "rockchip", nodes("/dev/rknpu")),
        ]
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,400}") {
        let _ = Config::parse(&text);
    }

    #[test]
    fn no_rule_leads_out_of_dev(path in "(/dev/)?[a-z./*]{0,20}") {
        let text = format!("[[rule]]\nname = \"a\"\nnodes = [{path:?}]\n");
        if Config::parse(&text).is_ok() {
            prop_assert!(path.starts_with("/dev/"));
            prop_assert!(!path.split('/').any(|part| part == ".."));
        }
    }
}
