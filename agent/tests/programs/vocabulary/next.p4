// SPDX-License-Identifier: Apache-2.0
//
// What a next id stands for: what is done to the packet, one small table for each step, and where
// it goes. A next stands in the table of a step if it has that step.

#define STEP(NAME, PARAMETER, BODY)                                \
    action do_##NAME(PARAMETER) BODY                               \
    table NAME {                                                   \
        key = { meta.next_id : exact @name("next_id"); }           \
        actions = { do_##NAME; @defaultonly NoAction; }            \
        const default_action = NoAction();                         \
        size = 64;                                                 \
    }

control Tags(inout headers_t hdr, inout metadata_t meta) {

    STEP(pop_vlan,, {
        hdr.ethernet.ether_type = hdr.vlan.ether_type;
        hdr.vlan = hdr.inner_vlan;
        hdr.inner_vlan.setInvalid();
    })

    STEP(push_vlan, bit<12> vlan_id, {
        hdr.inner_vlan = hdr.vlan;
        hdr.vlan.setValid();
        hdr.vlan.priority = 0;
        hdr.vlan.drop_eligible = 0;
        hdr.vlan.vlan_id = vlan_id;
        hdr.vlan.ether_type = hdr.ethernet.ether_type;
        hdr.ethernet.ether_type = ETHERTYPE_VLAN;
    })

    STEP(push_mpls, bit<20> label, {
        hdr.mpls.setValid();
        hdr.mpls.label = label;
        hdr.mpls.tc = 0;
        hdr.mpls.bos = 1;
        hdr.mpls.ttl = 64;
        meta.eth_type = ETHERTYPE_MPLS;
    })

    STEP(set_vlan_vid, bit<12> value, { hdr.vlan.vlan_id = value; })
    STEP(set_vlan_pcp, bit<3> value, { hdr.vlan.priority = value; })
    STEP(set_inner_vlan_vid, bit<12> value, { hdr.inner_vlan.vlan_id = value; })
    STEP(set_inner_vlan_pcp, bit<3> value, { hdr.inner_vlan.priority = value; })
    STEP(set_mpls_label, bit<20> value, { hdr.mpls.label = value; })
    STEP(set_mpls_tc, bit<3> value, { hdr.mpls.tc = value; })

    apply {
        if (hdr.vlan.isValid()) {
            pop_vlan.apply();
        }
        if (!hdr.inner_vlan.isValid()) {
            push_vlan.apply();
        }
        if (!hdr.mpls.isValid()) {
            push_mpls.apply();
        }
        set_vlan_vid.apply();
        set_vlan_pcp.apply();
        set_inner_vlan_vid.apply();
        set_inner_vlan_pcp.apply();
        set_mpls_label.apply();
        set_mpls_tc.apply();
        // What is behind the tags may be another one by now.
        if (hdr.inner_vlan.isValid()) {
            hdr.inner_vlan.ether_type = meta.eth_type;
        } else if (hdr.vlan.isValid()) {
            hdr.vlan.ether_type = meta.eth_type;
        } else {
            hdr.ethernet.ether_type = meta.eth_type;
        }
    }
}

control Rewrite(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {

    STEP(set_eth_dst, mac_t value, { hdr.ethernet.dst_addr = value; })
    STEP(set_eth_src, mac_t value, { hdr.ethernet.src_addr = value; })
    STEP(set_ipv4_src, bit<32> value, { hdr.ipv4.src_addr = value; })
    STEP(set_ipv4_dst, bit<32> value, { hdr.ipv4.dst_addr = value; })
    STEP(set_ipv6_src, bit<128> value, { hdr.ipv6.src_addr = value; })
    STEP(set_ipv6_dst, bit<128> value, { hdr.ipv6.dst_addr = value; })
    STEP(set_ip_dscp, bit<6> value, { hdr.ipv4.dscp = value; hdr.ipv6.dscp = value; })
    STEP(set_ip_ecn, bit<2> value, { hdr.ipv4.ecn = value; hdr.ipv6.ecn = value; })
    STEP(set_ip_ttl, bit<8> value, { hdr.ipv4.ttl = value; hdr.ipv6.hop_limit = value; })
    STEP(set_l4_src, bit<16> value, { hdr.l4.src_port = value; })
    STEP(set_l4_dst, bit<16> value, { hdr.l4.dst_port = value; })
    STEP(set_tunnel_id, bit<24> value, { hdr.vxlan.vni = value; })
    STEP(dec_ttl,, {
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
    })
    STEP(queue, bit<3> value, { std.priority = value; meta.queue = value; meta.has_queue = 1; })

    apply {
        set_eth_dst.apply();
        set_eth_src.apply();
        set_ipv4_src.apply();
        set_ipv4_dst.apply();
        set_ipv6_src.apply();
        set_ipv6_dst.apply();
        set_ip_dscp.apply();
        set_ip_ecn.apply();
        set_ip_ttl.apply();
        set_l4_src.apply();
        set_l4_dst.apply();
        set_tunnel_id.apply();
        dec_ttl.apply();
        queue.apply();
    }
}

control Next(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {

    action output(port_t port) {
        std.egress_spec = port;
    }

    table one_port {
        key = { meta.next_id : exact @name("next_id"); }
        actions = { output; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 64;
    }

    action output_hashed(port_t port) {
        std.egress_spec = port;
    }

    @max_group_size(16)
    action_selector(HashAlgorithm.crc32, 128, 16) ecmp;

    table some_port {
        key = {
            meta.next_id : exact @name("next_id");
            meta.flow    : selector;
        }
        actions = { output_hashed; @defaultonly NoAction; }
        implementation = ecmp;
        size = 64;
    }

    action copy_to(bit<16> group_id) {
        std.mcast_grp = group_id;
    }

    table every_port {
        key = { meta.next_id : exact @name("next_id"); }
        actions = { copy_to; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 64;
    }

    apply {
        meta.flow = hdr.ipv4.src_addr ^ hdr.ipv4.dst_addr;
        one_port.apply();
        some_port.apply();
        every_port.apply();
    }
}
