//! The list for people: a table, and below it why a device is not healthy, which devices are linked and
//! whom the kubelet gave them. Pure.

use dunnage_model::document::{DevicesDocument, HolderDocument, ListedDeviceDocument};
use dunnage_model::escape::{columns, escaped, fitted};
use std::collections::{BTreeMap, HashMap};

/// Between two columns.
const GAP: usize = 2;

/// No column of text grows beyond this, so that one strange name does not take the page.
const WIDEST: usize = 44;

const TITLES: [&str; 7] = [
    "DEVICE", "KIND", "MODEL", "DRIVER", "NUMA", "HEALTH", "USED BY",
];

/// What is looked for, said where nothing is there.
const NONE: &str = "\
no accelerator found
  looked for: NVIDIA, AMD and Intel GPUs, Gaudi, NPUs and other devices of the kernel's accel class,
  Intel (DFL) and AMD (XRT) FPGAs, QAT, DSA and IAA, video codecs, VFIO groups
  a device that is in the machine and not here has no driver bound (see `lspci -k`), or is of a kind
  that a rule of the configuration can name (--config FILE)
";

/// The page of `document`, at most `width` columns wide; names are escaped.
pub(super) fn devices(document: &DevicesDocument, width: usize) -> String {
    if document.devices.is_empty() {
        return NONE.to_owned();
    }
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(document.devices.iter().map(row));
    let mut out = table(&rows, width);
    let names: HashMap<&str, &str> = document
        .devices
        .iter()
        .map(|device| (device.id.as_str(), name(device)))
        .collect();
    let linked = document.devices.iter().flat_map(|d| linked(d, &names));
    let given = document.devices.iter().flat_map(given);
    let reasons = document.devices.iter().filter_map(reason);
    let below: Vec<String> = reasons.chain(linked).chain(given).collect();
    if !below.is_empty() {
        out.push('\n');
        out.extend(below);
    }
    out
}

/// By what an engine is asked for it, or its id where it cannot be given.
fn name(device: &ListedDeviceDocument) -> &str {
    device.cdi.as_ref().unwrap_or(&device.id)
}

fn row(device: &ListedDeviceDocument) -> [String; 7] {
    let dash = || "-".to_owned();
    let driver = device.driver.as_ref().map(|driver| match &driver.version {
        Some(version) => format!("{} {version}", driver.name),
        None => driver.name.clone(),
    });
    let model = device
        .model
        .clone()
        .unwrap_or_else(|| device.vendor.clone());
    [
        escaped(name(device)),
        escaped(&device.kind),
        escaped(&model),
        driver.map_or_else(dash, |driver| escaped(&driver)),
        device.numa_node.map_or_else(dash, |node| node.to_string()),
        escaped(&device.health),
        users(device),
    ]
}

/// Who has it open, and how many may where that was declared.
fn users(device: &ListedDeviceDocument) -> String {
    let names = user_names(device);
    match device.slots {
        Some(slots) => format!("{names} (shared by {slots})"),
        None => names,
    }
}

fn user_names(device: &ListedDeviceDocument) -> String {
    match &device.users {
        None => "?".to_owned(),
        Some(users) if users.is_empty() => "-".to_owned(),
        Some(users) => {
            let names: Vec<String> = users.iter().map(|user| escaped(&user.name)).collect();
            names.join(", ")
        }
    }
}

/// Why a device is not healthy, or why it cannot be told.
fn reason(device: &ListedDeviceDocument) -> Option<String> {
    let why = device.why.as_deref()?;
    Some(format!(
        "{} is {}: {}\n",
        escaped(name(device)),
        escaped(&device.health),
        escaped(why)
    ))
}

/// Which devices it reaches without crossing the host's memory: a line for each way and number of links.
fn linked(device: &ListedDeviceDocument, names: &HashMap<&str, &str>) -> Vec<String> {
    let mut ways: BTreeMap<(&str, u32), Vec<String>> = BTreeMap::new();
    for peer in &device.peers {
        let peer_name = names.get(peer.id.as_str()).copied().unwrap_or(&peer.id);
        let way = ways.entry((&peer.over, peer.links)).or_default();
        way.push(escaped(peer_name));
    }
    let line = |((over, links), peers): ((&str, u32), Vec<String>)| {
        let links = match links {
            1 => "1 link".to_owned(),
            links => format!("{links} links"),
        };
        format!(
            "{} is linked by {} ({links}) with {}\n",
            escaped(name(device)),
            escaped(over),
            peers.join(", ")
        )
    };
    ways.into_iter().map(line).collect()
}

/// Whom the kubelet gave a device.
fn given(device: &ListedDeviceDocument) -> Vec<String> {
    let line = |holder: &HolderDocument| {
        let pod = match (&holder.namespace, &holder.pod, &holder.pod_uid) {
            (Some(namespace), Some(pod), _) => format!("{}/{}", escaped(namespace), escaped(pod)),
            (_, _, uid) => format!("with uid {}", escaped(uid.as_deref().unwrap_or("?"))),
        };
        format!(
            "{} is given to container {} of pod {pod}, as {}\n",
            escaped(name(device)),
            escaped(&holder.container),
            escaped(&holder.resource)
        )
    };
    device.given_to.iter().flatten().map(line).collect()
}

