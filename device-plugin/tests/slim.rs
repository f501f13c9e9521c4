//! The small program is small by what is not in it.

/// `e_ident` of an ELF file, and where its machine is written (elf(5)).
const MAGIC: &[u8] = b"\x7fELF";
const MACHINE_AT: usize = 18;
/// The machine of eBPF objects.
const EM_BPF: [u8; 2] = 247_u16.to_le_bytes();

#[test]
fn the_small_program_holds_no_ebpf() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_dunnage-devices")).unwrap();
    let mut inside = program
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == MAGIC)
        .map(|(at, _)| program.get(at + MACHINE_AT..at + MACHINE_AT + 2));
    assert!(inside.clone().next().is_some(), "the program itself is one");
    assert!(inside.all(|machine| machine != Some(&EM_BPF[..])));
}
