// What a program sees of a packet's length and ports while headers come and go.

struct metadata_t {
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        hdr.probe.a = standard.packet_length[15:0];
        if (hdr.probe.op == 1) {
            hdr.marks[0].setValid();
            hdr.marks[0].mark = 0x1111;
            hdr.marks[0].setValid();
            hdr.marks[2].setValid();
            hdr.marks[2].mark = 0x3333;
        } else if (hdr.probe.op == 2) {
            hdr.marks.push_front(2);
            hdr.marks[1].setValid();
            hdr.marks[1].mark = 0x2222;
            hdr.marks.push_front(1);
            hdr.marks.pop_front(1);
        } else if (hdr.probe.op == 3) {
            hdr.marks[0].setValid();
            hdr.marks[0].mark = 0x1111;
            hdr.marks[1] = hdr.marks[0];
            hdr.marks[0].setInvalid();
        } else if (hdr.probe.op == 4) {
            hdr.probe.setInvalid();
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.probe.b = standard.packet_length[15:0];
        hdr.probe.c = (bit<16>) standard.ingress_port ++ (bit<16>) standard.egress_port;
        hdr.probe.d = (bit<32>) standard.egress_spec;
        if (hdr.probe.op == 5) {
            standard.egress_spec = 511;
        } else if (hdr.probe.op == 6) {
            // Too late to go elsewhere.
            standard.egress_spec = 3;
            standard.mcast_grp = 1;
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
