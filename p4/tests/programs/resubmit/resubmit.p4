// Resubmission: what is kept and what is not, and that it comes before multicast, drop and unicast.

struct metadata_t {
    @field_list(1) bit<16> kept;
    @field_list(2) bit<16> other;
    bit<16> lost;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.probe.c = standard.instance_type;
        hdr.probe.a = meta.kept;
        hdr.probe.b = meta.other;
        hdr.probe.d = meta.lost ++ standard.packet_length[15:0];
        standard.egress_spec = standard.ingress_port;
        if (standard.instance_type == 0) {
            meta.kept = 0x1111;
            meta.other = 0x2222;
            meta.lost = 0x3333;
            // The packet that starts over is the one that came in.
            hdr.probe.arg = 0xff;
            if (hdr.probe.op == 1) {
                resubmit_preserving_field_list(1);
            } else if (hdr.probe.op == 2) {
                resubmit_preserving_field_list(1);
                resubmit_preserving_field_list(2);
                meta.other = 0x4444;
            } else if (hdr.probe.op == 3) {
                resubmit_preserving_field_list(3);
                standard.mcast_grp = 1;
            } else if (hdr.probe.op == 4) {
                resubmit_preserving_field_list(1);
                mark_to_drop(standard);
            }
        } else if (hdr.probe.op == 5) {
            standard.mcast_grp = 1;
        } else {
            hdr.probe.arg = hdr.probe.arg + 1;
            if (meta.kept != 0 && meta.kept < 0x1114) {
                meta.kept = meta.kept + 1;
                resubmit_preserving_field_list(1);
            }
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
