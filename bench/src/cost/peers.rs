//! Who is measured: Dunnage and the programs that watch containers too, each as it runs all day.

use anyhow::Context;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the peers that serve HTTP are told to listen.
const PORT: u16 = 19_781;

/// A program that watches all containers.
pub(crate) struct Peer {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// How it runs, for the table's note.
    pub(crate) how: &'static str,
    /// What a collector asks it for, where it answers by HTTP.
    pub(crate) page: Option<&'static str>,
    /// Whether it sees real containers of an engine alone.
    pub(crate) wants_engine: bool,
    words: fn(&Place<'_>) -> anyhow::Result<Vec<String>>,
}

/// What a peer's command line may need.
pub(crate) struct Place<'a> {
    /// The `dunnage` binary.
    pub(crate) dunnage: &'a Path,
    /// A folder for its configuration and data, gone afterwards.
    pub(crate) scratch: &'a Path,
    /// The socket of the Docker that runs the containers, where there is one.
    pub(crate) docker: Option<&'a Path>,
}

impl Peer {
    /// Its command line on this host; an error says why it cannot be had.
    pub(crate) fn words(&self, place: &Place<'_>) -> anyhow::Result<Vec<String>> {
        (self.words)(place)
    }

    /// Where `page` is served.
    pub(crate) fn port(&self) -> u16 {
        PORT
    }
}

/// Dunnage first: the others are compared with it.
pub(crate) const PEERS: [Peer; 6] = [
    Peer {
        name: "dunnage",
        how: "blame --watch --for 1s --json",
        page: None,
        wants_engine: false,
        words: dunnage,
    },
    Peer {
        name: "cadvisor",
        how: "its defaults; /metrics read once",
        page: Some("/metrics"),
        wants_engine: false,
        words: cadvisor,
    },
    Peer {
        name: "rezolus",
        how: "the agent with every sampler; read once",
        page: Some("/metrics/binary"),
        wants_engine: false,
        words: rezolus,
    },
    Peer {
        name: "below",
        how: "record, every second",
        page: None,
        wants_engine: false,
        words: below,
    },
    Peer {
        name: "netdata",
        how: "its defaults; all metrics read once",
        page: Some("/api/v1/allmetrics?format=prometheus"),
        wants_engine: false,
        words: netdata,
    },
    Peer {
        name: "docker stats",
        how: "the client, and what the daemon does for it",
        page: None,
        wants_engine: true,
        words: docker_stats,
    },
];

fn dunnage(place: &Place<'_>) -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(
        place.dunnage.exists(),
        "{} is not there: build it with `cargo build --release -p dunnage`",
        place.dunnage.display()
    );
    let mut words = vec![place.dunnage.display().to_string()];
    words.extend(["blame", "--watch", "--for", "1s", "--json"].map(str::to_owned));
    if let Some(socket) = place.docker {
        words.push("--engine-socket".to_owned());
        words.push(format!("docker={}", socket.display()));
    }
    Ok(words)
}

fn cadvisor(_: &Place<'_>) -> anyhow::Result<Vec<String>> {
    let program = installed("cadvisor")?;
    Ok(vec![
        text(&program),
        "-listen_ip=127.0.0.1".to_owned(),
        format!("-port={PORT}"),
    ])
}

fn rezolus(place: &Place<'_>) -> anyhow::Result<Vec<String>> {
    let program = installed("rezolus")?;
    let file = place.scratch.join("rezolus.toml");
    let settings = format!(
        "[general]\nlisten = \"127.0.0.1:{PORT}\"\n[log]\nlevel = \"error\"\n[defaults]\nenabled = true\n"
    );
    fs::write(&file, settings).with_context(|| format!("writing {}", file.display()))?;
    Ok(vec![text(&program), text(&file)])
}

fn below(place: &Place<'_>) -> anyhow::Result<Vec<String>> {
    let program = installed("below")?;
    let file = place.scratch.join("below.conf");
    let folder = text(place.scratch);
    // Where version 2 is not the only hierarchy it has a folder of its own.
    let unified = Path::new("/sys/fs/cgroup/unified");
    let cgroups = match unified.is_dir() {
        true => text(unified),
        false => "/sys/fs/cgroup".to_owned(),
    };
    let settings =
        format!("log_dir = '{folder}'\nstore_dir = '{folder}'\ncgroup_root = '{cgroups}'\n");
    fs::write(&file, settings).with_context(|| format!("writing {}", file.display()))?;
    let mut words = vec![text(&program), "--config".to_owned(), text(&file)];
    words.extend(["record", "--interval-s", "1"].map(str::to_owned));
    Ok(words)
}

fn netdata(place: &Place<'_>) -> anyhow::Result<Vec<String>> {
    let program = installed("netdata/usr/sbin/netdata").or_else(|_| installed("netdata"))?;
    // Its files beside the program: below the cache where peers.sh unpacked it, else the system's.
    let top = program
        .ancestors()
        .nth(3)
        .filter(|top| top.join("usr/lib/netdata").exists())
        .context("netdata is there without its folder usr/lib/netdata")?;
    let (top, scratch) = (text(top), text(place.scratch));
    let top = top.trim_end_matches('/');
    let file = place.scratch.join("netdata.conf");
    let settings = format!(
        "[global]\nrun as user = root\n[web]\nbind to = 127.0.0.1:{PORT}\n[directories]\n\
         config = {scratch}\nstock config = {top}/usr/lib/netdata/conf.d\n\
         plugins = {top}/usr/lib/netdata/plugins.d\nweb = {scratch}\ncache = {scratch}\n\
         lib = {scratch}\nlog = {scratch}\n"
    );
    fs::write(&file, settings).with_context(|| format!("writing {}", file.display()))?;
    Ok(vec![
        text(&program),
        "-D".to_owned(),
        "-c".to_owned(),
        text(&file),
    ])
}

fn docker_stats(place: &Place<'_>) -> anyhow::Result<Vec<String>> {
    let socket = place
        .docker
        .context("no Docker of the bench's own runs here")?;
    let mut words = vec![
        text(&installed("docker")?),
        "--host".to_owned(),
        format!("unix://{}", socket.display()),
    ];
    words.extend(["stats", "--format", "{{json .}}"].map(str::to_owned));
    Ok(words)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A program as `peers.sh` left it, or as it is in PATH.
pub(crate) fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(cache.join("dunnage/peers"))
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| {
            format!("{name} is not installed (bench/peers.sh installs what can be had)")
        })
}
