//! What goes on beside serving the kubelet, each part only where it was asked for or costs nothing:
//! metrics, who holds what, verdicts, labels of the node.

use crate::commands::output::{Gaps, say};
use crate::plugin::features::FeatureFile;
use crate::plugin::holders::{HoldersError, ask};
use crate::plugin::metrics::{Listener, MakePage, Place};
use crate::plugin::noise::{Feed, Places, of_window};
use crate::plugin::state::State;
use anyhow::Context as _;
use clap::Args;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the kubelet may take to say who holds what.
const PATIENCE: Duration = Duration::from_secs(1);

/// Options of what goes on beside.
#[derive(Clone, Debug, Args)]
pub(super) struct BesideArgs {
    /// Serve metrics for Prometheus at ADDR, as 127.0.0.1:9412, or at the path of a socket
    #[arg(long, value_name = "ADDR")]
    metrics: Option<Place>,

    /// Write the node's labels to FILE, below /etc/kubernetes/node-feature-discovery/features.d
    #[arg(long, value_name = "FILE")]
    node_features: Option<PathBuf>,

    /// Keep away from noise by the verdicts that `dunnage blame --watch --json` writes to PIPE
    ///
    /// The named pipe is made where nothing is there; - is standard input.
    #[arg(long, value_name = "PIPE")]
    verdicts: Option<PathBuf>,
}

impl BesideArgs {
    /// The file for the node's labels.
    pub(super) fn feature_file(&self) -> Option<FeatureFile> {
        self.node_features.as_deref().map(FeatureFile::at)
    }

    /// Reads verdicts in a thread of its own.
    pub(super) fn hear_verdicts(&self, host: &HostRoot, state: &Arc<State>) -> anyhow::Result<()> {
        let Some(path) = &self.verdicts else {
            return Ok(());
        };
        let feed = Feed::open(path)?;
        let places = Places::of(host);
        if !places.differ() {
            let why = "this host has one NUMA node at most: there is no quieter one";
            Gaps::default().say(&[Gap::new("devices away from noise", why)]);
        }
        let state = Arc::clone(state);
        thread::Builder::new()
            .name("verdicts".to_owned())
            .spawn(move || hear(feed, &places, &state))
            .context("cannot start the thread that reads verdicts")?;
        Ok(())
    }

    /// Starts the rest; what it returns goes on for ever.
    pub(super) async fn go_on(
        &self,
        state: &Arc<State>,
        kubelet_dir: &Path,
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let listener = match &self.metrics {
            Some(place) => {
                let bound = Listener::bind(place).await;
                Some(bound.with_context(|| format!("cannot serve metrics at {place}"))?)
            }
            None => None,
        };
        let (state, kubelet_dir) = (Arc::clone(state), kubelet_dir.to_path_buf());
        Ok(async move {
            let serving = async {
                match listener {
                    Some(listener) => listener.serve(page(&state, &kubelet_dir)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::join!(serving, follow_holders(&state, &kubelet_dir));
        })
    }
}

/// Makes the page; the kubelet is asked first, since it tells nobody when a pod ended.
fn page(state: &Arc<State>, kubelet_dir: &Path) -> MakePage {
    let (state, kubelet_dir) = (Arc::clone(state), kubelet_dir.to_path_buf());
    Arc::new(move || {
        let (state, kubelet_dir) = (Arc::clone(&state), kubelet_dir.clone());
        Box::pin(async move {
            // Where it does not tell, what it told last stands: `follow_holders` says why.
            let _ = learn(&state, &kubelet_dir).await;
            state.page()
        })
    })
}

/// Learns who holds what now, and whenever that may have changed.
async fn follow_holders(state: &State, kubelet_dir: &Path) {
    let mut said = Gaps::default();
    let mut first = true;
    loop {
        match learn(state, kubelet_dir).await {
            Ok(()) => {
                let held = state.held();
                let held = held.iter().filter(|(_, count)| **count > 0);
                let held: Vec<String> = held.map(|(name, n)| format!("{n} of {name}")).collect();
                if first && !held.is_empty() {
                    say(&format!("containers hold {} already", held.join(", ")));
                }
                first = false;
            }
            // It is told as the kubelet's absence already.
            Err(HoldersError::Absent { .. }) => {}
            Err(error) => said.say(&[Gap::new("who holds devices", error.to_string())]),
        }
        state.wants_holders().await;
    }
}

async fn learn(state: &State, kubelet_dir: &Path) -> Result<(), HoldersError> {
    let holders = ask(&HostRoot::default(), kubelet_dir, PATIENCE).await?;
    state.learn_holders(&holders);
    Ok(())
}

fn hear(mut feed: Feed, places: &Places, state: &State) {
    let why = loop {
        match feed.wait() {
            Ok(Some(document)) => {
                let window = of_window(&document, &|cgroup| places.of_cgroup(cgroup));
                if let Some(window) = window {
                    state.hear(Instant::now(), window);
                }
            }
            Ok(None) => break "whoever wrote them ended".to_owned(),
            Err(error) => break format!("reading them failed: {error}"),
        }
    };
    Gaps::default().say(&[Gap::new("verdicts", why)]);
}
