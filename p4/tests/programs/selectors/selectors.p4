// Action profiles and selectors: members that entries share, groups, and the hash that chooses.

struct metadata_t {
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action_profile(16) shared;
    action_selector(HashAlgorithm.crc16, 16, 16) chosen;

    action answer(bit<32> value) {
        hdr.probe.c = value;
    }
    action to(bit<9> port) {
        standard.egress_spec = port;
    }
    table indirect {
        key = { hdr.probe.arg : exact; }
        actions = { answer; to; NoAction; }
        implementation = shared;
        default_action = NoAction();
    }
    table selected {
        key = {
            hdr.probe.arg : exact;
            hdr.probe.a   : selector;
            hdr.probe.b   : selector;
            hdr.marks[0].mark : selector;
        }
        actions = { to; answer; NoAction; }
        implementation = chosen;
        default_action = NoAction();
    }
    apply {
        standard.egress_spec = 2;
        if (hdr.probe.op == 0) {
            indirect.apply();
        } else {
            // The field of an invalid header is no input of the hash.
            if (hdr.probe.op == 2) {
                hdr.marks[0].setValid();
                hdr.marks[0].mark = 0x7777;
            }
            if (!selected.apply().hit) {
                hdr.probe.d = 0xdddddddd;
            }
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
