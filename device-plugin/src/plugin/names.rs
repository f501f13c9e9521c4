//! What schedulers call the accelerators: extended resources, `vendor.com/name`.
//!
//! | devices | resource |
//! | --- | --- |
//! | MIG instances | `nvidia.com/mig-1g.5gb`, by profile, as NVIDIA's plugin has it in its mixed strategy |
//! | GPUs of Intel | `gpu.intel.com/i915`, `gpu.intel.com/xe`, by driver, as Intel's plugin has it |
//! | functions of FPGAs (DFL) | `fpga.intel.com/af-ce4.d84.zkiWk5...`, byte-equal to Intel's plugin |
//! | regions of FPGAs | `fpga.intel.com/region-ce48969398f05f33946d560708be108a`, the same |
//! | QAT, DSA, IAA | `qat.intel.com/generic`, `dsa.intel.com/wq-user-shared`, as Intel's plugins have it |
//! | all others | their CDI kind: `nvidia.com/gpu`, `amd.com/gpu`, `habana.com/npu` |
//!
//! What the configuration says goes before all of these.

use crate::cdi::names::kind;
use clap::ValueEnum;
use dunnage_inventory::{Config, Device};

/// The longest part of a name behind the slash (`IsQualifiedName` of Kubernetes).
const NAME_LIMIT: usize = 63;
/// The longest part in front, with the `requests.` that a quota puts there.
const DOMAIN_LIMIT: usize = 253 - "requests.".len();

/// What a resource stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Grouping {
    /// All devices of a vendor and sort
    #[default]
    Family,
    /// All devices of one model
    Model,
}

/// What is given of an FPGA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fpga {
    /// The function that is loaded
    #[default]
    Function,
    /// The region, whatever is loaded
    Region,
}

/// How resources are named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Naming {
    /// By family or by model.
    pub grouping: Grouping,
    /// By function or by region.
    pub fpga: Fpga,
}

/// The resource that a device belongs to; `None` where it is not given away by itself.
#[must_use]
pub fn resource(device: &Device, config: &Config, naming: Naming) -> Option<String> {
    if is_divided(device) {
        return None;
    }
    if let Some(name) = config.resource(device) {
        return Some(name.to_owned());
    }
    let attribute = |name: &str| device.attributes.get(name).map(String::as_str);
    if let Some(profile) = attribute("mig.profile") {
        return Some(format!(
            "nvidia.com/mig-{}",
            part(&profile.replace('+', "."))
        ));
    }
    if device.family == "dfl" {
        return fpga(device, naming.fpga);
    }
    if naming.grouping == Grouping::Model
        && let Some(model) = &device.model
    {
        let kind = kind_name(device);
        let domain = kind.split('/').next().unwrap_or_default();
        return Some(format!("{domain}/{}", part(&model.to_lowercase())));
    }
    let driver = device.driver.as_ref().map(|driver| driver.name.as_str());
    Some(match (device.family, driver) {
        ("intel-gpu", Some(driver @ ("i915" | "xe"))) => format!("gpu.intel.com/{driver}"),
        ("qat", _) => format!(
            "qat.intel.com/{}",
            part(attribute("qat.services").unwrap_or("generic"))
        ),
        ("idxd", _) => {
            let engine = attribute("engine").unwrap_or_default();
            let domain = if engine.starts_with("iax") {
                "iaa"
            } else {
                "dsa"
            };
            let mode = attribute("wq.mode").unwrap_or("dedicated");
            format!("{domain}.intel.com/wq-user-{}", part(mode))
        }
        _ => kind_name(device),
    })
}

/// The CDI kind as a domain of the DNS and a name: CDI allows capitals and underscores in front.
fn kind_name(device: &Device) -> String {
    let kind = kind(device);
    let (domain, class) = kind.split_once('/').unwrap_or((&kind, "device"));
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let label = |label: &str| -> String {
        let label: String = label.chars().take(63).map(legal).collect();
        label.trim_matches('-').to_owned()
    };
    let labels: Vec<String> = domain
        .split('.')
        .map(label)
        .filter(|l| !l.is_empty())
        .collect();
    format!("{}/{}", labels.join("."), part(class))
}

/// Whether a device is there to be given in parts alone: a GPU in MIG mode, a physical function whose
/// virtual ones are made.
fn is_divided(device: &Device) -> bool {
    let attribute = |name: &str| device.attributes.get(name).map(String::as_str);
    attribute("mig.mode") == Some("on")
        || attribute("sriov.functions").is_some_and(|made| made != "0")
}

/// A function as Intel's plugin calls it: the first digits of both ids for the eye, and both ids whole
/// in base64url, which together keep to 63 characters. Without ids there is nothing to call it by.
fn fpga(device: &Device, what: Fpga) -> Option<String> {
    let id = |name: &str| {
        let id = device.attributes.get(name)?;
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_lowercase())
    };
    let interface = id("interface_id")?;
    if what == Fpga::Region {
        return Some(format!("fpga.intel.com/region-{interface}"));
    }
    let function = id("afu_id")?;
    let bytes = unhex(&format!("{interface}{function}"));
    let (short, of) = (interface.get(..3)?, function.get(..3)?);
    Some(format!(
        "fpga.intel.com/af-{short}.{of}.{}",
        base64url(&bytes)
    ))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |n, digit| n << 4 | digit)).ok())
        .collect()
}

/// RFC 4648, 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let letter = LETTERS.get(bits >> (18 - 6 * place) & 63);
            text.push(letter.map_or('A', |letter| char::from(*letter)));
        }
    }
    text
}

/// A text as the part of a name behind the slash: what may not be in it becomes a hyphen.
fn part(text: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            c
        } else {
            '-'
        }
    };
    let text: String = text.chars().take(NAME_LIMIT).map(legal).collect();
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if text.is_empty() {
        "device".to_owned()
    } else {
        text.to_owned()
    }
}

