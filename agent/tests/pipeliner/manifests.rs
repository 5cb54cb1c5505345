//! Manifests that fit their pipelines, and what is said of those that do not.

use expect_test::expect;
use miette::{GraphicalReportHandler, GraphicalTheme};
use pointsman_p4::programs;

use super::support::{leaf_spine, onos_basic, onos_fabric};
use pointsman_pipeliner::Pipeliner;

#[test]
fn a_pipeline_finds_the_manifest_that_fits_it() {
    let found = Pipeliner::find(&leaf_spine().schema).map(|pipeliner| pipeliner.name().to_owned());
    assert_eq!(found.as_deref(), Some("leaf_spine"));
    for onos in [onos_basic(), onos_fabric()].into_iter().flatten() {
        let found = Pipeliner::find(&onos.schema).map(|pipeliner| pipeliner.name().to_owned());
        assert_eq!(found.as_deref(), Some(onos.name));
    }
}

#[test]
fn every_manifest_says_which_pipeline_it_is_for() {
    for (name, manifest) in programs::MANIFESTS {
        assert!(
            manifest.contains(&format!("\npipeline: {name}\n")),
            "{name}"
        );
    }
}

#[test]
fn a_manifest_that_does_not_fit_shows_every_mistake_in_its_place() {
    let manifest = "\
format: 2
pipeline: leaf_spine
constants: { big: 0x100000000 }
ids: { next: { from: 1, to: 10 } }
filters:
  - rule: a port
    when: { type: permitted, in_prt: present, vlan_vid: any }
    entries:
      - table: ingress_port_vlans
        match: { ingress_port: $in_port }
        action: permit
  - also: nothing
    when: {}
forwards:
  - rule: a route
    when: { type: specific, ipv4_dst: present }
    entries:
      - table: routing_v4
        match: { ipv4_dest: $ipv4_dst }
        priority: $priority
        action: set_next_id_routing_v4
        args: { next_id: $nxt }
      - table: bridging
        match: { vlan_id: $vlan_vid }
        action: set_next_id_bridging
        args: { next_id: $big }
      - table: acl
        action: acl.drop
nexts:
  - rule: some ports
    when: { type: hashed }
    entries:
      - table: hashed
        match: { next_id: $next_id }
        action: output_hashed
        args: { port: $output }
";
    let problems = Pipeliner::new("pipeline.yaml", manifest, &leaf_spine().schema)
        .expect_err("it has mistakes");
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut text, &problems)
        .expect("writing to a string does not fail");
    expect![[r#"
          × 13 mistakes

        Error: 
          × format is `2`
           ╭─[pipeline.yaml:1:9]
         1 │ format: 2
           ·         ┬
           ·         ╰── write a number from 1 to 1
         2 │ pipeline: leaf_spine
           ╰────

        Error: 
          × ids has no `group`
           ╭─[pipeline.yaml:4:6]
         3 │ constants: { big: 0x100000000 }
         4 │ ids: { next: { from: 1, to: 10 } }
           ·      ┬
           ·      ╰── `group` is missing here
         5 │ filters:
           ╰────

        Error: 
          × type is `permitted`
           ╭─[pipeline.yaml:7:19]
         6 │   - rule: a port
         7 │     when: { type: permitted, in_prt: present, vlan_vid: any }
           ·                   ────┬────
           ·                       ╰── not a type here
         8 │     entries:
           ╰────
          help: did you mean `permit`? accepted: permit, deny

        Error: 
          × objectives have no `in_prt`
           ╭─[pipeline.yaml:7:30]
         6 │   - rule: a port
         7 │     when: { type: permitted, in_prt: present, vlan_vid: any }
           ·                              ───┬──
           ·                                 ╰── not known
         8 │     entries:
           ╰────
          help: did you mean `in_port`? accepted: type, next, output, push_vlan, pop_vlan, drop, punt,
                copy_to_cpu, dec_ttl, push_mpls, pop_mpls, meter, queue, count, tagged, inner_tagged,
                is_ip, has_ports, in_port, eth_dst, eth_src, eth_type, vlan_vid, vlan_pcp, inner_vlan_vid,
                inner_vlan_pcp, mpls_label, mpls_tc, mpls_bos, ipv4_src, ipv4_dst, ipv6_src, ipv6_dst,
                ipv6_flow_label, ip_proto, ip_dscp, ip_ecn, ip_ttl, ip_frag, l4_src, l4_dst, tcp_flags,
                icmp_type, icmp_code, icmpv6_type, icmpv6_code, arp_op, arp_spa, arp_tpa, arp_sha,
                arp_tha, nd_target, nd_sll, nd_tll, tunnel_id, metadata, set.eth_dst, set.eth_src,
                set.vlan_vid, set.vlan_pcp, set.inner_vlan_vid, set.inner_vlan_pcp, set.mpls_label,
                set.mpls_tc, set.ipv4_src, set.ipv4_dst, set.ipv6_src, set.ipv6_dst, set.ip_dscp,
                set.ip_ecn, set.ip_ttl, set.l4_src, set.l4_dst, set.tunnel_id, set.metadata

        Error: 
          × vlan_vid cannot be `any`
           ╭─[pipeline.yaml:7:57]
         6 │   - rule: a port
         7 │     when: { type: permitted, in_prt: present, vlan_vid: any }
           ·                                                         ─┬─
           ·                                                          ╰── not a pattern
         8 │     entries:
           ╰────
          help: accepted: present, absent, optional, accepted, exact, zero, untagged, or a value of the
                field

        Error: 
          × the pipeline has no table `ingress_port_vlans`
            ╭─[pipeline.yaml:9:16]
          8 │     entries:
          9 │       - table: ingress_port_vlans
            ·                ─────────┬────────
            ·                         ╰── no such table
         10 │         match: { ingress_port: $in_port }
            ╰────
          help: did you mean `ingress_port_vlan`? accepted: ingress_port_vlan, router_mac, bridging,
                flooding, routing_v4, routing_v6, acl, next_vlan, simple, hashed, multicast, egress_vlan

        Error: 
          × unknown field `ipv4_dest` in the key of routing_v4
            ╭─[pipeline.yaml:19:18]
         18 │       - table: routing_v4
         19 │         match: { ipv4_dest: $ipv4_dst }
            ·                  ────┬────
            ·                      ╰── not known here
         20 │         priority: $priority
            ╰────
          help: did you mean `ipv4_dst`? accepted: ipv4_dst

        Error: 
          × the entries of table routing_v4 have no priority
            ╭─[pipeline.yaml:20:19]
         19 │         match: { ipv4_dest: $ipv4_dst }
         20 │         priority: $priority
            ·                   ────┬────
            ·                       ╰── leave it out
         21 │         action: set_next_id_routing_v4
            ╰────

        Error: 
          × there is no `$nxt`
            ╭─[pipeline.yaml:22:26]
         21 │         action: set_next_id_routing_v4
         22 │         args: { next_id: $nxt }
            ·                          ──┬─
            ·                            ╰── neither a fact nor a constant
         23 │       - table: bridging
            ╰────
          help: did you mean `next`? accepted: next, output, push_vlan, pop_vlan, drop, punt, copy_to_cpu,
                dec_ttl, push_mpls, pop_mpls, meter, queue, count, tagged, inner_tagged, is_ip, has_ports,
                in_port, eth_dst, eth_src, eth_type, vlan_vid, vlan_pcp, inner_vlan_vid, inner_vlan_pcp,
                mpls_label, mpls_tc, mpls_bos, ipv4_src, ipv4_dst, ipv6_src, ipv6_dst, ipv6_flow_label,
                ip_proto, ip_dscp, ip_ecn, ip_ttl, ip_frag, l4_src, l4_dst, tcp_flags, icmp_type,
                icmp_code, icmpv6_type, icmpv6_code, arp_op, arp_spa, arp_tpa, arp_sha, arp_tha,
                nd_target, nd_sll, nd_tll, tunnel_id, metadata, set.eth_dst, set.eth_src, set.vlan_vid,
                set.vlan_pcp, set.inner_vlan_vid, set.inner_vlan_pcp, set.mpls_label, set.mpls_tc,
                set.ipv4_src, set.ipv4_dst, set.ipv6_src, set.ipv6_dst, set.ip_dscp, set.ip_ecn,
                set.ip_ttl, set.l4_src, set.l4_dst, set.tunnel_id, set.metadata, big, next_id, group_id,
                priority

        Error: 
          × eth_dst of table bridging is exact and must have a value
            ╭─[pipeline.yaml:23:9]
         22 │         args: { next_id: $nxt }
         23 │       - table: bridging
            ·         ┬
            ·         ╰── in this entry
         24 │         match: { vlan_id: $vlan_vid }
            ╰────

        Error: 
          × 0x100000000 does not fit into 16 bits
            ╭─[pipeline.yaml:26:26]
         25 │         action: set_next_id_bridging
         26 │         args: { next_id: $big }
            ·                          ──┬─
            ·                            ╰── too large
         27 │       - table: acl
            ╰────

        Error: 
          × the entries of table acl need a priority
            ╭─[pipeline.yaml:27:9]
         26 │         args: { next_id: $big }
         27 │       - table: acl
            ·         ┬
            ·         ╰── add `priority: $priority` or a number
         28 │         action: acl.drop
            ╰────

        Error: 
          × the actions of table hashed are in an action profile
            ╭─[pipeline.yaml:33:9]
         32 │     entries:
         33 │       - table: hashed
            ·         ┬
            ·         ╰── use `select`
         34 │         match: { next_id: $next_id }
            ╰────
    "#]].assert_eq(&text);
}

#[test]
fn a_manifest_says_of_every_word_what_becomes_of_it() {
    let program = programs::embedded("leaf_spine").expect("it is embedded");
    let manifest = program
        .manifest
        .replace("[ tcp_flags, icmp_code,", "[ tcp_flgs, ip_proto,");
    let schema = leaf_spine().schema;
    let problems = Pipeliner::new("pipeline.yaml", &manifest, &schema).expect_err("it lacks two");
    let messages: Vec<_> = problems
        .iter()
        .map(|problem| problem.message().to_owned())
        .collect();
    expect![[r#"
        nothing is said of tcp_flags, icmp_code
        objectives have no `tcp_flgs`
        ip_proto is unsupported, and the rule `access control of routed packets whose TTL has run out` takes it"#]].assert_eq(&messages.join("\n"));
    // An example need not be complete.
    let (head, rest) = program
        .manifest
        .split_once("unsupported:")
        .expect("it is there");
    let (_, rules) = rest.split_once("filters:").expect("it is behind");
    let small = "unsupported: [ { words: others, reason: it is small } ]";
    let small = format!("{head}{small}\nfilters:{rules}");
    Pipeliner::new("pipeline.yaml", &small, &schema).expect("all is said of all words");
}
