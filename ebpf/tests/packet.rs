//! Frames that are read from a packet socket are those on the wire. Runs itself again in a network namespace of its own;
//! needs root, see [`support::privileged`].
#![allow(clippy::unwrap_used)]

mod support;

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use pnet_datalink::{Channel, Config};
use pointsman_ebpf::sys::{PacketReceiver, interface_index};
use support::privileged;

/// Set in the namespace.
const INSIDE: &str = "POINTSMAN_TEST_INSIDE";

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status();
    assert!(status.unwrap().success(), "{command}");
}

/// A namespace that goes with it.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.0));
    }
}

#[test]
fn a_frame_is_read_with_its_tags_and_what_leaves_is_not_read() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if !privileged() {
        return;
    }
    let namespace = Namespace(format!("packet-{}", std::process::id()));
    run(&format!("ip netns add {}", namespace.0));
    let test = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_frame_is_read_with_its_tags_and_what_leaves_is_not_read",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success(), "{output}");
}

fn inside() {
    run("ip link add near type veth peer name far");
    for end in ["near", "far"] {
        // Nobody but the test sends: without an address it finds no neighbours.
        run(&format!("ip link set {end} addrgenmode none up"));
    }
    let sender = |name: &str| {
        let interfaces = pnet_datalink::interfaces();
        let interface = interfaces.iter().find(|i| i.name == name).unwrap();
        match pnet_datalink::channel(interface, Config::default()).unwrap() {
            Channel::Ethernet(sender, _) => sender,
            _ => unreachable!("it is Ethernet"),
        }
    };
    let (mut near, mut far) = (sender("near"), sender("far"));
    let index = interface_index("near").unwrap();
    let mut receiver = PacketReceiver::open(index, Duration::from_millis(500)).unwrap();
    let frame = |tags: &[[u8; 4]]| {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(tags.as_flattened());
        frame.extend([0x88, 0xb5]);
        frame.extend(0..60);
        frame
    };
    let (vlan, service) = ([0x81, 0, 0x60, 100], [0x88, 0xa8, 0, 7]);
    for tags in [
        &[][..],
        &[vlan],
        &[service],
        &[service, vlan],
        &[vlan, vlan],
    ] {
        let sent = frame(tags);
        near.send_to(&frame(&[vlan]), None).unwrap().unwrap();
        far.send_to(&sent, None).unwrap().unwrap();
        assert_eq!(receiver.receive().unwrap(), sent, "{tags:x?}");
    }
    let error = receiver.receive().expect_err("there are no more");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
