//! The load generator of the end-to-end tests: one program that runs inside the containers.
//!
//! It uses the standard library alone and is linked statically, so that a container needs no other
//! file. It prints one JSON object when its time is over: what it did and what it lost by its own
//! clock. That is the truth that the verdicts of `dunnage` are held against.
//!
//! `dunnage-load MODE [--threads N] [--work D] [--every D] [--on D] [--off D] [--bytes N] [--path P]
//! [--to ADDRESS:PORT] [--rate BITS] [--for D]`

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::UdpSocket;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Plan::parse(&arguments).and_then(|plan| run(&plan)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("dunnage-load {}: {why}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for. Every field has a default, so a mode names only what it needs.
#[derive(Clone)]
struct Plan {
    mode: String,
    threads: u64,
    work: Duration,
    every: Duration,
    on: Duration,
    off: Duration,
    bytes: u64,
    path: String,
    /// The far end of a link.
    to: String,
    /// Bits a second.
    rate: u64,
    length: Duration,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Plan, String> {
        let (mode, rest) = arguments.split_first().ok_or(
            "no mode: spin, tick, burst, fork, sleep, alloc, write, read, answer, ping or flood",
        )?;
        let mut given: HashMap<&str, &str> = HashMap::new();
        for pair in rest.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} has no value", pair[0]));
            };
            given.insert(name.as_str(), value.as_str());
        }
        let mut time = |name: &str, default: &str| duration(given.remove(name).unwrap_or(default));
        let mut plan = Plan {
            mode: mode.clone(),
            threads: 1,
            work: time("--work", "2ms")?,
            every: time("--every", "10ms")?,
            on: time("--on", "50ms")?,
            off: time("--off", "950ms")?,
            bytes: 64 << 20,
            path: "/tmp/dunnage-load".to_owned(),
            to: String::new(),
            rate: 10_000_000,
            length: time("--for", "10s")?,
        };
        for (name, value) in given {
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|error| format!("{name} {value}: {error}"))
            };
            match name {
                "--threads" => plan.threads = number()?,
                "--bytes" => plan.bytes = number()?,
                "--path" => value.clone_into(&mut plan.path),
                "--to" => value.clone_into(&mut plan.to),
                "--rate" => plan.rate = number()?,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(plan)
    }
}

/// `"3ms"`, `"10s"`, `"250us"`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .parse()
        .map_err(|error| format!("duration {text:?}: {error}"))?;
    match &text[digits.len()..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        unit => Err(format!(
            "duration {text:?}: unit {unit:?} is not us, ms or s"
        )),
    }
}

fn run(plan: &Plan) -> Result<String, String> {
    let before = OwnTime::before_this_cgroup();
    let details = match plan.mode.as_str() {
        "spin" => on_threads(plan, before, |plan| {
            spin_until(Instant::now() + plan.length)
        }),
        "burst" => on_threads(plan, before, burst),
        "tick" => return Ok(tick(plan, before)),
        "fork" => fork_storm(plan)?,
        "sleep" => {
            thread::sleep(plan.length);
            String::new()
        }
        "alloc" => allocate(plan)?,
        "answer" => answer(plan).map_err(|error| format!("{}: {error}", plan.to))?,
        "ping" => ping(plan).map_err(|error| format!("{}: {error}", plan.to))?,
        "flood" => flood(plan).map_err(|error| format!("{}: {error}", plan.to))?,
        "write" => write_file(plan).map_err(|error| format!("{}: {error}", plan.path))?,
        "read" => read_file(plan).map_err(|error| format!("{}: {error}", plan.path))?,
        mode => return Err(format!("unknown mode {mode:?}")),
    };
    Ok(format!(
        "{{\"mode\":\"{}\",\"pid\":{}{details}}}",
        plan.mode,
        std::process::id()
    ))
}

/// Runs `work` on as many threads as asked for, the first being this one, and sums up what they
/// ran and waited: the others from their birth, this one since `before`.
fn on_threads(plan: &Plan, before: OwnTime, work: fn(&Plan)) -> String {
    let ran = AtomicU64::new(0);
    let waited = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 1..plan.threads {
            scope.spawn(|| {
                work(plan);
                let used = OwnTime::of_this_thread();
                ran.fetch_add(used.ran, Ordering::Relaxed);
                waited.fetch_add(used.waited, Ordering::Relaxed);
            });
        }
        work(plan);
    });
    let own = OwnTime::of_this_thread().since(before);
    OwnTime {
        ran: own.ran + ran.into_inner(),
        waited: own.waited + waited.into_inner(),
    }
    .fields()
}

fn spin_until(end: Instant) {
    while Instant::now() < end {
        spin(2_000);
    }
}

