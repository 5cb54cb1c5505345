// Multicast: copies with their rid, one port many times, and what each copy may do in egress.

struct metadata_t {
    bit<16> value;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        meta.value = 0x1111;
        standard.mcast_grp = hdr.probe.a;
        standard.egress_spec = 7;
        if (hdr.probe.op == 1) {
            mark_to_drop(standard);
        } else if (hdr.probe.op == 2) {
            mark_to_drop(standard);
            standard.mcast_grp = hdr.probe.a;
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.probe.b = standard.egress_rid;
        hdr.probe.c = standard.instance_type;
        hdr.probe.d = meta.value ++ (bit<16>) standard.egress_port;
        meta.value = meta.value + 1;
        if (hdr.probe.op == 3 && standard.egress_port == standard.ingress_port) {
            mark_to_drop(standard);
        }
        if (hdr.probe.op == 4 && standard.egress_rid == 6) {
            hdr.marks[0].setValid();
            hdr.marks[0].mark = standard.egress_rid;
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
