//! Who holds what, from the lists and checkpoints of kubelets.

use super::*;
use proptest::prelude::*;

/// Composed in the form of `checkpoint.go` of Kubernetes 1.20 and later: ids by NUMA node.
const BY_NODE: &str = r#"{"Data":{"PodDeviceEntries":[
  {"PodUID":"1e6ab2cc-0001","ContainerName":"train","ResourceName":"nvidia.com/gpu",
   "DeviceIDs":{"0":["GPU-a","GPU-b"],"-1":["GPU-c"]},"AllocResp":"CgA="},
  {"PodUID":"1e6ab2cc-0002","ContainerName":"serve","ResourceName":"acme.com/gpu",
   "DeviceIDs":{"-1":["GPU-a::1"]},"AllocResp":"CgA="}],
  "RegisteredDevices":{"nvidia.com/gpu":["GPU-a","GPU-b","GPU-c"]}},"Checksum":2530956716}"#;

/// Captured from a kubelet 1.36.3 with four static pods, two of them on one shared device.
const CAPTURED: &str = include_str!("fixtures/checkpoint-1.36.3.json");

fn holder(pod: &str) -> Holder {
    Holder {
        pod: Some(("ml".to_owned(), pod.to_owned())),
        pod_uid: None,
        container: "train".to_owned(),
    }
}

fn held(pods: &[(&str, &str)]) -> Holders {
    let mut holders = Holders::default();
    for (id, pod) in pods {
        holders.add("nvidia.com/gpu", (*id).to_owned(), &holder(pod));
    }
    holders
}

#[test]
fn a_checkpoint_tells_containers_by_the_uid_of_their_pod() {
    let holders = checkpoint::parse(BY_NODE.as_bytes()).unwrap();
    for id in ["GPU-a", "GPU-b", "GPU-c"] {
        let holder = &holders.of("nvidia.com/gpu", id)[0];
        assert_eq!(holder.container, "train");
        assert_eq!(holder.pod_uid.as_deref(), Some("1e6ab2cc-0001"));
    }
    assert!(holders.of("nvidia.com/gpu", "GPU-d").is_empty());
}

#[test]
fn a_checkpoint_of_a_real_kubelet_is_read() {
    let holders = checkpoint::parse(CAPTURED.as_bytes()).unwrap();
    let uid = |resource: &str, id: &str| {
        let [holder] = holders.of(resource, id) else {
            panic!("{id} has one holder")
        };
        assert_eq!(holder.container, "probe");
        holder.pod_uid.clone().unwrap()
    };
    assert_eq!(
        uid("dunnage.test/gpu", "0000:03:00.0"),
        "e9792a04d5e3358ff5dcca5641905bc1"
    );
    let (first, second) = ("0000:00:0b.0::0", "0000:00:0b.0::1");
    assert_ne!(
        uid("dunnage.test/npu", first),
        uid("dunnage.test/npu", second)
    );
}

#[test]
fn checkpoints_of_all_ages_and_empty_ones_are_read() {
    let old = r#"{"Data":{"PodDeviceEntries":[{"PodUID":"u","ContainerName":"c",
        "ResourceName":"a.com/x","DeviceIDs":["one"],"AllocResp":""}]},"Checksum":1}"#;
    let holders = checkpoint::parse(old.as_bytes()).unwrap();
    assert_eq!(holders.of("a.com/x", "one").len(), 1);
    for empty in [
        r#"{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":1}"#,
        r#"{"Data":{"RegisteredDevices":{}},"Checksum":1,"BootID":"x"}"#,
    ] {
        assert_eq!(
            checkpoint::parse(empty.as_bytes()).unwrap(),
            Holders::default()
        );
    }
    for broken in [
        "",
        "{",
        "[]",
        r#"{"Data":{"PodDeviceEntries":[{"PodUID":1}]}}"#,
    ] {
        assert!(checkpoint::parse(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn the_service_names_pods() {
    let devices = |ids: &[&str]| ContainerDevices {
        resource_name: "nvidia.com/gpu".to_owned(),
        device_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let answer = ListPodResourcesResponse {
        pod_resources: vec![PodResources {
            name: "trainer-0".to_owned(),
            namespace: "ml".to_owned(),
            containers: vec![ContainerResources {
                name: "train".to_owned(),
                devices: vec![devices(&["GPU-a"]), devices(&["GPU-b"])],
            }],
        }],
    };
    let holders = pod_resources::holders(answer);
    let told = holders.of("nvidia.com/gpu", "GPU-b")[0].told();
    assert_eq!(told, "container train of pod ml/trainer-0");
}

#[test]
fn a_device_is_found_under_every_name_of_its_vendor_and_no_other() {
    let holders = checkpoint::parse(BY_NODE.as_bytes()).unwrap();
    let found = |domain, id| holders.in_domain(domain, id).count();
    assert_eq!(found("nvidia.com", "GPU-a"), 1);
    assert_eq!(found("acme.com", "GPU-a"), 0);
    assert_eq!(found("acme.com", "GPU-a::1"), 1);
    assert_eq!(found("nvidia.co", "GPU-a"), 0);
}

#[test]
fn who_had_it_before_is_kept_until_somebody_else_had_it() {
    let mut record = Record::default();
    let listed = || [("nvidia.com/gpu", "a")].into_iter();
    let told = |record: &Record| record.told("nvidia.com/gpu", "a");
    assert_eq!(record.held("nvidia.com/gpu"), None);
    record.learn(&held(&[]), listed());
    assert_eq!(told(&record), None);
    record.learn(&held(&[("a", "one"), ("b", "x")]), listed());
    assert_eq!(
        told(&record).unwrap(),
        "the kubelet gave it to container train of pod ml/one"
    );
    assert_eq!(record.held("nvidia.com/gpu"), Some(1));
    record.learn(&held(&[]), listed());
    assert_eq!(
        told(&record).unwrap(),
        "the kubelet gave it last to container train of pod ml/one"
    );
    record.learn(&held(&[("a", "two")]), listed());
    record.learn(&held(&[("a", "two")]), listed());
    assert_eq!(
        told(&record).unwrap(),
        "the kubelet gave it to container train of pod ml/two, \
         and before to container train of pod ml/one"
    );
    // A device that is not listed any more is forgotten.
    record.learn(&held(&[("a", "two")]), std::iter::empty());
    assert_eq!(told(&record), None);
    assert_eq!(record.held("nvidia.com/gpu"), Some(0));
}

#[test]
fn names_of_pods_act_on_no_terminal() {
    let mut hostile = holder("x\u{1b}[2J");
    hostile.container = "c\n".to_owned();
    assert!(!hostile.told().contains(['\u{1b}', '\n']));
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = checkpoint::parse(&bytes);
    }

    #[test]
    fn no_cut_or_change_of_a_checkpoint_breaks_the_reader(
        cut in 0..BY_NODE.len(),
        change in 0..BY_NODE.len(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BY_NODE.as_bytes().to_vec();
        bytes[change] = byte;
        let _ = checkpoint::parse(&bytes);
        let _ = checkpoint::parse(&BY_NODE.as_bytes()[..cut]);
    }
}
