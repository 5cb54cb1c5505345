// Messages, assertions and digests: the packet goes its way.

struct metadata_t {
}

#include "../probe.p4"

struct learned_t {
    bit<16> a;
    bit<9>  port;
}

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        log_msg("ingress");
        log_msg("a = {}, b = {}", {hdr.probe.a, hdr.probe.b});
        assert(hdr.probe.op < 0x80);
        assume(standard.ingress_port != 511);
        standard.egress_spec = 2;
        if (hdr.probe.op == 1) {
            digest<learned_t>(1, {hdr.probe.a, standard.ingress_port});
            hdr.probe.b = 0x1111;
        } else if (hdr.probe.op == 2) {
            digest<learned_t>(1, {hdr.probe.a, standard.ingress_port});
            mark_to_drop(standard);
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        log_msg("egress {}", {standard.egress_port});
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
