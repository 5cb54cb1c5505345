// SPDX-License-Identifier: Apache-2.0
//
// From a next id to ports. A next id stands in exactly one of simple, hashed and multicast.

control Next(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {

    direct_counter(CounterType.packets_and_bytes) simple_counter;
    direct_counter(CounterType.packets_and_bytes) hashed_counter;
    direct_counter(CounterType.packets_and_bytes) multicast_counter;

    action set_vlan(vlan_id_t vlan_id) {
        meta.vlan_id = vlan_id;
    }

    // The VLAN that frames of this next leave in; without an entry they stay in theirs.
    table next_vlan {
        key = {
            meta.next_id : exact @name("next_id");
        }
        actions = {
            set_vlan;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = 4096;
    }

    action output_simple(port_t port) {
        std.egress_spec = port;
        simple_counter.count();
    }

    action routing_simple(port_t port, mac_t src_mac, mac_t dst_mac) {
        hdr.ethernet.src_addr = src_mac;
        hdr.ethernet.dst_addr = dst_mac;
        std.egress_spec = port;
        simple_counter.count();
    }

    table simple {
        key = {
            meta.next_id : exact @name("next_id");
        }
        actions = {
            output_simple;
            routing_simple;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = simple_counter;
        size = 4096;
    }

    action output_hashed(port_t port) {
        std.egress_spec = port;
        hashed_counter.count();
    }

    action routing_hashed(port_t port, mac_t src_mac, mac_t dst_mac) {
        hdr.ethernet.src_addr = src_mac;
        hdr.ethernet.dst_addr = dst_mac;
        std.egress_spec = port;
        hashed_counter.count();
    }

    // Not crc16: its low bits hardly change over consecutive source ports, so that they would all
    // take the same way.
    @max_group_size(128)
    action_selector(HashAlgorithm.crc32, 4096, 32) ecmp;

    table hashed {
        key = {
            meta.next_id     : exact @name("next_id");
            meta.flow_src    : selector;
            meta.flow_dst    : selector;
            meta.ip_proto    : selector;
            meta.l4_src_port : selector;
            meta.l4_dst_port : selector;
        }
        actions = {
            output_hashed;
            routing_hashed;
            @defaultonly NoAction;
        }
        implementation = ecmp;
        counters = hashed_counter;
        size = 1024;
    }

    // A flood does not come back out of the port that it came in by: see the egress control.
    action set_multicast_group(bit<16> group_id) {
        std.mcast_grp = group_id;
        meta.is_flood = 1;
        multicast_counter.count();
    }

    table multicast {
        key = {
            meta.next_id : exact @name("next_id");
        }
        actions = {
            set_multicast_group;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = multicast_counter;
        size = 4096;
    }

    apply {
        next_vlan.apply();
        if (!simple.apply().hit) {
            if (hdr.ipv4.isValid()) {
                meta.flow_src = hdr.ipv4.src_addr;
                meta.flow_dst = hdr.ipv4.dst_addr;
            } else if (hdr.ipv6.isValid()) {
                meta.flow_src = hdr.ipv6.src_addr[127:96] ^ hdr.ipv6.src_addr[95:64]
                              ^ hdr.ipv6.src_addr[63:32] ^ hdr.ipv6.src_addr[31:0];
                meta.flow_dst = hdr.ipv6.dst_addr[127:96] ^ hdr.ipv6.dst_addr[95:64]
                              ^ hdr.ipv6.dst_addr[63:32] ^ hdr.ipv6.dst_addr[31:0];
            }
            if (!hashed.apply().hit) {
                multicast.apply();
            }
        }
    }
}
