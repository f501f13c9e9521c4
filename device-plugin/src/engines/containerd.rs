//! containerd: options of `ctr run`, and the configuration of its CRI part.
//!
//! `ctr` takes CDI names from 2.0. Older ones give a node only under the host's name, so that there the
//! OCI runtime of this program is what does it: the request is an annotation.

use super::Wanted;
use crate::runtime::request::ANNOTATION;

/// Options of `ctr run` from 2.0.
#[must_use]
pub fn cdi(wanted: &Wanted) -> Vec<String> {
    wanted
        .names
        .iter()
        .flat_map(|name| ["--device".to_owned(), name.clone()])
        .collect()
}

/// Options of an older `ctr run`; `wrapper` is a program that runs `dunnage-devices runtime -- "$@"`.
#[must_use]
pub fn by_runtime(wanted: &Wanted, wrapper: &str) -> Vec<String> {
    vec![
        "--runc-binary".to_owned(),
        wrapper.to_owned(),
        "--annotation".to_owned(),
        format!("{ANNOTATION}={}", wanted.names.join(",")),
    ]
}

/// What stands in config.toml so that Kubernetes can ask for CDI devices: for 1.7 (2.0 and later do it
/// by themselves), and how it is written there, should it have been switched off.
pub const CRI: &str = r#"# containerd 1.7
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  enable_cdi = true
  cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]

# containerd 2.0 and later: this is the default
# version = 3
# [plugins.'io.containerd.cri.v1.runtime']
#   enable_cdi = true
#   cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml() {
        let value: toml::Table = toml::from_str(CRI).unwrap();
        assert_eq!(value["version"].as_integer(), Some(2));
    }
}
