//! Whatever happens to the kubelet, the plugin and their folder, in whatever order: afterwards the
//! kubelet knows all devices, and nothing is left over.

use super::{RESOURCE, Running, inventory, sockets};
use dunnage_plugin_testing::{Known, Kubelet};
use std::time::Duration;

/// Seeds that are tried; `DUNNAGE_SEEDS` says another number.
const SEEDS: u64 = 60;

/// xorshift64*: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

#[tokio::test]
async fn after_any_storm_the_kubelet_knows_all_devices() {
    let seeds = std::env::var("DUNNAGE_SEEDS").map_or(SEEDS, |text| text.parse().unwrap());
    for seed in 1..=seeds {
        storm(seed).await;
    }
}

async fn storm(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut plugin = Running::start(&["a", "b"]);
    let mut kubelet = Some(Kubelet::start(&plugin.folder()).await);
    for _ in 0..dice.roll(12) + 3 {
        match dice.roll(7) {
            0 | 1 => {
                if let Some(kubelet) = kubelet.take() {
                    kubelet.kill().await;
                }
            }
            2 | 3 => {
                if let Some(old) = kubelet.take() {
                    old.kill().await;
                }
                kubelet = Some(Kubelet::start(&plugin.folder()).await);
            }
            4 => {
                plugin.kill();
                plugin.start_again();
            }
            5 => {
                let ids: &[&str] = if dice.roll(2) == 0 {
                    &["a"]
                } else {
                    &["a", "b", "c"]
                };
                plugin.state.learn(inventory(ids));
            }
            _ => {
                // Somebody cleans up what is not theirs.
                for name in sockets(&plugin.folder()) {
                    let _ = std::fs::remove_file(plugin.folder().join(name));
                }
            }
        }
        if dice.roll(2) == 0 {
            tokio::time::sleep(Duration::from_micros(dice.roll(5_000))).await;
        }
    }
    plugin.state.learn(inventory(&["a", "b", "c"]));
    let kubelet = match kubelet {
        Some(kubelet) => kubelet,
        None => Kubelet::start(&plugin.folder()).await,
    };
    let folder = plugin.folder();
    // What happened last may still be on its way: then there is another list yet.
    let is_whole = |known: &Known| {
        let alone = sockets(&folder) == [known.endpoint.as_str()];
        alone
            && known.list.as_ref().is_some_and(|list| {
                list.devices.len() == 3
                    && list.devices.iter().all(|device| device.health == "Healthy")
            })
    };
    println!("seed {seed}");
    kubelet.until(RESOURCE, is_whole).await;
    let answer = kubelet.allocate(RESOURCE, &["c"]).await.unwrap();
    assert_eq!(
        answer.container_responses[0].devices[0].host_path, "/dev/acmec",
        "seed {seed}"
    );
}
