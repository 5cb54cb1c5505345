// The tables that SD-Fabric's pipeline for Tofino (fabric-tna, profile `fabric`) shows to P4Runtime, with its names, keys,
// parameters and widths, and no behaviour: what its manifest is held to. Nothing runs it.
//
// Names and places make the ids, so these are those of the pipeline itself. What objectives have no use for (slices,
// statistics, INT) is left out.
#include <core.p4>
#include <v1model.p4>

// Ports of P4Runtime; the switch translates them to its own.
@p4runtime_translation("tna/PortId_t", 32)
type bit<9> port_t;
typedef bit<48> mac_t;
typedef bit<12> vlan_t;
typedef bit<20> label_t;
typedef bit<32> next_t;
typedef bit<2> port_type_t;

struct headers_t {}

struct metadata_t {
    port_t      ig_port;
    port_t      eg_port;
    port_type_t ig_port_type;
    bit<1>      vlan_is_valid;
    vlan_t      vlan_id;
    mac_t       eth_dst;
    mac_t       eth_src;
    bit<16>     eth_type;
    bit<16>     ip_eth_type;
    label_t     mpls_label;
    bit<32>     ipv4_src;
    bit<32>     ipv4_dst;
    bit<128>    ipv6_dst;
    bit<8>      ip_proto;
    bit<8>      icmp_type;
    bit<8>      icmp_code;
    bit<16>     l4_sport;
    bit<16>     l4_dport;
    next_t      next_id;
    bit<16>     ecmp_hash;
}

@name(".nop")
action nop() {}

parser FabricParser(packet_in packet, out headers_t hdr, inout metadata_t md, inout standard_metadata_t std) {
    state start { transition accept; }
}

control FabricVerifyChecksum(inout headers_t hdr, inout metadata_t md) {
    apply {}
}

control Filtering(inout metadata_t md) {
    action deny() {}
    action permit(port_type_t port_type) {}
    action permit_with_internal_vlan(vlan_t vlan_id, port_type_t port_type) {}
    table ingress_port_vlan {
        key = {
            md.ig_port: exact @name("ig_port");
            md.vlan_is_valid: exact @name("vlan_is_valid");
            md.vlan_id: ternary @name("vlan_id");
        }
        actions = { deny; permit; permit_with_internal_vlan; }
        const default_action = deny();
        size = 1024;
    }

    action set_forwarding_type(bit<3> fwd_type) {}
    table fwd_classifier {
        key = {
            md.ig_port: exact @name("ig_port");
            md.eth_dst: ternary @name("eth_dst");
            md.eth_type: ternary @name("eth_type");
            md.ip_eth_type: exact @name("ip_eth_type");
        }
        actions = { set_forwarding_type; }
        const default_action = set_forwarding_type(0);
        size = 1024;
    }

    apply {
        ingress_port_vlan.apply();
        fwd_classifier.apply();
    }
}

control Forwarding(inout metadata_t md) {
    action set_next_id_bridging(next_t next_id) { md.next_id = next_id; }
    table bridging {
        key = {
            md.vlan_id: exact @name("vlan_id");
            md.eth_dst: ternary @name("eth_dst");
        }
        actions = { set_next_id_bridging; @defaultonly nop; }
        const default_action = nop();
        size = 1024;
    }

    action pop_mpls_and_next(next_t next_id) { md.next_id = next_id; }
    table mpls {
        key = { md.mpls_label: exact @name("mpls_label"); }
        actions = { pop_mpls_and_next; @defaultonly nop; }
        const default_action = nop();
        size = 1024;
    }

    action set_next_id_routing_v4(next_t next_id) { md.next_id = next_id; }
    action nop_routing_v4() {}
    action drop_routing_v4() {}
    table routing_v4 {
        key = { md.ipv4_dst: lpm @name("ipv4_dst"); }
        actions = { set_next_id_routing_v4; nop_routing_v4; drop_routing_v4; @defaultonly nop; }
        default_action = nop();
        size = 1024;
    }

    action set_next_id_routing_v6(next_t next_id) { md.next_id = next_id; }
    action drop_routing_v6() {}
    table routing_v6 {
        key = { md.ipv6_dst: lpm @name("ipv6_dst"); }
        actions = { set_next_id_routing_v6; drop_routing_v6; @defaultonly nop; }
        default_action = nop();
        size = 1024;
    }

    apply {
        bridging.apply();
        mpls.apply();
        routing_v4.apply();
        routing_v6.apply();
    }
}

