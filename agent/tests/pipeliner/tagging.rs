//! VLAN tags, labels and copies with packets, on both pipelines.

use std::fmt::Write;

use expect_test::expect;
use pointsman_p4::interpreter::Interpreter;

use super::bench::{UDP, ethernet, ipv4, outputs, running};
use super::support::{Pipeline, leaf_spine, objectives, onos_fabric, ports};
use pointsman_pipeliner::Book;

/// Ports 1 and 2 are of VLANs 10 and 20, port 3 carries both.
const OBJECTIVES: &str = "
    - filter: access10
      key: { in_port: 1 }
      conditions: { vlan_vid: untagged, eth_dst: 00:00:00:00:00:fe }
      treatment: { push_vlan: 10 }
    - filter: access20
      key: { in_port: 2 }
      conditions: { vlan_vid: untagged }
      treatment: { push_vlan: 20 }
    - filter: trunk10
      key: { in_port: 3 }
      conditions: { vlan_vid: 10 }
    - filter: trunk20
      key: { in_port: 3 }
      conditions: { vlan_vid: 20 }
    - next: flood10
      type: broadcast
      meta: { vlan_vid: 10 }
      buckets: [ { output: 1 }, { output: 3 }, { pop_vlan: true, output: 4 } ]
    - next: flood20
      type: broadcast
      meta: { vlan_vid: 20 }
      buckets: [ { output: 2 }, { output: 3 } ]
    - forward: flood10
      flag: specific
      selector: { vlan_vid: 10 }
      next: flood10
    - forward: flood20
      flag: specific
      selector: { vlan_vid: 20 }
      next: flood20
    - next: tagged
      type: simple
      buckets:
        - { set: { eth_src: 00:00:00:00:00:fe, eth_dst: 00:00:00:00:00:09 }, push_vlan: 7, output: 9 }
    - forward: tagged
      flag: specific
      selector: { ipv4_dst: 10.9.0.0/16 }
      next: tagged
    - forward: untagged
      flag: specific
      selector: { ipv4_dst: 10.8.0.0/16 }
      treatment: { set: { eth_src: 00:00:00:00:00:fe, eth_dst: 00:00:00:00:00:08 }, output: 8 }
    - forward: into20
      flag: specific
      selector: { ipv4_dst: 10.20.0.0/16 }
      next: into20
    - next: into20
      type: simple
      meta: { vlan_vid: 20 }
      buckets: [ { set: { eth_src: 00:00:00:00:00:fe, eth_dst: 00:00:00:00:00:20 }, output: 3 } ]
    - forward: arp
      flag: versatile
      selector: { eth_type: arp }
      treatment: { copy_to_cpu: true }
    - forward: elsewhere
      flag: versatile
      selector: { eth_type: ipv4, ip_proto: udp, l4_dst: 4000-4003 }
      next: tagged";

fn switch(pipeline: &Pipeline) -> Interpreter {
    let mut book = Book::default();
    let mut all = objectives(OBJECTIVES);
    // Nexts first; otherwise as they stand.
    all.sort_by_key(|objective| objective.kind() != pointsman_model::Kind::Next);
    for objective in &all {
        let staged = pipeline.pipeliner.put(&book, &ports(), objective);
        book.commit(staged.unwrap_or_else(|refusal| panic!("{}: {refusal}", pipeline.name)));
    }
    running(pipeline, &book)
}

fn tagged(vlan: u16, inner_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut tag = vlan.to_be_bytes().to_vec();
    tag.extend(inner_type.to_be_bytes());
    tag.extend(payload);
    tag
}

fn behaviour(pipeline: &Pipeline) -> String {
    const ALL: u64 = 0xffff_ffff_ffff;
    let mut switch = switch(pipeline);
    let to = |network| ipv4([10, 0, 0, 1], [10, network, 0, 1], UDP, 9);
    let arp = [0; 28];
    let cases = [
        (
            "flood from an access port",
            1,
            ethernet(ALL, 1, 0x0800, &to(0)),
        ),
        (
            "flood from a trunk",
            3,
            ethernet(ALL, 3, 0x8100, &tagged(20, 0x0800, &to(0))),
        ),
        (
            "an unknown VLAN of a trunk",
            3,
            ethernet(ALL, 3, 0x8100, &tagged(30, 0x0800, &to(0))),
        ),
        (
            "an untagged frame on a trunk",
            3,
            ethernet(ALL, 3, 0x0800, &to(0)),
        ),
        (
            "a tagged frame on an access port",
            1,
            ethernet(ALL, 1, 0x8100, &tagged(10, 0x0800, &to(0))),
        ),
        ("routed, tagged", 1, ethernet(0xfe, 1, 0x0800, &to(9))),
        ("routed, untagged", 1, ethernet(0xfe, 1, 0x0800, &to(8))),
        ("routed into a VLAN", 1, ethernet(0xfe, 1, 0x0800, &to(20))),
        ("copied", 2, ethernet(ALL, 2, 0x0806, &arp)),
    ];
    let mut text = String::new();
    for (what, port, frame) in cases {
        let outputs = outputs(&mut switch, port, frame);
        writeln!(text, "{what}: {outputs}").expect("writing to a string does not fail");
    }
    text
}

#[test]
fn tags_are_those_of_the_ports_and_nexts() {
    let expected = expect![[r#"
        flood from an access port: swp3: ffffffffffff < 000000000001 0x8100 vlan 10, swp4: ffffffffffff < 000000000001 0x0800 ttl 64
        flood from a trunk: swp2: ffffffffffff < 000000000003 0x0800 ttl 64
        an unknown VLAN of a trunk: nothing
        an untagged frame on a trunk: nothing
        a tagged frame on an access port: nothing
        routed, tagged: swp9: 000000000009 < 0000000000fe 0x8100 vlan 7
        routed, untagged: swp8: 000000000008 < 0000000000fe 0x0800 ttl 63
        routed into a VLAN: swp3: 000000000020 < 0000000000fe 0x8100 vlan 20
        copied: swp3: ffffffffffff < 000000000002 0x8100 vlan 20, to the controller
    "#]];
    expected.assert_eq(&behaviour(&leaf_spine()));
    if let Some(fabric) = onos_fabric() {
        expected.assert_eq(&behaviour(&fabric));
    }
}

/// Not on fabric: it chooses the VLAN of a next before its access control chooses the next.
#[test]
fn access_control_sends_frames_into_the_vlan_of_its_next() {
    let mut switch = switch(&leaf_spine());
    let packet = ipv4([10, 0, 0, 1], [10, 8, 0, 1], UDP, 4002);
    assert_eq!(
        outputs(&mut switch, 1, ethernet(0xfe, 1, 0x0800, &packet)),
        "swp9: 000000000009 < 0000000000fe 0x8100 vlan 7"
    );
}
