use dunnage_model::units::Nanos;
use dunnage_profiler::sources::lifecycle::*;
use dunnage_profiler::sources::sched::*;
fn main() {
    let t = std::time::Instant::now();
    let mut p = Probe::load(&SchedOptions {
        cpus: 2,
        v1_cpu: true,
        v2_absent: false,
        budget: Budget(
            std::env::args()
                .nth(2)
                .map(|s| s.parse().unwrap())
                .unwrap_or(1.0),
        ),
    })
    .unwrap();
    let mut l = Lifecycle::load().unwrap();
    eprintln!("loaded in {:?}", t.elapsed());
    let mut r = Registry::new(None);
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    for _ in 0..2 {
        std::thread::sleep(std::time::Duration::from_secs(n));
        for e in l.drain() {
            println!("{e:?}");
            r.apply(&e, Nanos(0));
        }
        let t = std::time::Instant::now();
        let w = p.window(&r);
        println!(
            "window in {:?} fidelity {:?} events {} cost {:?}",
            t.elapsed(),
            w.fidelity,
            w.events,
            w.event_cost
        );
        let mut o = w.owners.clone();
        o.sort_by_key(|o| {
            std::cmp::Reverse(o.cpus.iter().map(|c| c.run.0 + c.wait.0).sum::<u64>())
        });
        for o in o.iter().take(12) {
            let run: u64 = o.cpus.iter().map(|c| c.run.0).sum();
            let wait: u64 = o.cpus.iter().map(|c| c.wait.0).sum();
            let blame: u64 = w
                .pairs
                .iter()
                .filter(|p| p.victim == o.owner)
                .map(|p| p.time.0)
                .sum();
            println!(
                "{:?} {:?} {:?} run {:.3} wait {:.3} thr {:.3} unx {:.4} app {:.4} n {} blame {:.4}",
                o.owner,
                o.path,
                o.command,
                run as f64 / 1e9,
                wait as f64 / 1e9,
                o.throttled.seconds(),
                o.unexplained.seconds(),
                o.apportioned.seconds(),
                o.waits,
                blame as f64 / 1e9
            );
            let mut ps: Vec<_> = w.pairs.iter().filter(|p| p.victim == o.owner).collect();
            ps.sort_by_key(|p| std::cmp::Reverse(p.time));
            for p in ps.iter().take(4) {
                println!("      {:?} {:.4}", p.culprit, p.time.seconds());
            }
        }
    }
}
