//! Tests of `collect`.

use super::*;
use crate::check::testing::elf::Elf;
use crate::check::testing::facts;

fn meta(program: &str, env: &[(&str, &str)]) -> ImageMeta {
    ImageMeta {
        entrypoint: vec![program.to_owned()],
        env: env
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        ..ImageMeta::default()
    }
}

#[test]
fn what_comes_from_the_driver_is_told_from_what_is_in_the_image() {
    let program = Elf {
        interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
        needed: vec!["libcuda.so.1", "libcudart.so.12", "libc.so.6"],
        undefined: vec!["cuInit", "cudaMalloc"],
        ..Elf::default()
    };
    let stub = Elf {
        soname: Some("libcuda.so.1"),
        ..Elf::default()
    };
    let compat = Elf {
        soname: Some("libcuda.so.1"),
        ..Elf::default()
    };
    let found = facts(
        &meta("program", &[("PATH", "/opt/bin")]),
        &[
            ("/opt/bin/program", program.bytes()),
            ("/usr/local/cuda/lib64/stubs/libcuda.so", stub.bytes()),
            (
                "/usr/local/cuda/compat/libcuda.so.550.54.15",
                compat.bytes(),
            ),
        ],
    );
    assert_eq!(found.wants.len(), 1);
    assert_eq!(found.wants[0].soname, "libcuda.so.1");
    assert_eq!(found.wants[0].symbols, ["cuInit"]);
    assert!(found.libraries.is_empty(), "{:?}", found.libraries);
    assert_eq!(found.program.as_deref(), Some("/opt/bin/program"));
    assert_eq!(found.program_machine, Some(62));
    let compat = found.runtime(RuntimeKind::CudaCompat).unwrap();
    assert_eq!(compat.version, Version::of(&[550, 54, 15]));
}

#[test]
fn a_program_is_found_through_links_of_folders_and_files() {
    let program = Elf {
        machine: 183,
        fixed: true,
        ..Elf::default()
    };
    let mut collector = Collector::new(&meta("/bin/tool", &[]));
    collector.link(Path::new("/bin"), Path::new("usr/bin"));
    collector.link(Path::new("/usr/bin/tool"), Path::new("../../opt/./tool"));
    let bytes = program.bytes();
    let size = bytes.len() as u64;
    let path = Path::new("/opt/tool");
    let found = collector.look().at(path, size, &mut &bytes[..]).unwrap();
    collector.file(path, size, found);
    let found = collector.finish();
    assert_eq!(found.program_machine, Some(183));
}

#[test]
fn a_static_program_that_can_be_loaded_anywhere_is_no_library() {
    let machines = |program: Elf| {
        let found = facts(&ImageMeta::default(), &[("/server", program.bytes())]);
        found.machines.into_keys().collect::<Vec<_>>()
    };
    let library = Elf {
        machine: 183,
        ..Elf::default()
    };
    let program = Elf {
        anywhere: true,
        ..library.clone()
    };
    assert!(machines(library).is_empty());
    assert_eq!(machines(program), [183]);
}

#[test]
fn a_relative_program_is_in_the_folder_that_it_is_started_in() {
    let of = |machine| Elf {
        machine,
        fixed: true,
        ..Elf::default()
    };
    for (program, folder) in [
        ("./tool", "/work"),
        ("../work/tool", "/opt"),
        ("b/../tool", "work"),
    ] {
        let meta = ImageMeta {
            working_dir: Some(folder.to_owned()),
            ..meta(program, &[])
        };
        let files = [("/tool", of(62).bytes()), ("/work/tool", of(183).bytes())];
        let found = facts(&meta, &files);
        assert_eq!(found.program_machine, Some(183), "{program} in {folder}");
    }
}

#[test]
fn loops_of_links_end() {
    let mut links = BTreeMap::new();
    links.insert(PathBuf::from("/a"), PathBuf::from("b"));
    links.insert(PathBuf::from("/b"), PathBuf::from("/a/a/a"));
    let end = follow(&links, Path::new("/a"));
    assert!(end.starts_with("/"));
}

#[test]
fn the_oldest_of_several_c_libraries_counts() {
    let libc = |version| {
        Elf {
            soname: Some("libc.so.6"),
            defines: vec!["GLIBC_2.2.5", version],
            ..Elf::default()
        }
        .bytes()
    };
    let found = facts(
        &ImageMeta::default(),
        &[
            ("/lib/libc.so.6", libc("GLIBC_2.36")),
            ("/opt/lib/libc.so.6", libc("GLIBC_2.17")),
        ],
    );
    let (version, path) = found.libc.glibc.unwrap();
    assert_eq!(
        (version, &*path),
        (Version::of(&[2, 17]), "/opt/lib/libc.so.6")
    );
}

#[test]
fn runtimes_that_were_bundled_under_another_name_are_known() {
    let runtime = Elf {
        soname: Some("libcudart-d0da41ae.so.11.0"),
        ..Elf::default()
    };
    let path = "/v/torch/lib/libcudart-d0da41ae.so.11.0";
    let found = facts(&ImageMeta::default(), &[(path, runtime.bytes())]);
    assert_eq!(found.runtime(RuntimeKind::Cuda).unwrap().said_by, path);
}
