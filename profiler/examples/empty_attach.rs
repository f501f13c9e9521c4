use aya::programs::BtfTracePoint;
fn main(){ let b=std::fs::read("/tmp/empty.o").unwrap(); let btf=aya::Btf::from_sys_fs().unwrap(); let mut e=aya::EbpfLoader::new().btf(Some(&btf)).load(&b).unwrap();
 let p:&mut BtfTracePoint=e.program_mut("on_switch").unwrap().try_into().unwrap(); p.load("sched_switch",&btf).unwrap(); p.attach().unwrap(); std::thread::sleep(std::time::Duration::from_secs(30)); }
