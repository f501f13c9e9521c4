//! `devices`: the accelerators, their health, place, driver and users.

mod document;
mod text;

use super::output::{Gaps, print_json, print_text};
use super::{Context, party};
use crate::plugin::holders::{Holders, HoldersError, ask};
use document::Given;
use dunnage_inventory::scan;
use dunnage_inventory::users::{User, users};
use dunnage_model::document::{DevicesDocument, GapDocument, PartyDocument};
use dunnage_model::gap::Gap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The width of a page that is no terminal, in columns.
const PAGE: usize = 120;

/// The kubelet's folder.
const KUBELET: &str = "/var/lib/kubelet";

/// How long a kubelet may take to say who has what.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let inventory = scan(&context.host, &context.config);
    let users = users(&context.host, &inventory);
    let known = users.gaps.is_empty();
    let (holders, unheard) = holders(context);
    let given = holders.as_ref().map(|holders| Given {
        holders,
        config: &context.config,
    });
    let devices = inventory.devices.iter().map(|device| {
        let of_device = users.by_device.get(&device.id).map(Vec::as_slice);
        // Where not everything could be read, no user found is not no user.
        let of_device = of_device.or(known.then_some(&[]));
        let name = |user: &User| named(context, user);
        document::device(device, &inventory, of_device, name, given.as_ref())
    });
    let devices = devices.collect();
    let gaps = inventory.gaps.iter().chain(&users.gaps);
    let gaps: Vec<_> = gaps.chain(&unheard).cloned().collect();
    Gaps::default().say(&gaps);
    let gaps = gaps.iter().map(GapDocument::from).collect();
    let document = DevicesDocument::new(devices, gaps);
    if context.json {
        print_json(&document, false)?;
    } else {
        let width = terminal_size::terminal_size().map_or(PAGE, |(width, _)| width.0.into());
        print_text(&text::devices(&document, width))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Who was given what by the kubelet, where there is one.
fn holders(context: &Context) -> (Option<Holders>, Option<Gap>) {
    let gap = |why: String| (None, Some(Gap::new("whom the kubelet gave devices", why)));
    // Most hosts have none.
    if std::fs::symlink_metadata(context.host.path(KUBELET)).is_err() {
        return (None, None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let asked = match runtime {
        Ok(runtime) => runtime.block_on(ask(&context.host, Path::new(KUBELET), PATIENCE)),
        Err(error) => return gap(error.to_string()),
    };
    match asked {
        Ok(holders) => (Some(holders), None),
        Err(HoldersError::Absent { .. }) => (None, None),
        Err(error) => gap(error.to_string()),
    }
}

fn named(context: &Context, user: &User) -> PartyDocument {
    let asked = context.parties.as_ref().zip(user.cgroup.as_deref());
    asked
        .and_then(|(parties, cgroup)| parties.party(cgroup))
        .unwrap_or_else(|| party::of_user(user))
}
