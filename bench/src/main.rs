//! What Dunnage costs, as ratios taken in one run and as counts.
//!
//! `dunnage-bench switch` measures the scheduling program beside an empty one on the same event;
//! `dunnage-bench agent` measures the agent at 1 Hz over the number of cgroups;
//! `dunnage-bench sources` measures the eBPF part of every source under a mixed load;
//! `dunnage-bench start` measures the time to the first verdict; `dunnage-bench cost` sets Dunnage beside
//! other programs that watch containers; `dunnage-bench plugin` measures the device plugin beside others
//! of its kind; `dunnage-bench images` how long `devices check` takes of large images; `dunnage-bench run` compares equal runs by what `dunnage run`
//! says of them; `dunnage-bench truth` plays labelled scenarios and says how
//! often the verdicts are right. `README.md` beside this crate says what is promised and how each
//! figure is taken.

#![forbid(unsafe_code)]

mod agent;
mod cgroups;
mod cost;
mod entering;
mod figures;
mod images;
mod loads;
mod mixed;
mod plugin;
mod run;
mod sources;
mod start;
mod switch;
mod truth;

use clap::{Parser, Subcommand};
use figures::Output;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(
    name = "dunnage-bench",
    about = "Measure what Dunnage costs on this host",
    version
)]
struct Cli {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// The scheduling program on hot and cold switches and under requests, beside an empty program
    Switch {
        /// Interleaved rounds of: nothing, an empty program, the scheduling program
        #[arg(long, default_value_t = 8)]
        rounds: u32,
    },
    /// The agent at 1 Hz beside so many cgroups
    Agent {
        /// The dunnage binary
        #[arg(long, default_value = "target/release/dunnage")]
        binary: PathBuf,
        /// Numbers of cgroups
        #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000")]
        cgroups: Vec<usize>,
        /// Seconds to measure at each number
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// From start to the first verdict with `--for 2s`
    Start {
        /// The dunnage binary
        #[arg(long, default_value = "target/release/dunnage")]
        binary: PathBuf,
        /// How many starts
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
    /// The eBPF part of every source, alone and together, under a load that switches, reads, writes, sends
    Sources {
        /// Pairs of runs without and with all sources
        #[arg(long, default_value_t = 40)]
        pairs: u32,
        /// Operations of each of the load's two pairs of threads in a run
        #[arg(long, default_value_t = 6_000)]
        operations: u64,
        /// A folder on a disk for the load's files [default: that of temporary files]
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Dunnage beside cAdvisor, Rezolus, below, Netdata and `docker stats`, as far as they are installed
    Cost {
        /// The dunnage binary
        #[arg(long, default_value = "target/release/dunnage")]
        binary: PathBuf,
        /// Numbers of containers
        #[arg(long, value_delimiter = ',', default_value = "10,100,500")]
        containers: Vec<usize>,
        /// Interleaved rounds of: nothing, each of them
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// Seconds to measure each in a round
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Beside Dunnage only these, such as `cadvisor,below`
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// The device plugin before a made-up kubelet, beside others as far as they are installed
    Plugin {
        /// The dunnage-devices binary
        #[arg(long, default_value = "target/release/dunnage-devices")]
        binary: PathBuf,
        /// Numbers of devices
        #[arg(long, value_delimiter = ',', default_value = "64,1000")]
        devices: Vec<usize>,
        /// Interleaved rounds: each starts each plugin once
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Restarts of the kubelet in a round
        #[arg(long, default_value_t = 4)]
        restarts: u32,
        /// Calls of Allocate in a round
        #[arg(long, default_value_t = 400)]
        calls: u32,
        /// Seconds in which nothing happens, once for each plugin
        #[arg(long, default_value_t = 10)]
        idle: u64,
        /// Beside Dunnage's only these, such as `intel-gpu-plugin`
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// `devices check` of a large image, in every form that is read without an engine
    ///
    /// Exits with 1 where an answer takes longer, or more memory, than is promised.
    Images {
        /// The dunnage-devices binary
        #[arg(long, default_value = "target/release/dunnage-devices")]
        binary: PathBuf,
        /// The size of the image, unpacked, in megabytes
        #[arg(long, value_name = "MB", default_value_t = 5_000)]
        size: u64,
        /// First answers of each
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// Where the images are made, one after the other [default: that of temporary files]
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
        /// Only these, such as `gzip,folder`
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// How much equal runs differ, by whether `dunnage run` calls them clean or disturbed
    Run {
        /// The dunnage binary
        #[arg(long, default_value = "target/release/dunnage")]
        binary: PathBuf,
        /// How many runs; every other one beside neighbours
        #[arg(long, default_value_t = 20)]
        runs: u32,
    },
    /// Labelled scenarios on real cgroups: how often the verdicts are right
    Truth(truth::TruthArguments),
    /// The page of all runs of `truth` that lie in a folder as JSON
    Report {
        /// The folder
        #[arg(long, value_name = "DIR")]
        store: PathBuf,
        /// Where the page goes
        #[arg(short, long, value_name = "FILE.html")]
        output: PathBuf,
    },
    /// One workload of a scenario, not to be called by hand
    #[command(hide = true)]
    Part(truth::PartArguments),
    /// The load of `sources`, not to be called by hand
    #[command(hide = true)]
    MixedLoad {
        /// Where its files go
        folder: PathBuf,
    },
    /// The work of `run`, not to be called by hand
    #[command(hide = true)]
    Work,
    /// A load for the other measurements, not to be called by hand
    #[command(hide = true)]
    Load {
        /// Microseconds of every 100 ms to work
        busy_us: u64,
        /// Seconds until it ends by itself
        seconds: u64,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    if truth::burn() {
        return Ok(ExitCode::SUCCESS);
    }
    let cli = Cli::parse();
    let table = match cli.what {
        What::Switch { rounds } => switch::measure(rounds)?,
        What::Agent {
            binary,
            cgroups,
            seconds,
        } => agent::measure(&binary, &cgroups, seconds)?,
        What::Start { binary, rounds } => start::measure(&binary, rounds)?,
        What::Cost {
            binary,
            containers,
            rounds,
            seconds,
            only,
        } => cost::measure(&cost::Options {
            binary,
            containers,
            rounds,
            seconds,
            only,
        })?,
        What::Plugin {
            binary,
            devices,
            rounds,
            restarts,
            calls,
            idle,
            only,
        } => plugin::measure(&plugin::Options {
            binary,
            devices,
            rounds,
            restarts,
            calls,
            idle: Duration::from_secs(idle),
            only,
        })?,
        What::Images {
            binary,
            size,
            rounds,
            folder,
            only,
        } => {
            let table = images::measure(&images::Options {
                binary,
                size,
                rounds,
                folder: folder.unwrap_or_else(std::env::temp_dir),
                only,
            })?;
            cli.output.put(&table, || table.print())?;
            return Ok(ExitCode::from(u8::from(!table.kept())));
        }
        What::Run { binary, runs } => run::measure(&binary, runs)?,
        What::Work => {
            run::work();
            return Ok(ExitCode::SUCCESS);
        }
        What::Truth(arguments) => return truth::measure(&arguments, &cli.output),
        What::Report { store, output } => {
            truth::report::write(&store, &output)?;
            return Ok(ExitCode::SUCCESS);
        }
        What::Part(arguments) => {
            truth::play(arguments)?;
            return Ok(ExitCode::SUCCESS);
        }
        What::Sources {
            pairs,
            operations,
            folder,
        } => {
            let folder = folder.unwrap_or_else(std::env::temp_dir);
            sources::measure(&folder, pairs, operations)?
        }
        What::MixedLoad { folder } => {
            mixed::serve(&folder)?;
            return Ok(ExitCode::SUCCESS);
        }
        What::Load { busy_us, seconds } => {
            loads::pulse(busy_us, seconds);
            return Ok(ExitCode::SUCCESS);
        }
    };
    cli.output.put(&table, || table.print())?;
    Ok(ExitCode::SUCCESS)
}
