//! Which driver each CUDA release wants, from the tables of NVIDIA's CUDA release notes ("CUDA
//! Toolkit and Corresponding Driver Versions") and its CUDA compatibility guide; the versions of PTX
//! from the release notes of the PTX ISA.

use crate::check::version::Version;

/// One release: CUDA's version, the driver for Linux that came with it, and its PTX version (84 is
/// 8.4).
struct Release {
    cuda: (u32, u32),
    driver: [u32; 3],
    ptx: u32,
}

const fn release(major: u32, minor: u32, driver: [u32; 3], ptx: u32) -> Release {
    Release {
        cuda: (major, minor),
        driver,
        ptx,
    }
}

/// Oldest first.
const RELEASES: [Release; 24] = [
    release(10, 0, [410, 48, 0], 63),
    release(10, 1, [418, 39, 0], 64),
    release(10, 2, [440, 33, 0], 65),
    release(11, 0, [450, 36, 6], 70),
    release(11, 1, [455, 23, 0], 71),
    release(11, 2, [460, 27, 3], 72),
    release(11, 3, [465, 19, 1], 73),
    release(11, 4, [470, 42, 1], 74),
    release(11, 5, [495, 29, 5], 75),
    release(11, 6, [510, 39, 1], 76),
    release(11, 7, [515, 43, 4], 77),
    release(11, 8, [520, 61, 5], 78),
    release(12, 0, [525, 60, 13], 80),
    release(12, 1, [530, 30, 2], 81),
    release(12, 2, [535, 54, 3], 82),
    release(12, 3, [545, 23, 6], 83),
    release(12, 4, [550, 54, 14], 84),
    release(12, 5, [555, 42, 2], 85),
    release(12, 6, [560, 28, 3], 85),
    // No toolkit 12.7 was published; its driver branch was.
    release(12, 7, [565, 57, 1], 86),
    release(12, 8, [570, 26, 0], 87),
    release(12, 9, [575, 51, 3], 88),
    release(13, 0, [580, 65, 6], 90),
    release(13, 1, [590, 44, 1], 91),
];

/// The oldest driver that programs of this CUDA release run on; `None` for releases that are not
/// known. From 11 on that is the driver of the family's first release (minor version compatibility);
/// before, that of the release itself.
pub(super) fn least_driver(cuda: &Version) -> Option<Version> {
    let (major, minor) = (cuda.major(), cuda.minor());
    match major {
        // 11.0 came with 450.36.06; the compatibility guide asks for 450.80.02 from 11.1 on.
        11 if minor > 0 => known_release(cuda).map(|_| Version::of(&[450, 80, 2])),
        // Python's packages say 12 or 13 alone: all of a family have the same limit. A release that
        // is not in the table may have another.
        12 | 13 if cuda.len() == 1 => first_of(major),
        12 | 13 => known_release(cuda).and_then(|_| first_of(major)),
        _ => known_release(cuda).map(|release| Version::of(&release.driver)),
    }
}

fn first_of(major: u32) -> Option<Version> {
    let first = RELEASES.iter().find(|release| release.cuda.0 == major);
    first.map(|release| Version::of(&release.driver))
}

fn known_release(cuda: &Version) -> Option<&'static Release> {
    let wanted = (cuda.major(), cuda.minor());
    RELEASES.iter().find(|release| release.cuda == wanted)
}

/// The newest CUDA release that a driver supports in full; `None` for drivers before those of the
/// table. Of drivers newer than the table the last known release is given: they support it too.
pub(super) fn of_driver(driver: &Version) -> Option<Version> {
    last(driver).map(|release| Version::of(&[release.cuda.0, release.cuda.1]))
}

/// Whether a driver is of a later branch than the table knows, and may support more.
pub(super) fn is_newer_than_table(driver: &Version) -> bool {
    let newest = RELEASES.iter().map(|release| release.driver[0]).max();
    newest.is_some_and(|newest| driver.major() > newest)
}

/// The newest PTX that a driver compiles.
pub(super) fn ptx_of_driver(driver: &Version) -> Option<u32> {
    last(driver).map(|release| release.ptx)
}

/// A driver supports what its branch supports: 470.42 and 470.256 both CUDA 11.4.
fn last(driver: &Version) -> Option<&'static Release> {
    let mut older = RELEASES.iter().rev();
    older.find(|release| release.driver[0] <= driver.major())
}

/// The CUDA release that a PTX version came with; the first one where there are two.
pub(super) fn of_ptx(ptx: u32) -> Option<Version> {
    let release = RELEASES.iter().find(|release| release.ptx == ptx)?;
    Some(Version::of(&[release.cuda.0, release.cuda.1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn the_least_driver_follows_the_compatibility_guide() {
        for (cuda, driver) in [
            ("10.0.130", Some("410.48")),
            ("10.2.89", Some("440.33")),
            ("11.0", Some("450.36.6")),
            ("11.8.89", Some("450.80.2")),
            ("12", Some("525.60.13")),
            ("12.4.127", Some("525.60.13")),
            ("13.0", Some("580.65.6")),
            ("13.9", None),
            ("14.0", None),
            ("9.2", None),
        ] {
            assert_eq!(least_driver(&version(cuda)), driver.map(version), "{cuda}");
        }
    }

    #[test]
    fn a_driver_supports_what_its_branch_does() {
        assert_eq!(of_driver(&version("470.256.02")), Some(version("11.4")));
        assert_eq!(of_driver(&version("535.261.03")), Some(version("12.2")));
        assert_eq!(of_driver(&version("390.157")), None);
        assert_eq!(of_driver(&version("999.1")), Some(version("13.1")));
        assert_eq!(ptx_of_driver(&version("550.163.01")), Some(84));
        assert_eq!(of_ptx(84), Some(version("12.4")));
    }
}
