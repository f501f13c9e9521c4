//! Whether a variable of a container comes from its operator, by Docker's records of the container and
//! of its image. Anything that cannot be found or understood means that it cannot be known.
//!
//! Docker keeps a container in `<data>/containers/<id>/config.v2.json` and binds files beside it into
//! each container as /etc/hostname and so on; so the OCI configuration leads there, whatever the data
//! folder is. The image's configuration is in `<data>/image/<driver>/imagedb/content/sha256/<digest>`
//! (Docker's own image store; with the containerd store there is no such file, and variables are refused).

use dunnage_host::read_bounded;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The longest record that is read, in bytes.
const RECORD_LIMIT: usize = 4 << 20;
/// Files that Docker binds into every container.
const BOUND: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// Whether the variable `name` of the container is not its image's; else why that cannot be known.
pub(super) fn set_by_operator(config: &Value, name: &str) -> Result<(), String> {
    let folder =
        container_folder(config).ok_or("no record of Docker shows that it is not the image's")?;
    let container = record(&folder.join("config.v2.json"))?;
    if container["ID"].as_str().map(Path::new) != folder.file_name().map(Path::new) {
        return Err("Docker's record of the container is another's".to_owned());
    }
    let digest = container["Image"]
        .as_str()
        .and_then(|image| image.strip_prefix("sha256:"))
        .filter(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()))
        .ok_or("Docker's record of the container names no image")?;
    let driver = container["Driver"]
        .as_str()
        .filter(|driver| {
            driver
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
        .filter(|driver| !driver.is_empty())
        .ok_or("Docker's record of the container names no storage driver")?;
    let data = folder
        .parent()
        .and_then(Path::parent)
        .ok_or("Docker's record is nowhere")?;
    let content = data
        .join("image")
        .join(driver)
        .join("imagedb/content/sha256")
        .join(digest);
    let image = record(&content)?;
    let prefix = format!("{name}=");
    let env = match &image["config"]["Env"] {
        Value::Null => return Ok(()),
        Value::Array(env) => env,
        _ => return Err(format!("{} has no list of variables", content.display())),
    };
    let its_own = |entry: &Value| entry.as_str().is_none_or(|text| text.starts_with(&prefix));
    if env.iter().any(its_own) {
        return Err("the image has it too".to_owned());
    }
    Ok(())
}

/// The folder of Docker's record, from the files that it binds into the container: all three must lead
/// to the same one, so that a bind of the user's own does not.
fn container_folder(config: &Value) -> Option<PathBuf> {
    let mounts = config["mounts"].as_array()?;
    let mut folders = BOUND.iter().map(|place| {
        let of_place = |mount: &&Value| mount["destination"] == *place;
        let mut those = mounts.iter().filter(of_place);
        let source = Path::new(those.next()?["source"].as_str()?);
        let only = those.next().is_none();
        let folder = source.parent()?;
        let in_containers = folder.parent()?.file_name()? == "containers";
        (only
            && in_containers
            && source.is_absolute()
            && source.file_name() == Path::new(place).file_name())
        .then(|| folder.to_path_buf())
    });
    let first = folders.next()??;
    folders
        .all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

fn record(path: &Path) -> Result<Value, String> {
    let bytes = read_bounded(path, RECORD_LIMIT)
        .map_err(|error| format!("read {}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("parse {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    fn docker(data: &Path, image_env: &Value) -> Value {
        let folder = data.join("containers/9f3c");
        let images = data.join("image/overlay2/imagedb/content/sha256");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&images).unwrap();
        let digest = "a".repeat(64);
        let container =
            json!({"ID": "9f3c", "Image": format!("sha256:{digest}"), "Driver": "overlay2"});
        fs::write(folder.join("config.v2.json"), container.to_string()).unwrap();
        let image = json!({"config": {"Env": image_env}});
        fs::write(images.join(digest), image.to_string()).unwrap();
        let mounts: Vec<Value> = BOUND
            .iter()
            .map(|place| {
                let name = Path::new(place).file_name().unwrap();
                json!({"destination": place, "source": folder.join(name)})
            })
            .collect();
        json!({"mounts": mounts})
    }

    #[test]
    fn a_variable_that_the_image_has_is_the_images() {
        let dir = tempfile::tempdir().unwrap();
        let config = docker(dir.path(), &json!(["PATH=/bin", "DUNNAGE_DEVICES=x"]));
        assert!(set_by_operator(&config, "DUNNAGE_DEVICES").is_err());
        set_by_operator(&config, "DOCKER_RESOURCE_GPU").unwrap();
        set_by_operator(&docker(dir.path(), &Value::Null), "DUNNAGE_DEVICES").unwrap();
        assert!(set_by_operator(&docker(dir.path(), &json!("x")), "A").is_err());
    }

    #[test]
    fn without_records_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        assert!(set_by_operator(&json!({}), "A").is_err());
        let mut config = docker(dir.path(), &json!([]));
        config["mounts"][0]["source"] = json!("/home/user/containers/9f3c/hostname");
        assert!(
            set_by_operator(&config, "A").is_err(),
            "another folder's file"
        );
        let config = docker(dir.path(), &json!([]));
        fs::write(dir.path().join("containers/9f3c/config.v2.json"), "{").unwrap();
        assert!(set_by_operator(&config, "A").is_err());
    }
}
