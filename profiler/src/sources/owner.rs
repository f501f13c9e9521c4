//! Whose something is, as the eBPF programs key it (`owner.h`).

use dunnage_model::observation::Owner;

const UNKNOWN: u64 = 1;
const KERNEL: u64 = 2;
const V1: u64 = 1 << 63;
const ROOT_COMMAND: u64 = 1 << 62;
const V1_BLKIO: u64 = 1 << 61;
const V1_MEMORY: u64 = 1 << 60;

/// The owner that a key stands for; 0, where there is nothing, is nobody.
pub(crate) fn owner_of_key(key: u64) -> Option<Owner> {
    Some(match key {
        0 => return None,
        UNKNOWN => Owner::Unknown,
        KERNEL => Owner::Kernel,
        _ if key & V1 != 0 => Owner::V1(key & !V1),
        _ if key & ROOT_COMMAND != 0 => Owner::RootCommand(key & !ROOT_COMMAND),
        _ if key & V1_BLKIO != 0 => Owner::V1Blkio(key & !V1_BLKIO),
        _ if key & V1_MEMORY != 0 => Owner::V1Memory(key & !V1_MEMORY),
        _ => Owner::V2(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_is_told_from_the_others() {
        assert_eq!(owner_of_key(0), None);
        assert_eq!(owner_of_key(KERNEL), Some(Owner::Kernel));
        assert_eq!(owner_of_key(7 | 1 << 32), Some(Owner::V2(7 | 1 << 32)));
        assert_eq!(owner_of_key(7 | V1), Some(Owner::V1(7)));
        assert_eq!(owner_of_key(7 | V1_BLKIO), Some(Owner::V1Blkio(7)));
        assert_eq!(owner_of_key(7 | V1_MEMORY), Some(Owner::V1Memory(7)));
        // A hash may have the lower kinds' bits set.
        let hash = V1_BLKIO | V1_MEMORY | 7;
        assert_eq!(
            owner_of_key(hash | ROOT_COMMAND),
            Some(Owner::RootCommand(hash))
        );
    }
}
