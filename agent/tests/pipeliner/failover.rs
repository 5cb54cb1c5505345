//! Failover nexts with packets: all take the first bucket whose port is up, on every pipeline with a selector.

use std::collections::BTreeSet;

use expect_test::expect;
use pointsman_p4::dataplane::DataPlane;

use super::bench::{UDP, ethernet, ipv4, outputs, running};
use super::support::{Pipeline, leaf_spine, objectives, onos_basic, onos_fabric, ports, text_of};
use pointsman_pipeliner::Book;

const H1: u64 = 0x0200_0000_0001;
const ELSEWHERE: u64 = 0x0200_0000_0009;

/// Frames to a MAC address go to one of three ports. All pipelines can do that, if they are told in their own words
/// which frames these are.
fn book(pipeline: &Pipeline) -> Book {
    let forward = match pipeline.name {
        "onos_basic" => "selector: { eth_dst: 02:00:00:00:00:09 }",
        _ => "selector: { vlan_vid: 10, eth_dst: 02:00:00:00:00:09 }",
    };
    let of_vlans = "
  - filter: port1
    key: { in_port: 1 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
  - next: vlan10
    type: broadcast
    meta: { vlan_vid: 10 }
    buckets: [ { pop_vlan: true, output: 2 }, { pop_vlan: true, output: 3 }, { pop_vlan: true, output: 4 } ]
";
    let items = format!(
        "{}
  - next: uplinks
    type: failover
    buckets: [ {{ output: 4 }}, {{ output: 2 }}, {{ output: 3 }} ]
  - forward: away
    flag: specific
    {forward}
    next: uplinks
",
        if pipeline.name == "onos_basic" {
            ""
        } else {
            of_vlans
        }
    );
    let mut book = Book::default();
    for objective in objectives(&items) {
        let staged = pipeline.pipeliner.put(&book, &ports(), &objective);
        let staged = staged.unwrap_or_else(|refusal| panic!("{}: {refusal}", pipeline.name));
        book.commit(staged);
    }
    book
}

/// Where frames of many flows go while these ports are down.
fn behaviour(pipeline: &Pipeline) -> String {
    let mut switch = running(pipeline, &book(pipeline));
    let mut text = String::new();
    for down in [&[][..], &[2], &[4], &[4, 2], &[4, 2, 3], &[3], &[]] {
        for port in 2..=4 {
            switch.set_port_up(port, !down.contains(&port));
        }
        let flows = (0..32).map(|flow| {
            let packet = ipv4([10, 0, 0, 1], [10, 0, 0, 9], UDP, 1000 + flow);
            outputs(&mut switch, 1, ethernet(ELSEWHERE, H1, 0x0800, &packet))
        });
        let seen: BTreeSet<String> = flows.collect();
        text += &format!(
            "down {down:?}: {}\n",
            seen.into_iter().collect::<Vec<_>>().join("; ")
        );
    }
    text
}

#[test]
fn another_preference_or_type_replaces_the_group_in_one_modification() {
    let pipeline = leaf_spine();
    let versions = [
        "{ next: a, type: failover, buckets: [ { output: 1 }, { output: 2 } ] }",
        "{ next: a, type: failover, buckets: [ { output: 2 }, { output: 1 } ] }",
        "{ next: a, type: hashed, buckets: [ { output: 2 }, { output: 1 } ] }",
    ];
    let mut book = Book::default();
    let mut text = String::new();
    for version in versions {
        let objective = objectives(&format!("  - {version}")).remove(0);
        let staged = pipeline.pipeliner.put(&book, &ports(), &objective);
        let staged = staged.expect("the pipeline can do it");
        text += &text_of(&pipeline.schema, &staged.updates());
        book.commit(staged);
    }
    expect![[r#"
        insert LeafSpineIngress.next.hashed: next_id=0x1 -> first live of output_hashed(port=0x1) | output_hashed(port=0x2)
        modify LeafSpineIngress.next.hashed: next_id=0x1 -> first live of output_hashed(port=0x2) | output_hashed(port=0x1)
        modify LeafSpineIngress.next.hashed: next_id=0x1 -> one of output_hashed(port=0x2)*1 | output_hashed(port=0x1)*1
    "#]].assert_eq(&text);
}

#[test]
fn frames_take_the_first_bucket_whose_port_is_up_and_return_to_it() {
    // With none up they go where nobody is, as those of a group that is chosen from by hash.
    let expected = expect![[r#"
        down []: swp4: 020000000009 < 020000000001 0x0800 ttl 64
        down [2]: swp4: 020000000009 < 020000000001 0x0800 ttl 64
        down [4]: swp2: 020000000009 < 020000000001 0x0800 ttl 64
        down [4, 2]: swp3: 020000000009 < 020000000001 0x0800 ttl 64
        down [4, 2, 3]: swp4: 020000000009 < 020000000001 0x0800 ttl 64
        down [3]: swp4: 020000000009 < 020000000001 0x0800 ttl 64
        down []: swp4: 020000000009 < 020000000001 0x0800 ttl 64
    "#]];
    for pipeline in [Some(leaf_spine()), onos_fabric(), onos_basic()]
        .into_iter()
        .flatten()
    {
        expected.assert_eq(&behaviour(&pipeline));
    }
}
