//! Gate arrays and the engines beside processors: what the device holds must be what the program
//! was written for.

use super::asks::{Ask, Stack};
use super::{Clause, device::node};
use crate::check::facts::ImageFacts;
use dunnage_inventory::{Device, Role};

pub(super) fn clauses(image: &ImageFacts, device: &Device, ask: &Ask) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let role = match ask.stack {
        Stack::Xrt => Role::Render,
        _ => Role::Own,
    };
    let nodes = device.nodes.iter().any(|node| node.role == role);
    let role = if nodes { role } else { Role::Own };
    clauses.push(node(
        device,
        role,
        "of the device",
        &ask.by,
        "load the device's driver",
    ));
    match ask.stack {
        Stack::Dfl => clauses.extend(functions(image, device)),
        Stack::Xrt => clauses.push(platform(image, device, ask)),
        _ => clauses.push(
            Clause::new(format!(
                "{} of the image against the driver",
                ask.stack.name()
            ))
            .wanted("software of the driver's release", &*ask.by)
            .there(version(device))
            .there_by(&*device.id)
            .unknown("the vendor supports pairs of releases: compare its matrix"),
        ),
    }
    clauses
}

fn version(device: &Device) -> String {
    let driver = device.driver.as_ref();
    let version = driver.and_then(|driver| driver.version.clone());
    version.unwrap_or_else(|| "a driver of the kernel's".to_owned())
}

/// `FPGA_AFU_0` and `FPGA_REGION_0`, as Intel's device plugin and its hook know them, against the ids
/// that the port shows.
fn functions(image: &ImageFacts, device: &Device) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for (prefix, attribute, what) in [
        ("FPGA_AFU_", "afu_id", "function in the gate array"),
        (
            "FPGA_REGION_",
            "interface_id",
            "interface of the gate array's region",
        ),
    ] {
        let clause = Clause::new(what).there_by(&*device.id);
        let there = device.attributes.get(attribute).map(|id| plain(id));
        let clause = clause.there(there.as_deref().unwrap_or("unknown"));
        let wanted = image.env.iter().find(|(name, _)| name.starts_with(prefix));
        clauses.push(match (wanted, there) {
            (Some((name, wanted)), Some(there)) => {
                let by = format!("{name} in the image's environment");
                let clause = clause.wanted(plain(wanted), by);
                if plain(wanted) == there {
                    clause.yes()
                } else {
                    clause.no("program the region with that function, or choose another device")
                }
            }
            (Some((name, wanted)), None) => clause
                .wanted(plain(wanted), format!("{name} in the image's environment"))
                .unknown("the device does not tell its id"),
            (None, _) if attribute == "afu_id" => clause.unknown(format!(
                "nothing in the image says which function it wants; set {prefix}0 to its id"
            )),
            (None, _) => clause.beside().unknown("the image does not say"),
        });
    }
    clauses
}

/// Ids with and without dashes, in either case, are the same.
fn plain(id: &str) -> String {
    let digits = id.chars().filter(char::is_ascii_hexdigit);
    digits.map(|digit| digit.to_ascii_lowercase()).collect()
}

/// A program for a gate array is for one platform.
fn platform(image: &ImageFacts, device: &Device, ask: &Ask) -> Clause {
    let clause = Clause::new("platform of the gate array's program").there_by(&*device.id);
    let shell = device.attributes.get("xrt.shell");
    let interface = device
        .attributes
        .get("xrt.interface_uuid")
        .map(|uuid| plain(uuid));
    let clause = clause.there(shell.map_or("unknown", |shell| &**shell));
    let Some((path, _)) = image.xclbins.iter().next() else {
        return clause
            .wanted("a platform that nothing names", &*ask.by)
            .unknown("the image has no .xclbin file that says which platform it wants");
    };
    let all: Vec<&str> = image
        .xclbins
        .values()
        .map(|xclbin| &*xclbin.platform)
        .collect();
    let clause = clause.wanted(all.join(", "), path);
    let fits = image.xclbins.values().any(|xclbin| {
        let by_interface = xclbin.interface.is_some() && xclbin.interface == interface;
        by_interface || shell.is_some_and(|shell| same_platform(shell, &xclbin.platform))
    });
    match (fits, shell.is_some() || interface.is_some()) {
        (true, _) => clause.yes(),
        (false, true)
            if interface.is_some() == image.xclbins.values().all(|x| x.interface.is_some()) =>
        {
            clause.no("flash the card with that platform, or use programs built for this one")
        }
        _ => clause.unknown("the card or the program does not tell its platform"),
    }
}

/// `xilinx_u250_gen3x16_xdma_shell_4_1` and `xilinx:u250:gen3x16_xdma_shell:4.1` are the same.
fn same_platform(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace([':', '.'], "_").to_ascii_lowercase();
    plain(one) == plain(other)
}
