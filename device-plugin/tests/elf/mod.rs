//! Writes small ELF files for tests: 64-bit, little-endian, one loaded segment, as `elf(5)` has it.

/// What a file says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    /// `e_machine`.
    pub(crate) machine: u16,
    /// `PT_INTERP`.
    pub(crate) interpreter: Option<&'static str>,
    /// `DT_SONAME`.
    pub(crate) soname: Option<&'static str>,
    /// `DT_NEEDED`.
    pub(crate) needed: Vec<&'static str>,
    /// Symbols that are wanted of others.
    pub(crate) undefined: Vec<&'static str>,
    /// Symbols that are defined here.
    pub(crate) defined: Vec<&'static str>,
    /// Versions that are wanted: (library, version).
    pub(crate) wants: Vec<(&'static str, &'static str)>,
    /// Versions that are defined here.
    pub(crate) defines: Vec<&'static str>,
    /// What else is in the file, aligned to 8 bytes.
    pub(crate) blob: Vec<u8>,
    /// Without a dynamic section, as static programs are.
    pub(crate) fixed: bool,
    /// `DF_1_PIE`: a program that can be loaded anywhere.
    pub(crate) anywhere: bool,
}

impl Default for Elf {
    fn default() -> Elf {
        Elf {
            machine: 62,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            undefined: Vec::new(),
            defined: Vec::new(),
            wants: Vec::new(),
            defines: Vec::new(),
            blob: Vec::new(),
            fixed: false,
            anywhere: false,
        }
    }
}

/// The string table, as it grows.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = u32::try_from(self.0.len()).unwrap();
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

fn align(bytes: &mut Vec<u8>) -> u64 {
    while !bytes.len().is_multiple_of(8) {
        bytes.push(0);
    }
    bytes.len() as u64
}

