// Recirculation: the packet as it leaves comes in again, without its port, with the fields that are kept.

struct metadata_t {
    @field_list(1) bit<16> rounds;
    @field_list(1) bit<9>  port;
    bit<16> lost;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (standard.instance_type == 0) {
            meta.port = standard.ingress_port;
        }
        hdr.probe.a = hdr.probe.a + 1;
        hdr.probe.b = meta.lost + (bit<16>) standard.ingress_port;
        hdr.probe.c = standard.instance_type;
        hdr.probe.d = standard.packet_length;
        meta.lost = 0x100;
        standard.egress_spec = meta.port;
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (meta.rounds < (bit<16>) hdr.probe.op && hdr.probe.op < 8) {
            meta.rounds = meta.rounds + 1;
            hdr.marks.push_front(1);
            hdr.marks[0].setValid();
            hdr.marks[0].mark = meta.rounds;
            recirculate_preserving_field_list(1);
        }
        if (hdr.probe.op == 8) {
            recirculate_preserving_field_list(2);
            mark_to_drop(standard);
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
