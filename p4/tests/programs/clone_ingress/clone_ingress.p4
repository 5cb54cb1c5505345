// Clones of ingress: the packet as it came, with the fields of a list as they are when ingress ends.

struct metadata_t {
    @field_list(1, 2) bit<16> kept;
    @field_list(2)    bit<9>  port;
    bit<16> lost;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        meta.kept = 0x1111;
        meta.lost = 0x2222;
        meta.port = standard.ingress_port;
        standard.egress_spec = 2;
        if (hdr.probe.op == 1) {
            clone_preserving_field_list(CloneType.I2E, 5, 1);
        } else if (hdr.probe.op == 2) {
            clone_preserving_field_list(CloneType.I2E, 5, 2);
            mark_to_drop(standard);
        } else if (hdr.probe.op == 3) {
            clone(CloneType.I2E, 6);
            standard.mcast_grp = 1;
        } else if (hdr.probe.op == 4) {
            // The last one counts.
            clone_preserving_field_list(CloneType.I2E, 5, 1);
            clone(CloneType.I2E, 7);
        } else if (hdr.probe.op == 5) {
            clone(CloneType.I2E, 99);
        } else if (hdr.probe.op == 6) {
            // Fifteen bits of a session's number count.
            clone_preserving_field_list(CloneType.I2E, 0x8005, 1);
        } else if (hdr.probe.op == 7) {
            clone_preserving_field_list(CloneType.I2E, 0, 2);
        }
        meta.kept = meta.kept + 1;
        hdr.probe.arg = 0xee;
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.probe.a = meta.kept;
        hdr.probe.b = meta.lost;
        hdr.probe.c = standard.instance_type;
        hdr.probe.d = (bit<16>) standard.ingress_port ++ (bit<16>) meta.port;
        hdr.marks[0].setValid();
        hdr.marks[0].mark = standard.egress_rid;
        if (hdr.probe.op == 8 && standard.instance_type == 1) {
            standard.egress_spec = 511;
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