/// Work that no compiler leaves out; its length is proportional to `rounds`.
fn spin(rounds: u64) {
    let mut value = 0_u64;
    for round in 0..rounds {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(round),
        );
    }
    black_box(value);
}

fn burst(plan: &Plan) {
    let end = Instant::now() + plan.length;
    while Instant::now() < end {
        spin_until(Instant::now() + plan.on);
        thread::sleep(plan.off);
    }
}

/// Request-like work: the same piece of work at a fixed pace, less than a CPU in all. A request
/// that comes too late because of the one before it is counted from when it was due.
fn tick(plan: &Plan, before: OwnTime) -> String {
    let rounds = rounds_for(plan.work);
    let alone = shortest(20, rounds);
    let started = Instant::now();
    let mut due = started;
    let mut latencies: Vec<Duration> = Vec::new();
    while started.elapsed() < plan.length {
        let now = Instant::now();
        if now < due {
            thread::sleep(due - now);
        }
        spin(rounds);
        latencies.push(due.elapsed());
        due += plan.every;
        // A closed loop: who waits for an answer does not pile up requests without end.
        if due.elapsed() > plan.every * 4 {
            due = Instant::now();
        }
    }
    let lost: Duration = latencies
        .iter()
        .map(|latency| latency.saturating_sub(alone))
        .sum();
    latencies.sort_unstable();
    let at = |hundredths: usize| latencies[(latencies.len() - 1) * hundredths / 100].as_secs_f64();
    format!(
        "{{\"mode\":\"tick\",\"pid\":{},\"requests\":{},\"alone_seconds\":{},\"p50_seconds\":{},\"p99_seconds\":{},\"lost_seconds\":{}{}}}",
        std::process::id(),
        latencies.len(),
        alone.as_secs_f64(),
        at(50),
        at(99),
        lost.as_secs_f64(),
        OwnTime::of_this_thread().since(before).fields(),
    )
}

/// How many rounds take `work` on a CPU of one's own. Short pieces, and the fastest of them
/// counts: it is the one that nobody interrupted.
fn rounds_for(work: Duration) -> u64 {
    const PIECE: u64 = 50_000;
    let fastest = shortest(40, PIECE).max(Duration::from_nanos(1));
    let rounds = u128::from(PIECE) * work.as_nanos() / fastest.as_nanos();
    u64::try_from(rounds).unwrap_or(u64::MAX).max(1)
}

fn shortest(times: u32, rounds: u64) -> Duration {
    let one = || {
        let start = Instant::now();
        spin(rounds);
        start.elapsed()
    };
    (0..times).map(|_| one()).min().unwrap_or_default()
}

/// Children without end, each of which works for a moment and exits.
fn fork_storm(plan: &Plan) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| format!("own program: {error}"))?;
    let work = format!("{}us", plan.work.as_micros());
    let end = Instant::now() + plan.length;
    let born = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(|| {
                while Instant::now() < end {
                    let child = Command::new(&own)
                        .args(["spin", "--for", &work])
                        .stdout(std::process::Stdio::null())
                        .status();
                    if child.is_ok_and(|status| status.success()) {
                        born.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // Who is refused tries again, and does not spin meanwhile.
                        failed.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(plan.every);
                    }
                }
            });
        }
    });
    Ok(format!(
        ",\"children\":{},\"failed\":{}",
        born.into_inner(),
        failed.into_inner()
    ))
}

fn allocate(plan: &Plan) -> Result<String, String> {
    let length = usize::try_from(plan.bytes).map_err(|error| error.to_string())?;
    let mut memory = vec![0_u8; length];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    black_box(&memory);
    thread::sleep(plan.length);
    Ok(format!(",\"bytes\":{length}"))
}

fn write_file(plan: &Plan) -> std::io::Result<String> {
    let mut file = std::fs::File::create(&plan.path)?;
    let block = vec![7_u8; 1 << 20];
    let (end, mut written) = (Instant::now() + plan.length, 0_u64);
    while Instant::now() < end {
        file.write_all(&block)?;
        written += 1 << 20;
        if written.is_multiple_of(plan.bytes.max(1 << 20)) {
            file.sync_data()?;
            file.seek(SeekFrom::Start(0))?;
        }
    }
    file.sync_data()?;
    Ok(format!(",\"bytes\":{written}"))
}

/// Writes a file and reads it again and again, from its beginning to its end: with less memory than
/// the file is long, every page comes from the disk each time.
fn read_file(plan: &Plan) -> std::io::Result<String> {
    let mut block = vec![7_u8; 1 << 20];
    let mut file = std::fs::File::create_new(&plan.path)?;
    for _ in 0..plan.bytes >> 20 {
        file.write_all(&block)?;
    }
    file.sync_data()?;
    let mut file = std::fs::File::open(&plan.path)?;
    let (end, mut read) = (Instant::now() + plan.length, 0_u64);
    while Instant::now() < end {
        match file.read(&mut block)? {
            0 => {
                file.seek(SeekFrom::Start(0))?;
            }
            bytes => read += bytes as u64,
        }
    }
    Ok(format!(",\"bytes\":{read}"))
}

