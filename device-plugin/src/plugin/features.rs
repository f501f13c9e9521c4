//! Labels of the node, by a feature file that Node Feature Discovery's worker reads: its `local`
//! source, `/etc/kubernetes/node-feature-discovery/features.d`.
//!
//! | label, after `feature.node.kubernetes.io/` | value |
//! | --- | --- |
//! | `dunnage-FAMILY.count` | devices that can be given |
//! | `dunnage-FAMILY.model` | their model, where all are of one |
//! | `dunnage-FAMILY.model.MODEL` | how many are of that model |
//! | `dunnage-FAMILY.driver` | the driver's version, or its name where it has none |
//! | `dunnage-FAMILY.memory-gib` | memory of the smallest, in whole GiB, so that `Gt` holds for each |
//!
//! A device that is ill is counted: labels say what a node has, and the kubelet what can be used now.

use super::names::{Naming, resource};
use dunnage_inventory::{Config, Device, Inventory};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The longest name and the longest value of a label (`validation.LabelValueMaxLength`).
const LIMIT: usize = 63;
/// Labels of one node: the feature file may have 64 kB.
const LABELS_LIMIT: usize = 256;
const GIB: u64 = 1 << 30;

/// The labels of a host, by name.
#[must_use]
pub fn labels(inventory: &Inventory, config: &Config, naming: Naming) -> BTreeMap<String, String> {
    let mut families: BTreeMap<&str, Vec<&Device>> = BTreeMap::new();
    for device in &inventory.devices {
        if resource(device, config, naming).is_some() {
            families.entry(device.family).or_default().push(device);
        }
    }
    let mut labels = BTreeMap::new();
    for (family, devices) in families {
        let mut put = |name: &str, value: &str| {
            let (name, value) = (legal(&format!("dunnage-{family}.{name}")), legal(value));
            if !value.is_empty() && labels.len() < LABELS_LIMIT {
                labels.insert(name, value);
            }
        };
        put("count", &devices.len().to_string());
        let mut models: BTreeMap<&str, u32> = BTreeMap::new();
        for model in devices.iter().filter_map(|one| one.model.as_deref()) {
            *models.entry(model).or_default() += 1;
        }
        if let Some((model, count)) = models.first_key_value()
            && usize::try_from(*count) == Ok(devices.len())
        {
            put("model", model);
        }
        for (model, count) in models {
            put(&format!("model.{model}"), &count.to_string());
        }
        if let Some(driver) = devices.iter().find_map(|one| one.driver.as_ref()) {
            put("driver", driver.version.as_ref().unwrap_or(&driver.name));
        }
        if let Some(memory) = devices.iter().filter_map(|one| one.memory).min() {
            put("memory-gib", &(memory.0 / GIB).to_string());
        }
    }
    labels
}

/// A text as Kubernetes takes it for the name or the value of a label.
fn legal(text: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '-'
        }
    };
    let text: String = text.chars().take(LIMIT).map(legal).collect();
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    text.trim_matches(is_end).to_owned()
}

/// The feature file.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    written: Option<BTreeMap<String, String>>,
}

/// Why the feature file is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {what} the feature file {path}: {source}; its folder must be there and writable to this \
     user, or leave --node-features out"
)]
pub struct FeatureError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FeatureFile {
    /// A file at `path`, not written yet.
    #[must_use]
    pub fn at(path: &Path) -> FeatureFile {
        FeatureFile {
            path: path.to_path_buf(),
            written: None,
        }
    }

