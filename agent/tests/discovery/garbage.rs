//! Garbage on the wire: mutated LLDP, ARP, neighbour discovery and DHCP, random frames, jumbo frames and runts, into an
//! agent on XDP and one on the interpreter. For longer than a few seconds:
//!
//! ```text
//! POINTSMAN_GARBAGE_SECONDS=300 cargo test -p pointsman-agent --test discovery garbage
//! ```

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::LinkState;

use crate::net::{Net, run};
use crate::{is_root, link, snapshot};

/// What an agent may grow by: hosts up to their limit, and the changes that are kept for watchers.
const MAX_GROWTH_KIB: u64 = 96 * 1024;

const GARBAGE: &str = r#"
import os, random, socket, struct, sys, time
interface, seconds = sys.argv[1], float(sys.argv[2])
random.seed(interface)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((interface, 0))
def mac(): return bytes([2]) + os.urandom(5)
def ether(kind, payload, destination=b'\xff' * 6):
    tag = random.choice([b'', b'', b'\x81\x00' + os.urandom(2), b'\x88\xa8' + os.urandom(2) + b'\x81\x00' + os.urandom(2)])
    return destination + mac() + tag + struct.pack('!H', kind) + payload
def udp(source, destination, payload):
    return struct.pack('!HHHH', source, destination, len(payload) + 8, 0) + payload
def v4(payload):
    return struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0) + os.urandom(8) + payload
def v6(next, payload):
    return struct.pack('!IHBB', 6 << 28, len(payload), next, 255) + os.urandom(32) + payload
def tlv(kind, value): return struct.pack('!H', kind << 9 | len(value)) + value
def lldp():
    claim = b'\xfaPM\x01\x01' + os.urandom(36) + bytes([random.randrange(10)]) + os.urandom(random.randrange(300))
    data = tlv(1, b'\x07' + os.urandom(5)) + tlv(2, b'\x05' + os.urandom(5)) + tlv(3, os.urandom(2)) + tlv(127, claim) + b'\0\0'
    return bytes.fromhex('0180c200000e') + mac() + b'\x88\xcc' + data
def arp():
    sender = mac()
    body = struct.pack('!HHBBH', 1, 0x0800, 6, 4, random.choice([1, 2])) + sender + os.urandom(4) + bytes(6) + os.urandom(4)
    return b'\xff' * 6 + sender + b'\x08\x06' + body
def nd():
    return ether(0x86dd, v6(58, bytes([random.randrange(133, 138), 0]) + os.urandom(22) + bytes([1, random.randrange(3)]) + os.urandom(6)))
def dhcp():
    fixed = bytes([random.choice([1, 2]), 1, 6, 0]) + os.urandom(232) + b'\x63\x82\x53\x63'
    options = bytes([53, 1, random.randrange(8)]) + os.urandom(random.randrange(60))
    if random.random() < 0.5: return ether(0x0800, v4(udp(68, 67, fixed + options)))
    return ether(0x86dd, v6(17, udp(546, 547, os.urandom(random.randrange(120)))))
def noise(): return os.urandom(random.randrange(14, 1500))
def jumbo(): return random.choice([lldp, arp, nd, dhcp])() + os.urandom(random.randrange(1500, 3400))
def runt(): return random.choice([lldp, arp, nd, dhcp])()[:random.randrange(14, 30)]
makers = [lldp, arp, arp, nd, dhcp, noise, jumbo, runt]
end, sent = time.time() + seconds, 0
while time.time() < end:
    for _ in range(100):
        frame = bytearray(random.choice(makers)())
        if random.random() < 0.6:
            for _ in range(random.randrange(4)):
                frame[random.randrange(len(frame))] = random.randrange(256)
        try:
            s.send(frame)
            sent += 1
        except OSError:
            pass
print(sent)
"#;

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.expect("it says how much it uses")
}

// The connections have to answer the agents' keepalives while this thread waits for the senders.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_neither_stops_nor_fills_nor_fools_anybody() {
    if !is_root() {
        return;
    }
    let seconds = std::env::var("POINTSMAN_GARBAGE_SECONDS");
    let seconds: u64 = seconds.map_or(5, |text| text.parse().expect("a number of seconds"));
    let mut net = Net::new();
    let (here, there) = (net.switches.clone(), net.server.clone());
    for (namespace, interface) in [
        (&here, "p1"),
        (&here, "q1"),
        (&here, "p2"),
        (&there, "eth0"),
    ] {
        run(&format!("ip -n {namespace} link set {interface} mtu 3498"));
    }
    run(&format!(
        "ip -n {here} link add p3 type veth peer name eth1 netns {there}"
    ));
    run(&format!("ip -n {here} link set p3 up"));
    run(&format!("ip -n {there} link set eth1 up"));
    let (first, mut leaf1) = net.start_agent(1, "[1=p1, 2=p2]", "").await;
    let (second, mut leaf2) = net
        .start_agent(2, "[7=q1, 8=p3]", "target: interpreter\n")
        .await;
    let linked = link(&mut leaf1, 1, LinkState::TwoWay).await;
    linked.unwrap_or_else(|| panic!("no link:\n{}\n{}", net.log(1), net.log(2)));
    let before = [first, second].map(|agent| resident_kib(net.running[agent].id()));

    let script = net.file("garbage.py", GARBAGE);
    let senders = ["eth0", "eth1"].map(|interface| {
        let mut python = net.in_namespace(&there, "python3");
        python.args([&script, interface, &seconds.to_string()]);
        python
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3 runs")
    });
    for sender in senders {
        let output = sender.wait_with_output().expect("it ends");
        let sent = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        println!("{sent} frames of garbage");
        assert!(sent.parse::<u64>().is_ok_and(|sent| sent > 100), "{sent}");
    }

    let after = [first, second].map(|agent| resident_kib(net.running[agent].id()));
    for ((agent, before), after) in [1, 2].into_iter().zip(before).zip(after) {
        println!("agent {agent}: {before} KiB before, {after} KiB after");
        assert!(after < before + MAX_GROWTH_KIB, "{before} KiB, {after} KiB");
    }
    for (device_id, client, port) in [(1, &mut leaf1, 1), (2, &mut leaf2, 7)] {
        let linked = link(client, port, LinkState::TwoWay).await;
        assert!(
            linked.is_some(),
            "the link is lost:\n{}",
            net.log(device_id)
        );
        let status = client.get_status(pb::GetStatusRequest {}).await;
        let losses = status.expect("it answers").into_inner().losses;
        println!("{losses:?}");
        for reason in ["lldp-malformed", "hosts-malformed", "hosts-spoofed"] {
            assert!(
                losses.iter().any(|loss| loss.reason == reason),
                "{reason}: {losses:?}"
            );
        }
        assert!(snapshot(client).await.events.len() < 40_000);
    }
}
