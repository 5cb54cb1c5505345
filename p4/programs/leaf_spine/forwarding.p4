// SPDX-License-Identifier: Apache-2.0
//
// From a frame to a next id: by MAC within its VLAN, or by prefix.

control Bridging(inout headers_t hdr, inout metadata_t meta) {

    direct_counter(CounterType.packets_and_bytes) bridging_counter;
    direct_counter(CounterType.packets_and_bytes) flooding_counter;

    action set_next_id_bridging(next_id_t next_id) {
        meta.next_id = next_id;
        bridging_counter.count();
    }

    table bridging {
        key = {
            meta.vlan_id          : exact @name("vlan_id");
            hdr.ethernet.dst_addr : exact @name("eth_dst");
        }
        actions = {
            set_next_id_bridging;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = bridging_counter;
        size = 16384;
    }

    action set_next_id_flooding(next_id_t next_id) {
        meta.next_id = next_id;
        flooding_counter.count();
    }

    // Where a VLAN sends broadcast, multicast and unknown unicast.
    table flooding {
        key = {
            meta.vlan_id : exact @name("vlan_id");
        }
        actions = {
            set_next_id_flooding;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = flooding_counter;
        size = 4096;
    }

    apply {
        if (!bridging.apply().hit) {
            flooding.apply();
        }
    }
}

control Routing(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {

    direct_counter(CounterType.packets_and_bytes) routing_v4_counter;
    direct_counter(CounterType.packets_and_bytes) routing_v6_counter;

    action set_next_id_routing_v4(next_id_t next_id) {
        meta.next_id = next_id;
        routing_v4_counter.count();
    }

    action drop_routing_v4() {
        routing_v4_counter.count();
    }

    // For the addresses of the switch itself.
    action punt_routing_v4() {
        std.egress_spec = CPU_PORT;
        routing_v4_counter.count();
    }

    table routing_v4 {
        key = {
            hdr.ipv4.dst_addr : lpm @name("ipv4_dst");
        }
        actions = {
            set_next_id_routing_v4;
            drop_routing_v4;
            punt_routing_v4;
        }
        default_action = drop_routing_v4();
        counters = routing_v4_counter;
        size = 131072;
    }

    action set_next_id_routing_v6(next_id_t next_id) {
        meta.next_id = next_id;
        routing_v6_counter.count();
    }

    action drop_routing_v6() {
        routing_v6_counter.count();
    }

    action punt_routing_v6() {
        std.egress_spec = CPU_PORT;
        routing_v6_counter.count();
    }

    table routing_v6 {
        key = {
            hdr.ipv6.dst_addr : lpm @name("ipv6_dst");
        }
        actions = {
            set_next_id_routing_v6;
            drop_routing_v6;
            punt_routing_v6;
        }
        default_action = drop_routing_v6();
        counters = routing_v6_counter;
        size = 8192;
    }

    // What is not routed here, and not rescued by the ACL, is dropped: a frame for the router
    // is never bridged.
    apply {
        if (hdr.ipv4.isValid()) {
            if (hdr.ipv4.ttl <= 1) {
                meta.ttl_expired = 1;
            } else if (hdr.ipv4.ihl == 5 && std.checksum_error == 0) {
                meta.is_routed = 1;
                routing_v4.apply();
            }
        } else if (hdr.ipv6.isValid()) {
            if (hdr.ipv6.hop_limit <= 1) {
                meta.ttl_expired = 1;
            } else {
                meta.is_routed = 1;
                routing_v6.apply();
            }
        }
    }
}
