// Choices between headers, elements of stacks by index, and loops over them.

struct metadata_t {
    bit<8> depth;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action choose(bit<1> first) {
        mark_t one;
        mark_t two;
        one.setValid();
        one.mark = 0x1111;
        two.setInvalid();
        hdr.marks[0] = (first == 1) ? one : two;
        hdr.marks[1] = (first == 1) ? two : ((hdr.probe.a == 7) ? one : two);
        hdr.marks[2] = (hdr.probe.a > 7) ? hdr.marks[0] : hdr.marks[1];
    }
    action refuse() {
        mark_to_drop(standard);
    }
    table choice {
        key = { hdr.probe.arg : exact; }
        actions = { choose; NoAction; }
        default_action = NoAction();
    }
    table by_element {
        key = { hdr.marks[1].isValid() : exact; }
        actions = { NoAction; refuse; }
        default_action = NoAction();
    }
    apply {
        standard.egress_spec = 2;
        if (hdr.probe.op == 0) {
            choice.apply();
        } else if (hdr.probe.op == 1) {
            hdr.marks[0].setValid();
            hdr.marks[1].setValid();
            hdr.marks[2].setValid();
            hdr.marks[0].mark = 0x10;
            hdr.marks[1].mark = 0x20;
            hdr.marks[2].mark = 0x30;
            bit<2> index = hdr.probe.arg[1:0];
            hdr.marks[index].mark = hdr.marks[index].mark + 1;
            hdr.probe.b = hdr.marks[index].mark;
            hdr.marks[3] = hdr.marks[index];
        } else {
            by_element.apply();
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
