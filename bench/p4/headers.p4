// What the conformance programs share: the headers of packet-out and packet-in, which tell a program what
// to do and what came of it, and every part of v1model that a program does not care about.
//
// A packet-out goes through the pipeline and comes back as a packet-in, from whatever port the server
// injects it: `ingress_port` is the port of the controller, and the way back. So nothing has to be plugged in.

#include <core.p4>
#define V1MODEL_VERSION 20200408
#include <v1model.p4>

@controller_header("packet_out")
header packet_out_t {
    bit<8>   op;      // what to do: one of the OP_ constants of a program
    bit<8>   k8;      // keys, indices and identifiers, by what they are wide
    bit<16>  k16;
    bit<32>  k32;
    bit<128> k128;
    bit<9>   k9;
    bit<7>   k7;
}

@controller_header("packet_in")
header packet_in_t {
    bit<8>  hit;      // 1 if the table was hit
    bit<8>  copy;     // instance_type: 0 as sent, else what made this copy
    bit<16> mark;     // what the action was given
    bit<16> base;     // what a group action was given
    bit<16> instance; // egress_rid: which replica this is
    bit<32> value;    // what was read: a register, a colour
    bit<9>  port;     // where the packet-out came from
    bit<7>  unused;
}

struct headers_t {
    packet_out_t packet_out;
    packet_in_t  packet_in;
}

struct metadata_t {
    @field_list(0)
    bit<9>  from;
    @field_list(0)
    bit<8>  hit;
    @field_list(0)
    bit<16> mark;
    bit<16> base;
    bit<32> value;
    bit<2>  colour;
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

// Whatever leaves says what happened to it.
control TellEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.packet_out.setInvalid();
        hdr.packet_in.setValid();
        hdr.packet_in.hit = meta.hit;
        hdr.packet_in.copy = (bit<8>) standard.instance_type;
        hdr.packet_in.mark = meta.mark;
        hdr.packet_in.base = meta.base;
        hdr.packet_in.instance = standard.egress_rid;
        hdr.packet_in.value = meta.value;
        hdr.packet_in.port = meta.from;
        hdr.packet_in.unused = 0;
    }
}

control TellDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}
