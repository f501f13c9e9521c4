//! Names of processors: `e_machine` of ELF files and the words of image configurations.

/// The word of image configurations (Go's `GOARCH`) for `e_machine`; `None` for what has none here.
#[must_use]
pub fn go(machine: u16) -> Option<&'static str> {
    Some(match machine {
        3 => "386",
        8 => "mips",
        21 => "ppc64le",
        22 => "s390x",
        40 => "arm",
        62 => "amd64",
        183 => "arm64",
        243 => "riscv64",
        258 => "loong64",
        _ => return None,
    })
}

/// `e_machine` for a word of image configurations.
#[must_use]
pub fn of_go(word: &str) -> Option<u16> {
    Some(match word {
        "386" => 3,
        "mips" | "mipsle" | "mips64" | "mips64le" => 8,
        "ppc64" | "ppc64le" => 21,
        "s390x" => 22,
        "arm" => 40,
        "amd64" => 62,
        "arm64" => 183,
        "riscv64" => 243,
        "loong64" => 258,
        _ => return None,
    })
}

/// The machine of 32-bit programs that a 64-bit one may run as well.
#[must_use]
pub fn narrow_of(machine: u16) -> Option<u16> {
    match machine {
        62 => Some(3),
        183 => Some(40),
        _ => None,
    }
}

/// `e_machine` of the machine that this program was built for.
#[must_use]
pub fn own() -> u16 {
    match std::env::consts::ARCH {
        "x86" => 3,
        "x86_64" => 62,
        "arm" => 40,
        "aarch64" => 183,
        "powerpc64" => 21,
        "s390x" => 22,
        "riscv64" => 243,
        "loongarch64" => 258,
        _ => 0,
    }
}

/// The machine that QEMU's user emulation is registered for under this name (`qemu-aarch64`).
#[must_use]
pub fn of_emulator(name: &str) -> Option<u16> {
    Some(match name.strip_prefix("qemu-")? {
        "i386" => 3,
        "x86_64" => 62,
        "arm" => 40,
        "aarch64" => 183,
        "ppc64le" => 21,
        "s390x" => 22,
        "riscv64" => 243,
        "loongarch64" => 258,
        _ => return None,
    })
}

/// The folder names of Debian's multiarch for a machine.
#[must_use]
pub fn triplet(machine: u16) -> Option<&'static str> {
    Some(match machine {
        3 => "i386-linux-gnu",
        40 => "arm-linux-gnueabihf",
        62 => "x86_64-linux-gnu",
        183 => "aarch64-linux-gnu",
        21 => "powerpc64le-linux-gnu",
        _ => return None,
    })
}
