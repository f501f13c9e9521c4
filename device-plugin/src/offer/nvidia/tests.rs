//! Tests of `nvidia`.

use super::*;
use dunnage_inventory::Kind;
use dunnage_inventory::device::Access;

fn node(path: &str, role: Role, minor: u32, gid: u32, mode: u32) -> Node {
    Node {
        path: path.into(),
        role,
        block: false,
        major: 195,
        minor,
        access: Some(Access { mode, uid: 0, gid }),
    }
}

fn gpu() -> Device {
    let mut gpu = Device::new("GPU-1", "nvidia", Kind::Gpu, "nvidia");
    gpu.nodes = vec![
        node("/dev/nvidia0", Role::Own, 0, 0, 0o666),
        node("/dev/dri/renderD128", Role::Render, 128, 104, 0o660),
        node("/dev/nvidiactl", Role::Control, 255, 0, 0o666),
    ];
    gpu
}

fn instance() -> Device {
    let mut instance = Device::new("MIG-1", "nvidia", Kind::Gpu, "nvidia");
    instance.parent = Some("GPU-1".to_owned());
    instance.nodes = vec![
        node("/dev/nvidia-caps/nvidia-cap12", Role::Own, 12, 0, 0o444),
        node("/dev/nvidia-caps/nvidia-cap13", Role::Own, 13, 0, 0o444),
        node("/dev/nvidiactl", Role::Control, 255, 0, 0o666),
    ];
    instance
}

fn paths(edits: &Edits) -> Vec<&str> {
    edits
        .nodes
        .iter()
        .filter_map(|node| node.path.to_str())
        .collect()
}

fn inventory() -> Inventory {
    Inventory {
        devices: vec![gpu(), instance()],
        gaps: Vec::new(),
    }
}

#[test]
fn a_card_that_another_driver_runs_is_none_of_them() {
    assert!(serves(&gpu()) && serves(&instance()));
    let mut nouveau = gpu();
    nouveau.nodes.remove(0);
    assert!(!serves(&nouveau));
    let mut given_away = gpu();
    given_away.nodes = vec![node("/dev/vfio/12", Role::Own, 12, 0, 0o600)];
    assert!(!serves(&given_away));
}

#[test]
fn a_gpu_has_its_own_nodes_and_the_groups_that_open_them() {
    let edits = device_edits(&gpu(), &inventory());
    assert_eq!(paths(&edits), ["/dev/nvidia0", "/dev/dri/renderD128"]);
    assert_eq!(edits.additional_gids, [104]);
    assert!(edits.nodes.iter().all(|node| node.permissions == "rw"));
}

#[test]
fn an_instance_has_its_rights_and_the_node_of_its_gpu() {
    let edits = device_edits(&instance(), &inventory());
    assert_eq!(
        paths(&edits),
        [
            "/dev/nvidia0",
            "/dev/nvidia-caps/nvidia-cap12",
            "/dev/nvidia-caps/nvidia-cap13"
        ]
    );
    assert!(edits.additional_gids.is_empty());
}

#[test]
fn a_host_without_libraries_gives_the_shared_nodes_and_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let host = HostRoot::new(empty.path());
    let (edits, gaps) = common_edits(&host, &inventory(), &Options::default()).unwrap();
    assert_eq!(paths(&edits), ["/dev/nvidiactl"]);
    assert!(edits.mounts.is_empty());
    assert!(gaps[0].why.contains("libcuda.so"), "{}", gaps[0].why);
    let elsewhere = Options {
        driver_root: "/run/nvidia/driver".into(),
        ..Options::default()
    };
    let error = common_edits(&host, &inventory(), &elsewhere).unwrap_err();
    assert!(error.to_string().contains("/run/nvidia/driver"), "{error}");
}

fn file(kind: FileKind, path: &str, links: &[&str]) -> DriverFile {
    DriverFile {
        kind,
        host_path: Path::new("/drv").join(path.trim_start_matches('/')),
        container_path: path.into(),
        links: links.iter().map(PathBuf::from).collect(),
    }
}

#[test]
fn a_library_is_under_all_its_names_wherever_loaders_look() {
    let files = DriverFiles {
        version: "535.1".to_owned(),
        machine: Machine::Aarch64,
        library_directories: Vec::new(),
        files: vec![
            file(
                FileKind::Library,
                "/usr/lib/aarch64-linux-gnu/nvidia/current/libcuda.so.535.1",
                &["libcuda.so", "libcuda.so.1"],
            ),
            file(FileKind::Library, "/opt/other/libcuda.so.535.1", &[]),
            file(FileKind::Binary, "/usr/bin/nvidia-smi", &[]),
            file(FileKind::Socket, "/run/nvidia-persistenced/socket", &[]),
            file(
                FileKind::XorgModule,
                "/x/libglxserver_nvidia.so.535.1",
                &["libglxserver_nvidia.so"],
            ),
        ],
        gaps: Vec::new(),
    };
    let mounts = mounts(&files);
    let mut expected = Vec::new();
    for folder in ["/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"] {
        for name in ["libcuda.so.535.1", "libcuda.so", "libcuda.so.1"] {
            expected.push(format!("{folder}/{name}"));
        }
    }
    expected.extend(
        [
            "/usr/bin/nvidia-smi",
            "/run/nvidia-persistenced/socket",
            "/x/libglxserver_nvidia.so.535.1",
            "/x/libglxserver_nvidia.so",
        ]
        .map(str::to_owned),
    );
    let places: Vec<_> = mounts
        .iter()
        .map(|mount| mount.container_path.display().to_string())
        .collect();
    assert_eq!(places, expected);
    // The first that was found has the name.
    assert!(mounts[0].host_path.starts_with("/drv/usr/lib"));
    for mount in &mounts {
        let socket = mount.container_path.ends_with("socket");
        assert_eq!(mount.options.contains(&"ro"), !socket);
        assert!(mount.options.contains(&"nosuid") && mount.options.contains(&"nodev"));
    }
}