/// Whether the kubelet takes a name (`IsExtendedResourceName` of Kubernetes).
#[must_use]
pub fn is_resource_name(name: &str) -> bool {
    let Some((domain, rest)) = name.split_once('/') else {
        return false;
    };
    let label = |label: &str| {
        let ends =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        label.len() <= 63
            && ends(label.chars().next())
            && ends(label.chars().last())
            && label
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    !domain.contains("kubernetes.io")
        && !name.starts_with("requests.")
        && domain.len() <= DOMAIN_LIMIT
        && domain.split('.').all(label)
        && rest.len() <= NAME_LIMIT
        && ends(rest.chars().next())
        && ends(rest.chars().last())
        && rest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_inventory::{Driver, Kind};
    use proptest::prelude::*;

    fn name(device: &Device) -> Option<String> {
        resource(device, &Config::default(), Naming::default())
    }

    fn dfl(interface: &str, function: &str) -> Device {
        let mut device = Device::new("dfl-port.0", "dfl", Kind::Fpga, "intel");
        device
            .attributes
            .insert("interface_id", interface.to_owned());
        device.attributes.insert("afu_id", function.to_owned());
        device
    }

    /// The example of Intel's plugin (`pkg/fpga/devtypes_test.go`, `cmd/fpga_plugin/README.md`).
    #[test]
    fn functions_are_called_as_by_intels_plugin() {
        let nlb0 = dfl(
            "ce48969398f05f33946d560708be108a",
            "d8424dc4a4a3c413f89e433683f9040b",
        );
        assert_eq!(
            name(&nlb0).as_deref(),
            Some("fpga.intel.com/af-ce4.d84.zkiWk5jwXzOUbVYHCL4QithCTcSko8QT-J5DNoP5BAs")
        );
        let naming = Naming {
            fpga: Fpga::Region,
            ..Naming::default()
        };
        let region = resource(&nlb0, &Config::default(), naming);
        assert_eq!(
            region.as_deref(),
            Some("fpga.intel.com/region-ce48969398f05f33946d560708be108a")
        );
    }

    #[test]
    fn a_function_without_an_id_has_no_name() {
        for (interface, function) in [
            ("", "d8"),
            ("zz48969398f05f33946d560708be108a", ""),
            ("", ""),
        ] {
            assert_eq!(name(&dfl(interface, function)), None);
        }
    }

    #[test]
    fn parts_are_offered_and_wholes_are_not() {
        let mut whole = Device::new("GPU-1", "nvidia", Kind::Gpu, "nvidia");
        assert_eq!(name(&whole).as_deref(), Some("nvidia.com/gpu"));
        whole.attributes.insert("mig.mode", "on".to_owned());
        assert_eq!(name(&whole), None);
        let mut instance = Device::new("MIG-1", "nvidia", Kind::Gpu, "nvidia");
        instance
            .attributes
            .insert("mig.profile", "1g.10gb+gfx".to_owned());
        assert_eq!(
            name(&instance).as_deref(),
            Some("nvidia.com/mig-1g.10gb.gfx")
        );
    }

    #[test]
    fn the_driver_names_intels_gpus() {
        let mut gpu = Device::new("0000:00:02.0", "intel-gpu", Kind::Gpu, "intel");
        gpu.driver = Some(Driver {
            name: "xe".to_owned(),
            version: None,
        });
        assert_eq!(name(&gpu).as_deref(), Some("gpu.intel.com/xe"));
    }

    #[test]
    fn models_and_the_configuration_name_devices() {
        let mut gpu = Device::new("GPU-1", "nvidia", Kind::Gpu, "nvidia");
        gpu.model = Some("NVIDIA A100-SXM4-80GB".to_owned());
        let naming = Naming {
            grouping: Grouping::Model,
            ..Naming::default()
        };
        let by_model = resource(&gpu, &Config::default(), naming);
        assert_eq!(
            by_model.as_deref(),
            Some("nvidia.com/nvidia-a100-sxm4-80gb")
        );
        let text = "[[resource]]\nfamily = \"nvidia\"\nname = \"acme.com/big\"\n";
        let config = Config::parse(text).unwrap();
        let renamed = resource(&gpu, &config, naming);
        assert_eq!(renamed.as_deref(), Some("acme.com/big"));
    }

    #[test]
    fn names_that_the_kubelet_refuses_are_known() {
        for good in ["a.b/c", "fpga.intel.com/af-ce4.d84.x_y-Z", "x/1"] {
            assert!(is_resource_name(good), "{good}");
        }
        let long = format!("a/{}", "b".repeat(64));
        for bad in [
            "a",
            "/a",
            "a/",
            "A.b/c",
            "kubernetes.io/x",
            "requests.a/b",
            "a/b/c",
            "a/-b",
            &long,
        ] {
            assert!(!is_resource_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_device_calls_itself_the_kubelet_takes_its_name(
            vendor in any::<String>(),
            model in any::<String>(),
            family in prop::sample::select(vec!["nvidia", "amd-gpu", "intel-gpu", "qat", "idxd", "other"]),
            profile in prop::option::of(any::<String>()),
        ) {
            let mut device = Device::new("x", family, Kind::Gpu, vendor);
            device.model = Some(model);
            device.attributes.extend(profile.map(|profile| ("mig.profile", profile)));
            for grouping in [Grouping::Family, Grouping::Model] {
                let naming = Naming { grouping, ..Naming::default() };
                let name = resource(&device, &Config::default(), naming).unwrap();
                prop_assert!(is_resource_name(&name), "{}", name);
            }
        }
    }
}
