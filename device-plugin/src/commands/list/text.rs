//! The list for people: a table, and below it why a device is not healthy. Pure.

use dunnage_model::document::{DevicesDocument, HolderDocument, ListedDeviceDocument};
use dunnage_model::escape::{columns, escaped, fitted};

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
    let given = document.devices.iter().flat_map(given);
    let reasons: Vec<String> = document
        .devices
        .iter()
        .filter_map(reason)
        .chain(given)
        .collect();
    if !reasons.is_empty() {
        out.push('\n');
        out.extend(reasons);
    }
    out
}

fn row(device: &ListedDeviceDocument) -> [String; 7] {
    let dash = || "-".to_owned();
    let name = device.cdi.as_ref().unwrap_or(&device.id);
    let driver = device.driver.as_ref().map(|driver| match &driver.version {
        Some(version) => format!("{} {version}", driver.name),
        None => driver.name.clone(),
    });
    let model = device
        .model
        .clone()
        .unwrap_or_else(|| device.vendor.clone());
    [
        escaped(name),
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
    let name = device.cdi.as_ref().unwrap_or(&device.id);
    Some(format!(
        "{} is {}: {}\n",
        escaped(name),
        escaped(&device.health),
        escaped(why)
    ))
}

/// Whom the kubelet gave a device.
fn given(device: &ListedDeviceDocument) -> Vec<String> {
    let name = device.cdi.as_ref().unwrap_or(&device.id);
    let line = |holder: &HolderDocument| {
        let pod = match (&holder.namespace, &holder.pod, &holder.pod_uid) {
            (Some(namespace), Some(pod), _) => format!("{}/{}", escaped(namespace), escaped(pod)),
            (_, _, uid) => format!("with uid {}", escaped(uid.as_deref().unwrap_or("?"))),
        };
        format!(
            "{} is given to container {} of pod {pod}, as {}\n",
            escaped(name),
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
