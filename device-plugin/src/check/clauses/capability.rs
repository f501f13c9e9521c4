//! The compute capability of an NVIDIA GPU: from the driver, else from its product name.

use crate::check::version::Version;
use dunnage_inventory::Device;

/// The capability (8.6 is 86), and where it is said.
pub(super) fn of(device: &Device) -> Option<(u32, String)> {
    if let Some(text) = device.attributes.get("cuda.capability") {
        let version = Version::parse(text)?;
        return Some((version.major() * 10 + version.minor(), device.id.clone()));
    }
    let model = device.model.as_deref()?;
    Some((of_model(model)?, format!("{} ({model})", device.id)))
}

/// By NVIDIA's public list of CUDA GPUs. Whole words, so that an A10 is no A100; names that several
/// chips bear are left out.
fn of_model(model: &str) -> Option<u32> {
    const MODELS: [(&str, u32); 62] = [
        ("K40m", 35),
        ("K80", 37),
        ("M40", 52),
        ("M60", 52),
        ("P100", 60),
        ("P4", 61),
        ("P40", 61),
        ("GTX 1050", 61),
        ("GTX 1060", 61),
        ("GTX 1070", 61),
        ("GTX 1080", 61),
        ("V100", 70),
        ("V100S", 70),
        ("TITAN V", 70),
        ("T4", 75),
        ("T4G", 75),
        ("GTX 1650", 75),
        ("GTX 1660", 75),
        ("RTX 2060", 75),
        ("RTX 2070", 75),
        ("RTX 2080", 75),
        ("Quadro RTX 4000", 75),
        ("Quadro RTX 5000", 75),
        ("Quadro RTX 6000", 75),
        ("Quadro RTX 8000", 75),
        ("A100", 80),
        ("A800", 80),
        ("A30", 80),
        ("A2", 86),
        ("A10", 86),
        ("A10G", 86),
        ("A16", 86),
        ("A40", 86),
        ("RTX A2000", 86),
        ("RTX A4000", 86),
        ("RTX A5000", 86),
        ("RTX A6000", 86),
        ("RTX 3050", 86),
        ("RTX 3060", 86),
        ("RTX 3070", 86),
        ("RTX 3080", 86),
        ("RTX 3090", 86),
        ("L4", 89),
        ("L40", 89),
        ("L40S", 89),
        ("L20", 89),
        ("RTX 4060", 89),
        ("RTX 4070", 89),
        ("RTX 4080", 89),
        ("RTX 4090", 89),
        ("H100", 90),
        ("H200", 90),
        ("H800", 90),
        ("H20", 90),
        ("GH200", 90),
        ("B200", 100),
        ("GB200", 100),
        ("B300", 103),
        ("GB300", 103),
        ("RTX 5070", 120),
        ("RTX 5080", 120),
        ("RTX 5090", 120),
    ];
    let plain: String = model
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let has = |name: &str| {
        let name: Vec<&str> = name.split(' ').collect();
        words.windows(name.len()).any(|part| part == name)
    };
    MODELS
        .iter()
        .rev()
        .find(|(name, _)| has(name))
        .map(|(_, capability)| *capability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_names_are_whole_words() {
        for (model, capability) in [
            ("NVIDIA A100-SXM4-40GB", Some(80)),
            ("NVIDIA A10", Some(86)),
            ("Tesla T4", Some(75)),
            ("NVIDIA GeForce RTX 4090", Some(89)),
            ("NVIDIA H100 80GB HBM3", Some(90)),
            ("Tesla V100-SXM2-16GB", Some(70)),
            ("Quadro RTX 6000", Some(75)),
            ("NVIDIA RTX 6000 Ada Generation", None),
            ("NVIDIA Future X1", None),
        ] {
            assert_eq!(of_model(model), capability, "{model}");
        }
    }
}
