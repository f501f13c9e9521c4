//! Attaching an eBPF program to a tracepoint or a function of the running kernel, the same for every source.

use aya::programs::{BtfTracePoint, FEntry, FExit, Program, ProgramError};
use aya::{Btf, BtfError, Ebpf};

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The object in this binary has no such program.
    #[error("the eBPF object has no program {0}")]
    Missing(&'static str),
    /// The kernel refused programs around one of its functions.
    #[error("attaching to the kernel's function {function} failed: {source}")]
    Unhooked {
        /// Its name.
        function: &'static str,
        /// The reason; a kernel that is locked down refuses with EPERM.
        #[source]
        source: Box<ProgramError>,
    },
    /// The kernel refused it.
    #[error("attaching to the tracepoint {tracepoint} failed: {source}")]
    Refused {
        /// Name as in /sys/kernel/tracing/events.
        tracepoint: &'static str,
        /// The reason; EPERM wants CAP_BPF and CAP_PERFMON.
        #[source]
        source: Box<ProgramError>,
    },
}

impl AttachError {
    /// Whether this kernel's types know no such tracepoint: it is of a module, or of nothing that the
    /// kernel was built with.
    pub(super) fn is_unknown(&self) -> bool {
        match self {
            AttachError::Missing(_) => false,
            AttachError::Unhooked { source, .. } | AttachError::Refused { source, .. } => matches!(
                **source,
                ProgramError::Btf(BtfError::UnknownBtfTypeName { .. })
            ),
        }
    }
}

/// Loads `program` and attaches it to `tracepoint` until `ebpf` is dropped.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    btf: &Btf,
    program: &'static str,
    tracepoint: &'static str,
) -> Result<(), AttachError> {
    let program = load(ebpf, btf, program, tracepoint)?;
    program
        .attach()
        .map_err(|error| refused(tracepoint, error))?;
    Ok(())
}

/// Loads `program` for `tracepoint`, to be attached later.
pub(super) fn load<'e>(
    ebpf: &'e mut Ebpf,
    btf: &Btf,
    program: &'static str,
    tracepoint: &'static str,
) -> Result<&'e mut BtfTracePoint, AttachError> {
    let program: &mut BtfTracePoint = self::program(ebpf, program)?
        .try_into()
        .map_err(|error| refused(tracepoint, error))?;
    program
        .load(tracepoint, btf)
        .map_err(|error| refused(tracepoint, error))?;
    Ok(program)
}

/// Loads the programs `entry` and `exit` and attaches them around `function` until `ebpf` is dropped, the
/// end first.
pub(super) fn attach_around(
    ebpf: &mut Ebpf,
    btf: &Btf,
    (entry, exit): (&'static str, &'static str),
    function: &'static str,
) -> Result<(), AttachError> {
    let unhooked = |source| AttachError::Unhooked {
        function,
        source: Box::new(source),
    };
    let leave: &mut FExit = program(ebpf, exit)?.try_into().map_err(unhooked)?;
    leave.load(function, btf).map_err(unhooked)?;
    leave.attach().map_err(unhooked)?;
    let enter: &mut FEntry = program(ebpf, entry)?.try_into().map_err(unhooked)?;
    enter.load(function, btf).map_err(unhooked)?;
    enter.attach().map_err(unhooked)?;
    Ok(())
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut Program, AttachError> {
    ebpf.program_mut(name).ok_or(AttachError::Missing(name))
}

fn refused(tracepoint: &'static str, error: ProgramError) -> AttachError {
    AttachError::Refused {
        tracepoint,
        source: Box::new(error),
    }
}
