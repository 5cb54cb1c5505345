// SPDX-License-Identifier: Apache-2.0
//
// What comes in by a port, and rules over everything that a packet has.

control Filtering(inout headers_t hdr, inout metadata_t meta, in standard_metadata_t std) {

    direct_counter(CounterType.packets_and_bytes) filter_counter;

    action deny() {
        filter_counter.count();
    }

    action permit() {
        meta.admitted = 1;
        filter_counter.count();
    }

    // What the filter notes of the packet is for rules to match.
    action permit_and_note(bit<32> note) {
        meta.admitted = 1;
        meta.note = note;
        filter_counter.count();
    }

    // An untagged packet goes on with a tag.
    action permit_and_tag(bit<12> vlan_id) {
        meta.admitted = 1;
        hdr.vlan.setValid();
        hdr.vlan.priority = 0;
        hdr.vlan.drop_eligible = 0;
        hdr.vlan.vlan_id = vlan_id;
        hdr.vlan.ether_type = hdr.ethernet.ether_type;
        hdr.ethernet.ether_type = ETHERTYPE_VLAN;
        meta.tagged = 1;
        filter_counter.count();
    }

    table filter {
        key = {
            std.ingress_port      : ternary @name("in_port");
            meta.tagged           : ternary @name("tagged");
            hdr.vlan.vlan_id      : ternary @name("vlan_vid");
            hdr.ethernet.dst_addr : ternary @name("eth_dst");
        }
        actions = {
            deny;
            permit;
            permit_and_note;
            permit_and_tag;
        }
        const default_action = deny();
        counters = filter_counter;
        size = 64;
    }

    apply {
        filter.apply();
    }
}

control Acl(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {

    direct_counter(CounterType.packets_and_bytes) acl_counter;
    direct_meter<bit<2>>(MeterType.bytes) acl_meter;

    action permit() {
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action drop() {
        meta.next_id = 0;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action punt() {
        std.egress_spec = CPU_PORT;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action copy_to_cpu() {
        meta.copy_to_cpu = 1;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action send(next_id_t next_id) {
        meta.next_id = next_id;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action copy_and_send(next_id_t next_id) {
        meta.copy_to_cpu = 1;
        meta.next_id = next_id;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action pop_mpls_and_send(next_id_t next_id) {
        hdr.mpls.setInvalid();
        meta.eth_type = meta.inner_type;
        meta.next_id = next_id;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    // No objective has a word for it: the way out is `table`.
    action send_to_port(port_t port) {
        std.egress_spec = port;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    table acl {
        key = {
            std.ingress_port        : ternary @name("in_port");
            hdr.ethernet.dst_addr   : ternary @name("eth_dst");
            hdr.ethernet.src_addr   : ternary @name("eth_src");
            meta.eth_type           : ternary @name("eth_type");
            meta.tagged             : ternary @name("tagged");
            hdr.vlan.vlan_id        : ternary @name("vlan_vid");
            hdr.vlan.priority       : ternary @name("vlan_pcp");
            meta.inner_tagged       : ternary @name("inner_tagged");
            hdr.inner_vlan.vlan_id  : ternary @name("inner_vlan_vid");
            hdr.inner_vlan.priority : ternary @name("inner_vlan_pcp");
            hdr.mpls.label          : ternary @name("mpls_label");
            hdr.mpls.tc             : ternary @name("mpls_tc");
            hdr.mpls.bos            : ternary @name("mpls_bos");
            hdr.ipv4.src_addr       : ternary @name("ipv4_src");
            hdr.ipv4.dst_addr       : ternary @name("ipv4_dst");
            hdr.ipv6.src_addr       : ternary @name("ipv6_src");
            hdr.ipv6.dst_addr       : ternary @name("ipv6_dst");
            hdr.ipv6.flow_label     : ternary @name("ipv6_flow_label");
            meta.is_ip              : ternary @name("is_ip");
            meta.ip_proto           : ternary @name("ip_proto");
            meta.dscp               : ternary @name("ip_dscp");
            meta.ecn                : ternary @name("ip_ecn");
            meta.ttl                : ternary @name("ip_ttl");
            meta.frag               : ternary @name("ip_frag");
            meta.has_ports          : ternary @name("has_ports");
            hdr.l4.src_port         : range   @name("l4_src");
            hdr.l4.dst_port         : range   @name("l4_dst");
            hdr.tcp.flags           : ternary @name("tcp_flags");
            hdr.icmp.type           : ternary @name("icmp_type");
            hdr.icmp.code           : ternary @name("icmp_code");
            hdr.arp.operation       : ternary @name("arp_op");
            hdr.arp.spa             : ternary @name("arp_spa");
            hdr.arp.tpa             : ternary @name("arp_tpa");
            hdr.arp.sha             : ternary @name("arp_sha");
            hdr.arp.tha             : ternary @name("arp_tha");
            hdr.nd.target           : ternary @name("nd_target");
            hdr.sll.address         : ternary @name("nd_sll");
            hdr.tll.address         : ternary @name("nd_tll");
            hdr.vxlan.vni           : ternary @name("tunnel_id");
            meta.note               : ternary @name("note");
            std.packet_length       : ternary @name("length");
        }
        actions = {
            permit;
            drop;
            punt;
            copy_to_cpu;
            send;
            copy_and_send;
            pop_mpls_and_send;
            send_to_port;
        }
        const default_action = permit();
        counters = acl_counter;
        meters = acl_meter;
        size = 64;
    }

    apply {
        if (hdr.ipv4.isValid()) {
            if (hdr.ipv4.frag_offset != 0) {
                meta.frag = 3;
            } else if (hdr.ipv4.more_fragments == 1) {
                meta.frag = 1;
            }
        }
        acl.apply();
        if (meta.meter_color == METER_RED) {
            mark_to_drop(std);
            meta.next_id = 0;
        } else if (meta.copy_to_cpu == 1) {
            clone(CloneType.I2E, COPY_TO_CPU_SESSION);
        }
    }
}
