//! `devices check`: whether an image can work with this host.

use super::given::host_path;
use super::{Context, output};
use crate::check::image::Source;
use crate::check::{CheckOptions, cache, check, clauses::Verdict, verdict_of};
use clap::Args;
use dunnage_inventory::scan;
use dunnage_model::document::{ClauseDocument, CompatibilityDocument};
use dunnage_model::escape::escaped;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// It will not work.
const NO: u8 = 3;
/// It cannot be told.
const UNKNOWN: u8 = 4;

/// What `devices check` takes.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    what: What,

    /// The device, by its id, another name of it, or its CDI name [default: whichever answers best]
    #[arg(long, value_name = "ID")]
    device: Option<String>,

    /// The platform to choose where the image has several: linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,

    /// Look the image up in the storage of a registry in DIR
    #[arg(long, value_name = "DIR", conflicts_with_all = ["rootfs", "containerd"])]
    registry: Option<PathBuf>,

    /// Look the image up in containerd's store in DIR
    #[arg(long, value_name = "DIR", conflicts_with = "rootfs")]
    containerd: Option<PathBuf>,

    /// The folder of the host that NVIDIA's driver is installed in
    #[arg(long, value_name = "DIR", default_value = "/", value_parser = host_path)]
    driver_root: PathBuf,

    /// Read the image again, and keep nothing of it
    #[arg(long)]
    no_cache: bool,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The image: a file of `docker save` or an OCI archive, the folder of an OCI layout, else a
    /// name that an engine knows
    #[arg(long, value_name = "REF")]
    image: Option<String>,

    /// The folder of a root file system
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
}

impl CheckArgs {
    /// Where the image is.
    fn source(&self) -> Source {
        let reference = match (&self.what.rootfs, &self.what.image) {
            (Some(folder), _) => return Source::RootFs(folder.clone()),
            (None, Some(reference)) => reference.clone(),
            (None, None) => String::new(),
        };
        if let Some(root) = self.registry.clone() {
            return Source::Registry { root, reference };
        }
        if let Some(root) = self.containerd.clone() {
            return Source::Containerd { root, reference };
        }
        let path = Path::new(&reference);
        // A folder named like an image is no layout: the engine is asked then.
        // No reference begins so: what is not there is told by its path, and no engine is asked.
        let is_path = reference.starts_with(['/', '.']);
        let is_layout = path.join("index.json").is_file();
        if path.is_file() || is_path && !is_layout {
            Source::Archive(path.to_path_buf())
        } else if is_layout {
            Source::Layout(path.to_path_buf())
        } else {
            Source::Engine { reference }
        }
    }
}

/// Checks, prints, and answers by the exit code: 0 yes, 3 no, 4 it cannot be told.
pub(super) fn run(context: &Context, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let inventory = scan(&context.host, &context.config);
    let options = CheckOptions {
        device: args.device.clone(),
        platform: args.platform.clone(),
        driver_root: args.driver_root.clone(),
        cache: cache::folder().filter(|_| !args.no_cache),
    };
    let document = check(&context.host, &inventory, &args.source(), &options)?;
    if context.json {
        output::print_json(&document, false)?;
    } else {
        output::print_text(&text(&document))?;
    }
    Ok(match verdict_of(&document) {
        Verdict::Yes => ExitCode::SUCCESS,
        Verdict::No => ExitCode::from(NO),
        Verdict::Unknown => ExitCode::from(UNKNOWN),
    })
}

/// What a person reads: the answer, then what decided it, then the rest.
fn text(document: &CompatibilityDocument) -> String {
    let answer = match &*document.verdict {
        "yes" => "yes: the image can work with this host",
        "no" => "no: the image cannot work with this host",
        _ => "unknown: it cannot be told whether the image works with this host",
    };
    let mut text = format!("{answer}\n");
    let image = &document.image;
    line(
        &mut text,
        "image",
        &image.reference,
        image.architecture.as_deref(),
    );
    if let Some(device) = &document.device {
        let model = device.model.as_deref().unwrap_or(&device.vendor);
        line(&mut text, "device", model, Some(&device.id));
    }
    let mut clauses: Vec<&ClauseDocument> = document.clauses.iter().collect();
    clauses.sort_by_key(|clause| (!clause.matters, rank(&clause.verdict)));
    for clause in clauses {
        text.push('\n');
        self::clause(&mut text, clause);
    }
    for gap in &document.gaps {
        text.push_str(&format!(
            "\nnot read: {}: {}\n",
            escaped(&gap.what),
            escaped(&gap.why)
        ));
    }
    text
}

fn rank(verdict: &str) -> u8 {
    match verdict {
        "no" => 0,
        "unknown" => 1,
        _ => 2,
    }
}

fn line(text: &mut String, name: &str, value: &str, beside: Option<&str>) {
    let beside = beside.map_or_else(String::new, |beside| format!(" ({})", escaped(beside)));
    text.push_str(&format!("  {name:<7} {}{beside}\n", escaped(value)));
}

fn clause(text: &mut String, clause: &ClauseDocument) {
    let beside = if clause.matters {
        ""
    } else {
        " (does not decide)"
    };
    text.push_str(&format!(
        "{:<8} {}{beside}\n",
        clause.verdict,
        escaped(&clause.what)
    ));
    for (name, value, by) in [
        ("wanted", &clause.wanted, &clause.wanted_by),
        ("there", &clause.there, &clause.there_by),
    ] {
        match (value, by) {
            (Some(value), by) => line(text, name, value, by.as_deref()),
            (None, Some(by)) => line(text, name, "unknown", Some(by)),
            (None, None) => {}
        }
    }
    if let Some(remedy) = &clause.remedy {
        line(text, "remedy", remedy, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: CheckArgs,
    }

    #[test]
    fn one_image_is_named_and_where_it_is_follows() {
        let parse = |words: &[&str]| {
            Program::try_parse_from(["x"].iter().chain(words)).map(|program| program.args.source())
        };
        assert!(parse(&[]).is_err());
        assert!(parse(&["--image", "a", "--rootfs", "/"]).is_err());
        assert!(parse(&["--rootfs", "/", "--registry", "/"]).is_err());
        assert_eq!(
            parse(&["--rootfs", "/x"]).unwrap(),
            Source::RootFs("/x".into())
        );
        let reference = "debian:12".to_owned();
        assert_eq!(
            parse(&["--image", "debian:12"]).unwrap(),
            Source::Engine {
                reference: reference.clone()
            }
        );
        for path in ["./no-such.tar", "../no-such.tar", "/no/such.tar"] {
            assert_eq!(
                parse(&["--image", path]).unwrap(),
                Source::Archive(path.into())
            );
        }
        let root = PathBuf::from("/var/lib/registry");
        assert_eq!(
            parse(&["--image", "debian:12", "--registry", "/var/lib/registry"]).unwrap(),
            Source::Registry { root, reference }
        );
    }

    #[test]
    fn people_read_no_control_characters_of_an_image() {
        let document: CompatibilityDocument = serde_json::from_str(
            r#"{"schema":"dunnage.check/1","verdict":"no","image":{"ref":"a\u001b[2J"},"host":{},
                "clauses":[{"what":"x","verdict":"no","wanted":"\u0007","wanted_by":"/a"}]}"#,
        )
        .unwrap();
        let text = text(&document);
        assert!(text.starts_with("no: "));
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }
}
