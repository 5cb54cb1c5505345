// Truncation: the shortest length asked for counts, of the packet as it leaves.

struct metadata_t {
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        if (hdr.probe.op == 1 || hdr.probe.op == 2) {
            truncate((bit<32>) hdr.probe.a);
        }
        if (hdr.probe.op == 2) {
            truncate((bit<32>) hdr.probe.b);
        }
        if (hdr.probe.op == 4) {
            truncate((bit<32>) hdr.probe.a);
            clone(CloneType.I2E, 5);
        }
        if (hdr.probe.op == 5) {
            truncate((bit<32>) hdr.probe.a);
            standard.mcast_grp = 1;
        }
        if (hdr.probe.op == 6 && standard.instance_type == 0) {
            truncate((bit<32>) hdr.probe.a);
            resubmit_preserving_field_list(1);
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.probe.c = standard.packet_length;
        hdr.probe.d = standard.instance_type;
        if (hdr.probe.op == 3) {
            truncate((bit<32>) hdr.probe.a);
        }
        if (hdr.probe.arg == 1) {
            hdr.marks[0].setValid();
            hdr.marks[0].mark = 0x4444;
        }
        if (hdr.probe.op == 7 && hdr.probe.b == 0) {
            hdr.probe.b = 1;
            truncate((bit<32>) hdr.probe.a);
            recirculate_preserving_field_list(1);
        }
        if (hdr.probe.op == 8 && standard.instance_type == 0) {
            truncate((bit<32>) hdr.probe.a);
            clone(CloneType.E2E, 5);
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
