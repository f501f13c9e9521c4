//! suite
use dunnage_tests::engine::*;
#[test]
fn smoke() -> anyhow::Result<()> {
    let runc = runc()?;
    let engines: [&dyn Engine; 4] = [docker()?, podman()?, containerd()?, &runc];
    for engine in engines {
        let mut spec = Spec::new("dn-smoke", "tick --for 2s");
        if engine.word() != "containerd" { spec = spec.on("0"); spec.quota=Some(0.5); spec.shares=Some(512); }
        spec.labels.push(("a".into(),"b c".into()));
        let c = Container::start(engine, &spec)?;
        println!("{} {} {} {:?}", engine.word(), c.id, c.pid, std::fs::read_to_string(format!("/proc/{}/cgroup", c.pid))?.lines().last());
        if engine.word() != "containerd" { println!("{}", c.report(std::time::Duration::from_secs(5))?); }
    }
    Ok(())
}
