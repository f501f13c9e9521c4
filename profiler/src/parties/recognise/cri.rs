//! Containers of Kubernetes pods, whichever runtime serves the kubelet.
//!
//! - cgroupfs driver: `kubepods[/burstable|/besteffort]/pod<uid>/[crio-]<id>`;
//! - systemd driver: `kubepods[-qos]-pod<uid with _>.slice/{cri-containerd,crio,docker}-<id>.scope`;
//! - driver mismatch: `kubepods-...-pod<uid>.slice:cri-containerd:<id>` as one part.
//!
//! `crio-conmon-<id>.scope` holds the monitor: a service of the host. The pause sandbox has the form
//! of any other container; only the runtime can tell them apart. Forms:
//! `pkg/kubelet/cm/{pod_container_manager_linux,cgroup_manager_linux}.go` of Kubernetes.

use super::{Match, Part, id_after, is_full_id};

/// A uid is 36 characters, or 32 for a static pod; this leaves room and bounds what is stored.
const LONGEST_UID: usize = 64;

const SCOPES: &[(&str, &str)] = &[
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("docker-", "docker"),
];

pub(super) fn recognise(part: Part<'_>) -> Option<Match> {
    let name = part.name();
    if let Some(found) = mismatched(name) {
        return Some(found);
    }
    let pod_uid = pod_of(part);
    for (prefix, engine) in SCOPES {
        if let Some(id) = id_after(name, prefix) {
            // Outside a pod these prefixes still belong to a kubelet's runtime, docker's do not.
            if pod_uid.is_some() || *engine != "docker" {
                return Some(Match {
                    engine: Some(engine),
                    id: id.to_owned(),
                    pod_uid,
                });
            }
        }
    }
    let below_pod = pod_uid.is_some() && is_full_id(name);
    below_pod.then(|| Match {
        engine: None,
        id: name.to_owned(),
        pod_uid,
    })
}

/// containerd with its cgroupfs driver under a kubelet with the systemd driver takes the kubelet's
/// `slice:prefix:id` for the name of a folder.
fn mismatched(name: &str) -> Option<Match> {
    let mut fields = name.split(':');
    let (slice, prefix, id) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || !is_full_id(id) {
        return None;
    }
    let pod_uid = pod_uid(slice)?;
    let scope = format!("{prefix}-");
    let (_, engine) = SCOPES.iter().find(|(known, _)| *known == scope)?;
    Some(Match {
        engine: Some(engine),
        id: id.to_owned(),
        pod_uid: Some(pod_uid),
    })
}

/// The uid of the pod that the part lies in. Without a slice's full name only the folder above tells
/// a pod from anything else that begins with these letters.
fn pod_of(part: Part<'_>) -> Option<String> {
    let pod = part.above(1);
    let in_kubepods = pod.ends_with(".slice")
        || part.above(2).contains("kubepods")
        || part.above(3).contains("kubepods");
    in_kubepods.then(|| pod_uid(pod)).flatten()
}

/// The uid in the name of a pod's own cgroup, with dashes.
fn pod_uid(name: &str) -> Option<String> {
    let uid = match name.strip_suffix(".slice") {
        // The last dash parts `kubepods-burstable` from `pod<uid>`: the uid's own are `_` here.
        Some(slice) => {
            let (parents, pod) = slice.rsplit_once('-')?;
            parents.contains("kubepods").then_some(())?;
            pod.strip_prefix("pod")?.replace('_', "-")
        }
        None => name.strip_prefix("pod")?.to_owned(),
    };
    let plausible = (8..=LONGEST_UID).contains(&uid.len())
        && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plausible.then_some(uid)
}
