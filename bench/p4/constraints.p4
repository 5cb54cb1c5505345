// What a program asks of its entries beyond their types: p4-constraints' restrictions, and references
// from one table to another as in SONiC's programs.

#include "headers.p4"

parser ConstraintsParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                         inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.packet_out);
        transition accept;
    }
}

control ConstraintsIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action mark(bit<16> value) { meta.mark = value; }
    @action_restriction("value != 0;")
    action restricted(bit<16> value) { meta.mark = value; }
    action set_nexthop(@refers_to("nexthop_table", "nexthop") bit<16> nexthop) { meta.base = nexthop; }

    // A key of 16 bits only means something for kind 1.
    @name("restricted_table")
    @entry_restriction("k16::mask != 0 -> kind == 1;")
    table restricted_table {
        key = { hdr.packet_out.k8: exact @name("kind"); hdr.packet_out.k16: ternary @name("k16"); }
        actions = { mark; restricted; NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("nexthop_table") table nexthop_table {
        key = { meta.base: exact @name("nexthop"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("route_table") table route_table {
        key = { hdr.packet_out.k32: lpm @name("k32"); }
        actions = { set_nexthop; NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("referring_table") table referring_table {
        key = { hdr.packet_out.k16: exact @name("nexthop") @refers_to("nexthop_table", "nexthop"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 16;
    }

    apply {
        meta.from = standard.ingress_port;
        standard.egress_spec = standard.ingress_port;
        restricted_table.apply();
        route_table.apply();
        if (nexthop_table.apply().hit) { meta.hit = 1; }
        referring_table.apply();
    }
}

V1Switch(ConstraintsParser(), NoVerify(), ConstraintsIngress(), TellEgress(), NoUpdate(), TellDeparser()) main;
