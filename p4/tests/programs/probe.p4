// What the conformance programs share: one header, which tells the program what to do and has room for
// its answers, and every part of v1model that a program does not care about. A program declares
// `struct metadata_t`, includes this, and defines `ProbeIngress` and `ProbeEgress`.

#include <core.p4>
#include <v1model.p4>

header probe_t {
    bit<8>  op;
    bit<8>  arg;
    bit<16> a;
    bit<16> b;
    bit<32> c;
    bit<32> d;
}

header mark_t {
    bit<16> mark;
}

struct headers_t {
    probe_t   probe;
    mark_t[4] marks;
}

parser ProbeParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                   inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.probe);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control ProbeDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}