control PreNext(inout metadata_t md) {
    action set_mpls_label(label_t label) { md.mpls_label = label; }
    table next_mpls {
        key = { md.next_id: exact @name("next_id"); }
        actions = { set_mpls_label; @defaultonly nop; }
        const default_action = nop();
        size = 1024;
    }

    action set_vlan(vlan_t vlan_id) { md.vlan_id = vlan_id; }
    table next_vlan {
        key = { md.next_id: exact @name("next_id"); }
        actions = { set_vlan; @defaultonly nop; }
        const default_action = nop();
        size = 1024;
    }

    apply {
        next_mpls.apply();
        next_vlan.apply();
    }
}

control Acl(inout metadata_t md) {
    direct_counter(CounterType.packets_and_bytes) acl_counter;

    action set_next_id_acl(next_t next_id) {
        md.next_id = next_id;
        acl_counter.count();
    }
    action punt_to_cpu() { acl_counter.count(); }
    action copy_to_cpu() { acl_counter.count(); }
    action punt_to_cpu_post_ingress() { acl_counter.count(); }
    action copy_to_cpu_post_ingress() { acl_counter.count(); }
    action drop() { acl_counter.count(); }
    action set_output_port(port_t port_num) { acl_counter.count(); }
    action nop_acl() { acl_counter.count(); }
    table acl {
        key = {
            md.ig_port: ternary @name("ig_port");
            md.eth_dst: ternary @name("eth_dst");
            md.eth_src: ternary @name("eth_src");
            md.vlan_id: ternary @name("vlan_id");
            md.eth_type: ternary @name("eth_type");
            md.ipv4_src: ternary @name("ipv4_src");
            md.ipv4_dst: ternary @name("ipv4_dst");
            md.ip_proto: ternary @name("ip_proto");
            md.icmp_type: ternary @name("icmp_type");
            md.icmp_code: ternary @name("icmp_code");
            md.l4_sport: ternary @name("l4_sport");
            md.l4_dport: ternary @name("l4_dport");
            md.ig_port_type: ternary @name("ig_port_type");
        }
        actions = {
            set_next_id_acl;
            punt_to_cpu;
            copy_to_cpu;
            punt_to_cpu_post_ingress;
            copy_to_cpu_post_ingress;
            drop;
            set_output_port;
            nop_acl;
        }
        const default_action = nop_acl();
        counters = acl_counter;
        size = 1024;
    }

    apply {
        acl.apply();
    }
}

control Next(inout metadata_t md) {
    action output_hashed(port_t port_num) { md.eg_port = port_num; }
    action routing_hashed(port_t port_num, mac_t smac, mac_t dmac) { md.eg_port = port_num; }
    @max_group_size(16)
    action_selector(HashAlgorithm.crc16, 32w1024, 32w16) hashed_profile;
    table hashed {
        key = {
            md.next_id: exact @name("next_id");
            md.ecmp_hash: selector;
        }
        actions = { output_hashed; routing_hashed; @defaultonly nop; }
        implementation = hashed_profile;
        const default_action = nop();
        size = 1024;
    }

    action set_mcast_group_id(bit<16> group_id) {}
    action reset_mcast_group_id() {}
    table multicast {
        key = { md.next_id: exact @name("next_id"); }
        actions = { set_mcast_group_id; @defaultonly reset_mcast_group_id; }
        const default_action = reset_mcast_group_id();
        size = 1024;
    }

    apply {
        hashed.apply();
        multicast.apply();
    }
}

control EgressNextControl(inout metadata_t md) {
    action push_vlan() {}
    action pop_vlan() {}
    action drop() {}
    table egress_vlan {
        key = {
            md.vlan_id: exact @name("vlan_id");
            md.eg_port: exact @name("eg_port");
        }
        actions = { push_vlan; pop_vlan; @defaultonly drop; }
        const default_action = drop();
        size = 1024;
    }

    apply {
        egress_vlan.apply();
    }
}

control FabricIngress(inout headers_t hdr, inout metadata_t md, inout standard_metadata_t std) {
    Filtering() filtering;
    Forwarding() forwarding;
    PreNext() pre_next;
    Acl() acl;
    Next() next;

    apply {
        filtering.apply(md);
        forwarding.apply(md);
        pre_next.apply(md);
        acl.apply(md);
        next.apply(md);
    }
}

control FabricEgress(inout headers_t hdr, inout metadata_t md, inout standard_metadata_t std) {
    EgressNextControl() egress_next;

    apply {
        egress_next.apply(md);
    }
}

control FabricComputeChecksum(inout headers_t hdr, inout metadata_t md) {
    apply {}
}

control FabricDeparser(packet_out packet, in headers_t hdr) {
    apply {}
}

V1Switch(
    FabricParser(),
    FabricVerifyChecksum(),
    FabricIngress(),
    FabricEgress(),
    FabricComputeChecksum(),
    FabricDeparser()
) main;
