//! `devices`: the accelerators, their health, place, driver and users.

mod document;
mod text;

use super::output::{Gaps, print_json, print_text};
use super::{Context, party};
use dunnage_inventory::scan;
use dunnage_inventory::users::{User, users};
use dunnage_model::document::{DevicesDocument, GapDocument, PartyDocument};
use std::process::ExitCode;

/// The width of a page that is no terminal, in columns.
const PAGE: usize = 120;

pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let inventory = scan(&context.host, &context.config);
    let users = users(&context.host, &inventory);
    let known = users.gaps.is_empty();
    let devices = inventory.devices.iter().map(|device| {
        let of_device = users.by_device.get(&device.id).map(Vec::as_slice);
        // Where not everything could be read, no user found is not no user.
        let of_device = of_device.or(known.then_some(&[]));
        document::device(device, &inventory, of_device, |user| named(context, user))
    });
    let devices = devices.collect();
    let gaps: Vec<_> = inventory.gaps.iter().chain(&users.gaps).cloned().collect();
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

fn named(context: &Context, user: &User) -> PartyDocument {
    let asked = context.parties.as_ref().zip(user.cgroup.as_deref());
    asked
        .and_then(|(parties, cgroup)| parties.party(cgroup))
        .unwrap_or_else(|| party::of_user(user))
}