fn words(bytes: &mut Vec<u8>, words: &[u64]) {
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

fn shorts(bytes: &mut Vec<u8>, halves: &[u16], words: &[u32]) {
    for half in halves {
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

impl Elf {
    /// The file.
    #[must_use]
    pub(crate) fn bytes(&self) -> Vec<u8> {
        const HEADERS: usize = 64 + 3 * 56;
        let mut file = vec![0; HEADERS];
        let mut strings = Strings(vec![0]);
        let mut dynamic: Vec<(u64, u64)> = Vec::new();
        let interpreter = self.interpreter.map(|path| {
            let at = align(&mut file);
            file.extend_from_slice(path.as_bytes());
            file.push(0);
            (at, path.len() as u64 + 1)
        });
        for name in &self.needed {
            dynamic.push((1, u64::from(strings.add(name))));
        }
        if let Some(name) = self.soname {
            dynamic.push((14, u64::from(strings.add(name))));
        }
        if self.anywhere {
            dynamic.push((0x6fff_fffb, 0x0800_0000));
        }
        self.symbols(&mut file, &mut strings, &mut dynamic);
        self.version_needs(&mut file, &mut strings, &mut dynamic);
        self.version_definitions(&mut file, &mut strings, &mut dynamic);
        dynamic.push((5, align(&mut file)));
        dynamic.push((10, strings.0.len() as u64));
        file.extend_from_slice(&strings.0);
        let table = align(&mut file);
        for (tag, value) in &dynamic {
            words(&mut file, &[*tag, *value]);
        }
        words(&mut file, &[0, 0]);
        let end = align(&mut file);
        file.extend_from_slice(&self.blob);
        self.head(&mut file, interpreter, (table, end - table));
        file
    }

    fn symbols(&self, file: &mut Vec<u8>, strings: &mut Strings, dynamic: &mut Vec<(u64, u64)>) {
        dynamic.push((6, align(file)));
        words(file, &[0, 0, 0]);
        let undefined = self.undefined.iter().map(|name| (name, 0u16));
        let all: Vec<_> = undefined
            .chain(self.defined.iter().map(|name| (name, 1)))
            .collect();
        for (name, section) in &all {
            // A global function.
            shorts(file, &[], &[strings.add(name)]);
            shorts(file, &[0x12, *section], &[]);
            words(file, &[0x1000, 8]);
        }
        dynamic.push((4, align(file)));
        // One bucket with nothing in it: only the count is looked at.
        let count = u32::try_from(all.len() + 1).unwrap();
        let chain = vec![0; all.len() + 1];
        shorts(file, &[], &[1, count, 0]);
        shorts(file, &[], &chain);
    }

    fn version_needs(
        &self,
        file: &mut Vec<u8>,
        strings: &mut Strings,
        dynamic: &mut Vec<(u64, u64)>,
    ) {
        if self.wants.is_empty() {
            return;
        }
        dynamic.push((0x6fff_fffe, align(file)));
        dynamic.push((0x6fff_ffff, self.wants.len() as u64));
        for (index, (library, version)) in self.wants.iter().enumerate() {
            let next = if index + 1 == self.wants.len() { 0 } else { 32 };
            let library = strings.add(library);
            shorts(file, &[1, 1], &[library, 16, next]);
            let version = strings.add(version);
            shorts(file, &[], &[0]);
            shorts(file, &[0, 2], &[version, 0]);
        }
    }

    fn version_definitions(
        &self,
        file: &mut Vec<u8>,
        strings: &mut Strings,
        dynamic: &mut Vec<(u64, u64)>,
    ) {
        if self.defines.is_empty() {
            return;
        }
        dynamic.push((0x6fff_fffc, align(file)));
        dynamic.push((0x6fff_fffd, self.defines.len() as u64));
        for (index, version) in self.defines.iter().enumerate() {
            let next = if index + 1 == self.defines.len() {
                0
            } else {
                28
            };
            shorts(file, &[1, 0, 2, 1], &[0, 20, next]);
            let version = strings.add(version);
            shorts(file, &[], &[version, 0]);
        }
    }

    fn head(&self, file: &mut [u8], interpreter: Option<(u64, u64)>, table: (u64, u64)) {
        let sort: u16 = if self.fixed { 2 } else { 3 };
        let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        shorts(&mut head, &[sort, self.machine], &[1]);
        words(&mut head, &[0x1000, 64, 0]);
        shorts(&mut head, &[], &[0]);
        shorts(&mut head, &[64, 56, 3, 0, 0, 0], &[]);
        let length = file.len() as u64;
        let segment = |head: &mut Vec<u8>, kind: u32, (at, size): (u64, u64)| {
            shorts(head, &[], &[kind, 4]);
            words(head, &[at, at, at, size, size, 8]);
        };
        segment(&mut head, 1, (0, length));
        segment(&mut head, if self.fixed { 0 } else { 2 }, table);
        match interpreter {
            Some(range) => segment(&mut head, 3, range),
            None => segment(&mut head, 0, (0, 0)),
        }
        file[..head.len()].copy_from_slice(&head);
    }
}

/// A fat binary with entries of (PTX, architecture, PTX version, text or code).
#[must_use]
pub(crate) fn fatbin(entries: &[(bool, u32, u32, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (ptx, arch, version, payload) in entries {
        let mut payload = payload.to_vec();
        align(&mut payload);
        let minor = u16::try_from(version % 10).unwrap();
        let major = u16::try_from(version / 10).unwrap();
        shorts(&mut body, &[if *ptx { 1 } else { 2 }, 0x101], &[64]);
        words(&mut body, &[payload.len() as u64]);
        shorts(&mut body, &[], &[0, 0]);
        shorts(&mut body, &[minor, major], &[*arch, 0, 0]);
        words(&mut body, &[1, 0, 0]);
        body.extend_from_slice(&payload);
    }
    let mut bytes = Vec::new();
    shorts(&mut bytes, &[], &[0xba55_ed50]);
    shorts(&mut bytes, &[1, 16], &[]);
    words(&mut bytes, &[body.len() as u64]);
    bytes.extend_from_slice(&body);
    bytes
}

/// An offload bundle of AMD's compilers for these targets.
#[must_use]
pub(crate) fn bundle(targets: &[&str]) -> Vec<u8> {
    let mut bytes = b"__CLANG_OFFLOAD_BUNDLE__".to_vec();
    words(&mut bytes, &[targets.len() as u64]);
    for target in targets {
        let id = format!("hipv4-amdgcn-amd-amdhsa--{target}");
        words(&mut bytes, &[4096, 64, id.len() as u64]);
        bytes.extend_from_slice(id.as_bytes());
    }
    bytes.resize(8192, 0);
    bytes
}
