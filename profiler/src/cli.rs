//! The command line: data only. What it means is in `commands`.

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use dunnage_device_plugin::cli::DevicesArgs;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

mod value;

pub(crate) use value::EngineSocket;

const EXIT_CODES: &str = "\
Exit codes: 0 it did what was asked; 1 it could not; 2 wrong usage; 3 with blame --exit-code, where a \
neighbour or the host harms somebody; run exits as its command does.";

const RUN_EXIT_CODES: &str = "\
Exit codes: that of COMMAND, or 128 + n where signal n ended it; 75 where COMMAND succeeded and was disturbed \
by more than --max-disturbance; 126 where COMMAND cannot be run, 127 where it is not found; 1 where Dunnage \
could not run it, 2 wrong usage.";

const EXAMPLES: &str = "\
Examples:
  dunnage demo                      see a verdict without any container at hand
  dunnage blame                     watch for 10 seconds and name who harms whom
  dunnage blame --victim web        only what harms the container web
  dunnage why web                   what limits the container web, and where that was read
  dunnage run -- cargo bench        run a benchmark and say whether others disturbed it
  dunnage ps --json                 what each container and service used, for programs
  dunnage doctor                    what works on this host and what does not";

/// Say who is hurting whom on this host
///
/// Without a command: the dashboard on a terminal, else one `dunnage ps`.
#[derive(Debug, Parser)]
#[command(name = "dunnage", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) global: Global,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Put DIR in front of every path of the host, as in a container that sees the host there
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub(crate) host_root: PathBuf,

    /// Print for programs: one JSON document, with --watch one a line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Do without eBPF: blame comes from cgroup files and pressure, as an estimate [default: with eBPF]
    #[arg(long, global = true)]
    pub(crate) no_ebpf: bool,

    /// Let the exact accounting take at most this share of the machine's CPU time, as in 0.5% or
    /// 0.005; beyond it, it falls back to sampling and says so
    #[arg(long, global = true, value_name = "SHARE", default_value = "3%", value_parser = value::share)]
    pub(crate) cpu_budget: f64,

    /// Ask no container engine: containers show by their id [default: ask those that are there]
    #[arg(long, global = true, conflicts_with = "engine_socket")]
    pub(crate) no_engines: bool,

    /// Ask the engine at this socket and look for no others; KIND is docker, podman, containerd,
    /// cri, or runc with its folder of states as PATH; may be repeated [default: the sockets that engines use by themselves]
    #[arg(long, global = true, value_name = "KIND=PATH", value_parser = value::engine_socket)]
    pub(crate) engine_socket: Vec<EngineSocket>,

    /// Say more on standard error; repeat for still more [default: warnings only]
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Use colour; auto means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open the dashboard
    Top,
    /// Show what each party used
    Ps(PsArgs),
    /// Name who harms whom through which resource, and clear who does not
    Blame(BlameArgs),
    /// Say what limits one container, resource by resource, with the metric that decided
    ///
    /// For each resource: its own cap, its share beside others, the machine, the hypervisor, or
    /// nothing; where that was read; and where the container's own look at the machine misleads it.
    Why(WhyArgs),
    /// Run a command in a cgroup of its own and say whether its result can be trusted
    ///
    /// The disturbance is the time lost to others / (that time + the time it had), on the resource
    /// where this is most. Time lost: on the CPU, what its threads waited while others ran, what
    /// interrupts for others and steal took; on disks, the part of its standing still for I/O in
    /// which others' requests were served; on the rest, what the verdicts of dunnage blame name.
    /// Others count also where they stayed within their share. Waiting behind its own threads, and
    /// behind a limit of its own, does not count. The report goes to standard error.
    #[command(override_usage = "dunnage run [OPTIONS] [--json FILE] -- <COMMAND>...", after_long_help = RUN_EXIT_CODES)]
    Run(RunArgs),
    /// Start a victim, a culprit and a bystander and show the verdict beside the truth
    ///
    /// Needs the right to make cgroups, as root has it. Cleans up behind itself. Exits with 0 where
    /// the verdict was right, else with 1.
    Demo(DemoArgs),
    /// Show the accelerators of this host and give them to containers
    Devices(DevicesArgs),
    /// Show what works on this host and what does not, with the reason and the remedy
    Doctor,
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
    /// Become a command once it is watched
    #[command(hide = true)]
    RunChild(RunChildArgs),
    /// Play one role of the demo
    #[command(hide = true)]
    DemoLoad(DemoLoadArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Watch this long: 500ms, 10s, 1m, 1h
    #[arg(long = "for", value_name = "DURATION", default_value = "1s", value_parser = value::duration)]
    pub(crate) length: Duration,

    /// Go on, one window after the other, until interrupted [default: one window]
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct BlameArgs {
    /// Watch this long: 500ms, 10s, 1m, 1h [default: 10s, with --watch 5s]
    #[arg(long = "for", value_name = "DURATION", value_parser = value::duration)]
    pub(crate) length: Option<Duration>,

    /// Show only what harms NAME: a container's or service's name, the start of an id, or
    /// NAMESPACE/POD [default: everybody]
    #[arg(long, value_name = "NAME")]
    pub(crate) victim: Option<String>,

    /// Go on, one window after the other, until interrupted [default: one window]
    #[arg(long)]
    pub(crate) watch: bool,

    /// Exit with 3 where a neighbour or the host harms somebody [default: 0 all the same]
    #[arg(long)]
    pub(crate) exit_code: bool,
}

impl BlameArgs {
    /// The length of a window.
    pub(crate) fn window(&self) -> Duration {
        self.length
            .unwrap_or(Duration::from_secs(if self.watch { 5 } else { 10 }))
    }
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A container's or service's name, the start of an id, its cgroup, or NAMESPACE/POD
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Watch this long: 500ms, 10s, 1m, 1h
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = value::duration)]
    pub(crate) length: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Exit with 75 where COMMAND succeeded and was disturbed by more than this, as in 2% or 0.02
    /// [default: exit as COMMAND does; more than 2% is called disturbed]
    #[arg(long, value_name = "SHARE", value_parser = value::share)]
    pub(crate) max_disturbance: Option<f64>,

    /// Where --json writes the report, as one dunnage.run/1 document
    #[arg(value_name = "FILE", requires = "json")]
    pub(crate) file: Option<PathBuf>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct RunChildArgs {
    /// Who lets it go
    pub(crate) parent: i32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Let all run together this long: 500ms, 10s, 1m
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = value::demo_duration)]
    pub(crate) length: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write dunnage.1 and a page for each command into DIR [default: print dunnage.1]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoLoadArgs {
    /// The role
    pub(crate) role: String,
    /// When to end, in seconds
    pub(crate) seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_imperative_and_ends_without_a_period() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().unwrap().to_string();
            assert!(!about.ends_with('.'), "{about}");
            for argument in command.get_arguments() {
                let help = argument.get_help().unwrap().to_string();
                assert!(!help.ends_with('.'), "{help}");
            }
        }
    }

    #[test]
    fn every_option_states_its_default() {
        let command = Cli::command();
        let all = command
            .get_subcommands()
            .flat_map(|c| c.get_arguments())
            .chain(command.get_arguments());
        for argument in all.filter(|a| a.get_long().is_some() && a.get_id() != "json") {
            let states = !argument.get_default_values().is_empty()
                || argument
                    .get_help()
                    .unwrap()
                    .to_string()
                    .contains("[default:");
            assert!(states, "{}", argument.get_id());
        }
    }

    #[test]
    fn windows_have_the_lengths_of_the_contract() {
        let window = |args: &[&str]| match Cli::parse_from(args).command {
            Some(Command::Blame(blame)) => blame.window(),
            Some(Command::Ps(ps)) => ps.length,
            Some(Command::Why(why)) => why.length,
            other => panic!("{other:?}"),
        };
        assert_eq!(window(&["dunnage", "blame"]), Duration::from_secs(10));
        assert_eq!(
            window(&["dunnage", "blame", "--watch"]),
            Duration::from_secs(5)
        );
        assert_eq!(
            window(&["dunnage", "blame", "--watch", "--for", "30s"]),
            Duration::from_secs(30)
        );
        assert_eq!(window(&["dunnage", "ps"]), Duration::from_secs(1));
        assert_eq!(window(&["dunnage", "why", "x"]), Duration::from_secs(5));
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for args in [["dunnage", "--json", "ps"], ["dunnage", "ps", "--json"]] {
            assert!(Cli::parse_from(args).global.json);
        }
        assert!(Cli::try_parse_from(["dunnage", "replay"]).is_err());
    }
}
