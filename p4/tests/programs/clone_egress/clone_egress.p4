// Clones of egress: the packet as egress made it, which runs egress again.

struct metadata_t {
    @field_list(1) bit<16> kept;
    bit<16> lost;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        meta.kept = 0x1111;
        meta.lost = 0x2222;
        standard.egress_spec = 2;
        if (hdr.probe.op == 4) {
            standard.mcast_grp = 1;
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.marks.push_front(1);
        hdr.marks[0].setValid();
        hdr.marks[0].mark = meta.kept;
        hdr.probe.b = meta.lost;
        hdr.probe.c = standard.instance_type;
        hdr.probe.d = (bit<16>) standard.egress_port ++ standard.packet_length[15:0];
        if (standard.instance_type != 2) {
            if (hdr.probe.op == 1 || hdr.probe.op == 4) {
                clone_preserving_field_list(CloneType.E2E, 5, 1);
            } else if (hdr.probe.op == 2) {
                clone_preserving_field_list(CloneType.E2E, 5, 1);
                mark_to_drop(standard);
            } else if (hdr.probe.op == 3) {
                clone(CloneType.E2E, 6);
            }
            meta.kept = meta.kept + 1;
            hdr.probe.a = 0xaaaa;
        } else if (hdr.probe.op == 5) {
            mark_to_drop(standard);
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