/// Lines of cells that are escaped already; the last column takes what is left.
fn table(rows: &[[String; 7]], width: usize) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| columns(&row[column]));
        cells.max().unwrap_or(0).min(WIDEST)
    };
    let mut widths: Vec<usize> = (0..TITLES.len()).map(widest).collect();
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
    // The widest column gives, down to where it still says something.
    while total(&widths) > width {
        let Some(column) = (0..widths.len())
            .filter(|column| widths[*column] > TITLES[*column].len().max(8))
            .max_by_key(|column| widths[*column])
        else {
            break;
        };
        widths[column] -= 1;
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = fitted(cell, *width);
            let padding = width.saturating_sub(columns(&cell)) + GAP;
            line.push_str(&cell);
            line.push_str(&" ".repeat(padding));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_model::document::GapDocument;

    fn document(devices: &str) -> DevicesDocument {
        let devices = serde_json::from_str(devices).unwrap();
        DevicesDocument::new(devices, Vec::<GapDocument>::new())
    }

    const TWO: &str = r#"[
        {"id":"GPU-1","kind":"gpu","vendor":"nvidia","model":"NVIDIA H200","cdi":"nvidia.com/gpu=0",
         "driver":{"name":"nvidia","version":"580.1"},"nodes":["/dev/nvidia0"],"numa_node":1,
         "health":"healthy","users":[{"kind":"container","name":"web"},{"kind":"container","name":"b\u001b[2J"}]},
        {"id":"dfl-port.0","kind":"fpga","vendor":"intel","nodes":[],"health":"unhealthy",
         "why":"its AFU id is all f\n","driver":{"name":"dfl-afu"}}]"#;

    #[test]
    fn a_table_and_the_reasons() {
        let expected = "\
DEVICE            KIND  MODEL        DRIVER        NUMA  HEALTH     USED BY
nvidia.com/gpu=0  gpu   NVIDIA H200  nvidia 580.1  1     healthy    web, b\\x1b[2J
dfl-port.0        fpga  intel        dfl-afu       -     unhealthy  ?

dfl-port.0 is unhealthy: its AFU id is all f\\n
";
        assert_eq!(devices(&document(TWO), 100), expected);
    }

    #[test]
    fn whom_the_kubelet_gave_a_device_stands_below() {
        let one = r#"[{"id":"GPU-1","kind":"gpu","vendor":"nvidia","nodes":["/dev/nvidia0"],"health":"healthy",
            "users":[],"given_to":[
            {"resource":"nvidia.com/gpu","container":"train","namespace":"ml","pod":"x\u001b[2J"},
            {"resource":"nvidia.com/gpu","container":"serve","pod_uid":"1e6a"}]}]"#;
        let page = devices(&document(one), 100);
        let lines: Vec<&str> = page.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "GPU-1 is given to container train of pod ml/x\\x1b[2J, as nvidia.com/gpu",
                "GPU-1 is given to container serve of pod with uid 1e6a, as nvidia.com/gpu",
            ]
        );
    }

    #[test]
    fn which_devices_are_linked_stands_below() {
        let three = r#"[
            {"id":"GPU-1","kind":"gpu","vendor":"nvidia","nodes":["/dev/nvidia0"],"health":"healthy",
             "cdi":"nvidia.com/gpu=0","peers":[{"id":"GPU-2","over":"nvlink","links":12},
             {"id":"GPU-3","over":"nvlink","links":1},{"id":"gone\u001b[2J","over":"nvlink","links":12}]},
            {"id":"GPU-2","kind":"gpu","vendor":"nvidia","nodes":[],"health":"healthy",
             "cdi":"nvidia.com/gpu=1"},
            {"id":"GPU-3","kind":"gpu","vendor":"nvidia","nodes":[],"health":"healthy"}]"#;
        let page = devices(&document(three), 100);
        let lines: Vec<&str> = page.lines().skip(5).collect();
        assert_eq!(
            lines,
            [
                "nvidia.com/gpu=0 is linked by nvlink (1 link) with GPU-3",
                "nvidia.com/gpu=0 is linked by nvlink (12 links) with nvidia.com/gpu=1, gone\\x1b[2J",
            ]
        );
    }

    #[test]
    fn a_narrow_page_cuts_and_ends() {
        for width in 0..120 {
            let page = devices(&document(TWO), width);
            assert!(page.lines().count() == 5, "{width}: {page}");
        }
        let narrow = devices(&document(TWO), 80);
        assert!(
            narrow.lines().take(3).all(|line| columns(line) <= 80),
            "{narrow}"
        );
    }

    #[test]
    fn nothing_found_says_what_was_looked_for() {
        assert!(devices(&document("[]"), 80).contains("looked for"));
    }
}
