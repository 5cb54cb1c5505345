// Tables: every kind of match, priorities, entries of the program, hit, miss and the action that ran.

struct metadata_t {
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action answer(bit<32> value) {
        hdr.probe.c = value;
    }
    action other() {
        hdr.probe.c = 0xdddddddd;
    }
    action leave() {
        hdr.probe.c = 0xeeeeeeee;
        exit;
    }
    table by_prefix {
        key = { hdr.probe.a : lpm; hdr.probe.arg : exact; }
        actions = { answer; other; leave; }
        default_action = answer(0xffffffff);
    }
    table by_mask {
        key = { hdr.probe.a : ternary; hdr.probe.arg : ternary; }
        actions = { answer; other; leave; }
        const default_action = other();
        const entries = {
            (0x1234, 0x01) : answer(1);
            (0x1200 &&& 0xff00, _) : answer(2);
            (_, 0x80 &&& 0x80) : leave();
        }
    }
    table by_range {
        key = { hdr.probe.a : range; hdr.probe.arg : exact; }
        actions = { answer; other; leave; }
        default_action = other();
    }
    table by_validity {
        key = { hdr.marks[0].isValid() : exact; hdr.probe.b : optional; }
        actions = { answer; other; }
        default_action = other();
    }
    table by_nothing {
        actions = { answer; other; }
        default_action = other();
    }
    apply {
        standard.egress_spec = 2;
        if (hdr.probe.op == 0) {
            if (by_prefix.apply().hit) {
                hdr.probe.d = 1;
            } else {
                hdr.probe.d = 2;
            }
        } else if (hdr.probe.op == 1) {
            switch (by_mask.apply().action_run) {
                answer: { hdr.probe.d = 1; }
                other: { hdr.probe.d = 2; }
                default: { hdr.probe.d = 3; }
            }
        } else if (hdr.probe.op == 2) {
            by_range.apply();
        } else if (hdr.probe.op == 3) {
            if (hdr.probe.arg == 1) {
                hdr.marks[0].setValid();
                hdr.marks[0].mark = 0x9999;
            }
            by_validity.apply();
        } else {
            if (by_nothing.apply().miss) {
                hdr.probe.d = 4;
            }
        }
        standard.egress_spec = 3;
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
