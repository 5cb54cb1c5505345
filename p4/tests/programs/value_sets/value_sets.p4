// Value sets: states that are chosen by what the control plane puts into a set.

struct metadata_t {
    bit<8> seen;
}

#include <core.p4>
#include <v1model.p4>

header kind_t {
    bit<16> kind;
    bit<8>  sub;
    bit<8>  answer;
    bit<80> filler;
}

struct headers_t {
    kind_t kind;
}

struct pair_t {
    bit<16> kind;
    bit<8>  sub;
}

parser SetParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                 inout standard_metadata_t standard) {
    value_set<bit<16>>(4) kinds;
    value_set<pair_t>(4) pairs;

    state start {
        packet.extract(hdr.kind);
        meta.seen = 0;
        transition select(hdr.kind.kind) {
            kinds: in_kinds;
            0x0800: fixed;
            default: second;
        }
    }
    state in_kinds {
        meta.seen = 1;
        transition second;
    }
    state fixed {
        meta.seen = 2;
        transition accept;
    }
    state second {
        transition select(hdr.kind.kind, hdr.kind.sub) {
            pairs: in_pairs;
            (0x1234, 0x10 &&& 0xf0): masked;
            default: accept;
        }
    }
    state in_pairs {
        meta.seen = meta.seen + 4;
        transition accept;
    }
    state masked {
        meta.seen = meta.seen + 8;
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control SetIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        hdr.kind.answer = meta.seen;
    }
}

control SetEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control SetDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(SetParser(), NoVerify(), SetIngress(), SetEgress(), NoUpdate(), SetDeparser()) main;