/// Longer packets get no answer: a flood goes one way.
const LONGEST_REQUEST: usize = 512;

/// The far end of a link: sends small packets back.
fn answer(plan: &Plan) -> std::io::Result<String> {
    let socket = UdpSocket::bind(&plan.to)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (end, mut packet, mut answers) = (Instant::now() + plan.length, [0_u8; 2048], 0_u64);
    while Instant::now() < end {
        match socket.recv_from(&mut packet) {
            Ok((length, from)) if length <= LONGEST_REQUEST => {
                socket.send_to(&packet[..length], from)?;
                answers += 1;
            }
            _ => {}
        }
    }
    Ok(format!(",\"answers\":{answers}"))
}

/// A socket to the far end, as soon as there is a way to it: a container's link comes after its
/// first process.
fn socket_to(plan: &Plan) -> std::io::Result<UdpSocket> {
    let (began, patience) = (Instant::now(), Duration::from_secs(10));
    loop {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        match socket.connect(&plan.to) {
            Err(_) if began.elapsed() < patience => thread::sleep(Duration::from_millis(20)),
            connected => return connected.map(|()| socket),
        }
    }
}

/// Small requests, one after the other; the time that each answer took.
fn ping(plan: &Plan) -> std::io::Result<String> {
    let socket = socket_to(plan)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let (end, mut number, mut times) = (Instant::now() + plan.length, 0_u64, Vec::new());
    let mut answer = [0_u8; LONGEST_REQUEST];
    while Instant::now() < end {
        number += 1;
        let sent = Instant::now();
        let mut packet = [0_u8; 100];
        packet[..8].copy_from_slice(&number.to_le_bytes());
        let _ = socket.send(&packet);
        while let Ok(length) = socket.recv(&mut answer) {
            if answer[..length].starts_with(&number.to_le_bytes()) {
                times.push(sent.elapsed());
                break;
            }
        }
        thread::sleep(plan.every);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(format!(
        ",\"requests\":{number},\"lost\":{},\"p50_seconds\":{}",
        number - times.len() as u64,
        median.as_secs_f64()
    ))
}

/// Packets of `bytes` at a rate, which nobody answers. They come at random, so that a full queue
/// turns away the same part of each sender's.
fn flood(plan: &Plan) -> std::io::Result<String> {
    const HEADERS: u64 = 42;
    let socket = socket_to(plan)?;
    let packet = vec![0_u8; usize::try_from(plan.bytes.min(1400)).unwrap_or(1400)];
    let gap = (packet.len() as u64 + HEADERS) as f64 * 8.0 / plan.rate.max(1) as f64;
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let mut random = u64::from(clock.unwrap_or_default().subsec_nanos()) << 20 | 1;
    let (began, mut sent) = (Instant::now(), 0_u64);
    let mut due = Duration::ZERO;
    while due < plan.length {
        thread::sleep(due.saturating_sub(began.elapsed()));
        let _ = socket.send(&packet);
        sent += 1;
        // xorshift (Marsaglia 2003); the gaps of a Poisson process.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let uniform = ((random >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        due += Duration::from_secs_f64(-gap * uniform.ln());
    }
    Ok(format!(",\"packets\":{sent}"))
}

/// What the kernel says of one thread in `/proc/thread-self/schedstat`, in nanoseconds
/// (Documentation/scheduler/sched-stats.rst).
#[derive(Clone, Copy, Default)]
struct OwnTime {
    ran: u64,
    waited: u64,
}

impl OwnTime {
    /// Zero where `/proc` is not there: the report then says so by its own zero.
    fn of_this_thread() -> OwnTime {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
        OwnTime {
            ran: numbers.next().unwrap_or(0),
            waited: numbers.next().unwrap_or(0),
        }
    }

    /// What this thread had used when it entered its cgroup, where whoever put it there says so.
    fn before_this_cgroup() -> OwnTime {
        let number = |name: &str| {
            std::env::var(name)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        OwnTime {
            ran: number("RAN_BEFORE"),
            waited: number("WAITED_BEFORE"),
        }
    }

    fn since(self, before: OwnTime) -> OwnTime {
        OwnTime {
            ran: self.ran.saturating_sub(before.ran),
            waited: self.waited.saturating_sub(before.waited),
        }
    }

    fn fields(self) -> String {
        let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
        format!(
            ",\"ran_seconds\":{},\"run_delay_seconds\":{}",
            seconds(self.ran),
            seconds(self.waited)
        )
    }
}
