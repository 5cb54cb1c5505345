// SPDX-License-Identifier: Apache-2.0
//
// leaf_spine: what a whitebox leaf or spine switch runs by default.
//
// A frame passes, in this order:
//
//   filtering   which VLANs a port admits, and which frames are for the router
//   forwarding  bridging by (VLAN, MAC), or routing by IPv4 / IPv6 prefix; either names a next
//   acl         any rule over the whole frame; may drop, punt, copy or choose another next
//   next        what a next id stands for: one port, a weighted ECMP group, or a flood
//   egress      source-port suppression, VLAN tag on or off, packet-in header
//
// Conventions that a control plane has to know:
//
// * Ports are numbered 1..254 and 256..510. CPU_PORT (255) is the control plane: a frame sent
//   there becomes a packet-in, a frame that comes from there is a packet-out.
// * Next id 0 means "no next". A frame that no table gives a next or a port is dropped.
// * Every admitted frame has a VLAN inside the switch. Untagged and priority-tagged frames match
//   VLAN id 0 in `ingress_port_vlan`, whose entry then says which internal VLAN they belong to.
// * `acl.copy_to_cpu` uses clone session COPY_TO_CPU_SESSION (511); the control plane gives that
//   session one replica, to CPU_PORT.
// * The ACL sees denied frames too, so that LLDP, say, can be punted on a port that admits nothing.
//
// What it leaves to the control plane on purpose: IPv4 packets with options and packets whose TTL
// has run out are not routed. The ACL sees them (key `ttl_expired`) and may punt them.

#include <core.p4>
#include <v1model.p4>

#include "leaf_spine/headers.p4"
#include "leaf_spine/parser.p4"
#include "leaf_spine/checksum.p4"
#include "leaf_spine/filtering.p4"
#include "leaf_spine/forwarding.p4"
#include "leaf_spine/acl.p4"
#include "leaf_spine/next.p4"

control LeafSpineIngress(inout headers_t hdr,
                         inout metadata_t meta,
                         inout standard_metadata_t std) {

    Filtering() filtering;
    Bridging()  bridging;
    Routing()   routing;
    Acl()       acl;
    Next()      next;

    apply {
        meta.ingress_port = std.ingress_port;
        // Whatever no table below decides about is dropped.
        mark_to_drop(std);

        if (hdr.packet_out.isValid() && hdr.packet_out.through_pipeline == 0) {
            std.egress_spec = hdr.packet_out.egress_port;
            meta.is_raw_packet_out = 1;
            hdr.packet_out.setInvalid();
        } else {
            hdr.packet_out.setInvalid();

            filtering.apply(hdr, meta);
            if (meta.admitted == 1) {
                if (meta.for_router == 1) {
                    routing.apply(hdr, meta, std);
                } else {
                    bridging.apply(hdr, meta);
                }
            }

            acl.apply(hdr, meta, std);

            if (meta.next_id != 0) {
                if (meta.is_routed == 1) {
                    if (hdr.ipv4.isValid()) {
                        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
                    } else {
                        hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
                    }
                }
                next.apply(hdr, meta, std);
            }
        }
    }
}

control LeafSpineEgress(inout headers_t hdr,
                        inout metadata_t meta,
                        inout standard_metadata_t std) {

    direct_counter(CounterType.packets_and_bytes) egress_vlan_counter;

    // The frame leaves with the tag of its VLAN; the priority of the tag that it came with stays.
    action push_vlan() {
        hdr.vlan.setValid();
        hdr.vlan.vlan_id = meta.vlan_id;
        hdr.vlan.ether_type = meta.eth_type;
        hdr.ethernet.ether_type = ETHERTYPE_VLAN;
        egress_vlan_counter.count();
    }

    action pop_vlan() {
        hdr.vlan.setInvalid();
        hdr.ethernet.ether_type = meta.eth_type;
        egress_vlan_counter.count();
    }

    action drop() {
        mark_to_drop(std);
        egress_vlan_counter.count();
    }

    // How a VLAN leaves by a port: tagged, untagged, or not at all. Untagged unless told otherwise.
    table egress_vlan {
        key = {
            meta.vlan_id    : exact @name("vlan_id");
            std.egress_port : exact @name("egress_port");
        }
        actions = {
            push_vlan;
            pop_vlan;
            drop;
        }
        default_action = pop_vlan();
        counters = egress_vlan_counter;
        size = 4096;
    }

    apply {
        if (std.egress_port == CPU_PORT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.ingress_port;
        } else if (meta.is_flood == 1 && std.egress_port == meta.ingress_port) {
            mark_to_drop(std);
        } else if (meta.is_raw_packet_out == 0) {
            egress_vlan.apply();
        }
    }
}

@pkginfo(name="leaf_spine")
@pkginfo(version="1.0.0")
V1Switch(LeafSpineParser(),
         LeafSpineVerifyChecksum(),
         LeafSpineIngress(),
         LeafSpineEgress(),
         LeafSpineComputeChecksum(),
         LeafSpineDeparser()) main;
