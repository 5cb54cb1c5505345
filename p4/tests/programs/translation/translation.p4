// Types that controllers see as strings or as numbers of other widths; in the program they are plain bits.

struct metadata_t {
}

#include "../probe.p4"

@p4runtime_translation("", string)
type bit<16> nexthop_t;
@p4runtime_translation("", string)
type bit<9> port_t;

@controller_header("packet_in")
header packet_in_t {
    port_t ingress_port;
    bit<7> unused;
}

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action set_port(port_t port) {
        standard.egress_spec = (bit<9>) port;
    }
    table nexthops {
        key = { (nexthop_t) hdr.probe.a : exact @name("nexthop"); }
        actions = { set_port; NoAction; }
        default_action = NoAction();
    }
    apply {
        standard.egress_spec = 2;
        nexthops.apply();
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
