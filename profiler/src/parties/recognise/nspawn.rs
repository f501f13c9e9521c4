//! systemd-nspawn, and libvirt's LXC driver: what systemd-machined registers.
//!
//! - `machine-NAME.scope` (`systemd-nspawn -M NAME`, `machinectl start`);
//! - `systemd-nspawn@NAME.service/payload`: the supervisor beside it is the service's own;
//! - `machine-lxc\x2dN\x2dNAME.scope` of libvirt. Its virtual machines (`machine-qemu...`) are no
//!   containers and stay units.
//!
//! Forms: `src/nspawn/nspawn-{register,cgroup}.c` of systemd, `src/util/vircgroup.c` of libvirt.

use super::systemd::unescape;
use super::{Match, Part};

pub(super) fn recognise(part: Part<'_>) -> Option<Match> {
    let name = part.name();
    if name == "payload" {
        let service = part.above(1).strip_prefix("systemd-nspawn@")?;
        let machine = unescape(service.strip_suffix(".service")?);
        return (!machine.is_empty()).then(|| Match::new("systemd-nspawn", machine));
    }
    let machine = unescape(name.strip_prefix("machine-")?.strip_suffix(".scope")?);
    if machine.is_empty() || machine.starts_with("qemu-") {
        return None;
    }
    if let Some(domain) = machine.strip_prefix("lxc-") {
        let (_, guest) = domain.split_once('-')?;
        return Some(Match::new("libvirt", guest));
    }
    Some(Match::new("systemd-nspawn", machine))
}