    /// Brings the file to hold `labels`: whole or not at all, and only where something changed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&mut self, labels: BTreeMap<String, String>) -> Result<(), FeatureError> {
        if self.written.as_ref() == Some(&labels) {
            return Ok(());
        }
        let lines: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        self.replace(lines.concat().as_bytes())
            .map_err(|source| self.error("write", source))?;
        self.written = Some(labels);
        Ok(())
    }

    /// Takes the labels back: whoever stops for good leaves none behind.
    ///
    /// # Errors
    /// As unlink(2); that it is not there is none.
    pub fn remove(&mut self) -> Result<(), FeatureError> {
        if self.written.take().is_none() {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error("remove", error))
            }
            _ => Ok(()),
        }
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        // NFD passes over hidden files.
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = self.path.with_file_name(format!(".{name}.tmp"));
        // Left by one of us that was killed.
        let _ = fs::remove_file(&fresh);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&fresh)
            .and_then(|mut file| io::Write::write_all(&mut file, content))
            .and_then(|()| fs::rename(&fresh, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        written
    }

    fn error(&self, what: &'static str, source: io::Error) -> FeatureError {
        FeatureError {
            what,
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_inventory::Kind;
    use dunnage_inventory::device::Driver;
    use dunnage_model::units::Bytes;
    use proptest::prelude::*;

    fn gpu(id: &str, model: &str, gib: u64) -> Device {
        let mut gpu = Device::new(id, "nvidia", Kind::Gpu, "nvidia");
        gpu.model = Some(model.to_owned());
        gpu.memory = Some(Bytes(gib * GIB + 5));
        gpu.driver = Some(Driver {
            name: "nvidia".to_owned(),
            version: Some("580.95.05".to_owned()),
        });
        gpu
    }

    fn of(devices: Vec<Device>) -> BTreeMap<String, String> {
        let inventory = Inventory {
            devices,
            gaps: Vec::new(),
        };
        labels(&inventory, &Config::default(), Naming::default())
    }

    fn lines(labels: &BTreeMap<String, String>) -> Vec<String> {
        let line = |(name, value): (&String, &String)| format!("{name}={value}");
        labels.iter().map(line).collect()
    }

    #[test]
    fn a_family_is_told_by_count_model_driver_and_memory() {
        let two = of(vec![
            gpu("a", "NVIDIA H200", 139),
            gpu("b", "NVIDIA H200", 141),
        ]);
        assert_eq!(
            lines(&two),
            [
                "dunnage-nvidia.count=2",
                "dunnage-nvidia.driver=580.95.05",
                "dunnage-nvidia.memory-gib=139",
                "dunnage-nvidia.model=NVIDIA-H200",
                "dunnage-nvidia.model.NVIDIA-H200=2",
            ]
        );
        let mixed = of(vec![gpu("a", "L4", 23), gpu("b", "T4", 15)]);
        assert!(!mixed.contains_key("dunnage-nvidia.model"));
        assert_eq!(mixed["dunnage-nvidia.model.T4"], "1");
        assert!(of(Vec::new()).is_empty());
    }

    #[test]
    fn the_file_is_replaced_whole_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dunnage");
        let mut file = FeatureFile::at(&path);
        file.write(of(vec![gpu("a", "L4", 23)])).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        assert!(first.contains("dunnage-nvidia.model=L4\n"), "{first}");
        file.write(of(vec![gpu("a", "T4", 15)])).unwrap();
        let second = fs::read_to_string(&path).unwrap();
        assert!(second.contains("T4") && !second.contains("L4"), "{second}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut nowhere = FeatureFile::at(Path::new("/proc/no/dunnage"));
        let error = nowhere.write(of(vec![gpu("a", "T4", 15)])).unwrap_err();
        assert!(error.to_string().contains("--node-features"), "{error}");
    }

    #[test]
    fn somebody_elses_file_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs");
        fs::write(&path, "x=y\n").unwrap();
        FeatureFile::at(&path).remove().unwrap();
        assert!(path.exists());
    }

    proptest! {
        #[test]
        fn whatever_a_driver_calls_a_model_the_labels_are_legal(model in any::<String>(), version in "\\PC{0,99}") {
            let mut one = gpu("a", &model, 1);
            one.driver.as_mut().unwrap().version = Some(version);
            for (name, value) in of(vec![one]) {
                for text in [&name, &value] {
                    prop_assert!(text.len() <= LIMIT);
                    prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                    let ends = [text.bytes().next(), text.bytes().last()];
                    prop_assert!(ends.iter().flatten().all(u8::is_ascii_alphanumeric));
                }
            }
        }
    }
}
