// SPDX-License-Identifier: Apache-2.0
//
// Which VLANs a port admits, and which frames are for the router.

control Filtering(inout headers_t hdr, inout metadata_t meta) {

    direct_counter(CounterType.packets_and_bytes) ingress_port_vlan_counter;
    direct_counter(CounterType.packets_and_bytes) router_mac_counter;

    vlan_id_t outer_vlan_id = 0;

    action deny() {
        ingress_port_vlan_counter.count();
    }

    // A tagged frame stays in the VLAN of its tag.
    action permit() {
        meta.admitted = 1;
        meta.vlan_id = outer_vlan_id;
        ingress_port_vlan_counter.count();
    }

    // The frame belongs to this VLAN inside the switch, whatever its tag.
    action permit_with_internal_vlan(vlan_id_t vlan_id) {
        meta.admitted = 1;
        meta.vlan_id = vlan_id;
        ingress_port_vlan_counter.count();
    }

    table ingress_port_vlan {
        key = {
            meta.ingress_port : exact @name("ingress_port");
            // 0: untagged or priority-tagged.
            outer_vlan_id     : exact @name("vlan_id");
        }
        actions = {
            deny;
            permit;
            permit_with_internal_vlan;
        }
        const default_action = deny();
        counters = ingress_port_vlan_counter;
        size = 4096;
    }

    action route() {
        meta.for_router = 1;
        router_mac_counter.count();
    }

    // The MAC addresses that the router answers to, per port.
    table router_mac {
        key = {
            meta.ingress_port     : exact @name("ingress_port");
            hdr.ethernet.dst_addr : exact @name("eth_dst");
        }
        actions = {
            route;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = router_mac_counter;
        size = 1024;
    }

    apply {
        if (hdr.vlan.isValid()) {
            outer_vlan_id = hdr.vlan.vlan_id;
        }
        ingress_port_vlan.apply();
        router_mac.apply();
    }
}
