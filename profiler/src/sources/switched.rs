//! Programs of a loaded object that are attached and taken away while it stays loaded. Either may wait
//! for every CPU, so it is done in threads that nobody waits for.

use aya::Ebpf;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{BtfTracePoint, ProgramError};

/// A loaded object, and those of its programs that come and go.
pub(super) struct Switched {
    ebpf: Ebpf,
    programs: Vec<&'static str>,
    links: Vec<(&'static str, BtfTracePointLinkId)>,
}

impl Switched {
    /// Takes over `ebpf`. Of its programs those called `programs` are loaded and not attached.
    pub(super) fn new(ebpf: Ebpf, programs: Vec<&'static str>) -> Switched {
        Switched {
            ebpf,
            programs,
            links: Vec::new(),
        }
    }

    pub(super) fn are_attached(&self) -> bool {
        !self.links.is_empty()
    }

    /// Attaches all of them in their order, or none.
    pub(super) fn attach(&mut self) -> Result<(), ProgramError> {
        for name in self.programs.clone() {
            match program(&mut self.ebpf, name).and_then(BtfTracePoint::attach) {
                Ok(link) => self.links.push((name, link)),
                Err(error) => {
                    self.detach();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes them away, the last one first.
    pub(super) fn detach(&mut self) {
        for (name, link) in self.links.drain(..).rev() {
            if let Ok(program) = program(&mut self.ebpf, name) {
                // One that is not attached any more is all that can be refused.
                let _ = program.detach(link);
            }
        }
    }
}

/// The program `name`, which is loaded.
fn program<'e>(
    ebpf: &'e mut Ebpf,
    name: &'static str,
) -> Result<&'e mut BtfTracePoint, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::NotLoaded)?
        .try_into()
}
