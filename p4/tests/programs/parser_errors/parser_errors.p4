// Parser errors: what was parsed stays, ingress runs and sees which error it was.

#include <core.p4>
#include <v1model.p4>

error {
    WrongMagic,
    WrongSum
}

header lead_t {
    bit<8>  op;
    bit<8>  arg;
    bit<16> failure;
    bit<80> filler;
}

header item_t {
    bit<4>  last;
    bit<4>  kind;
    bit<8>  value;
}

header tail_t {
    bit<8>      length;
    varbit<32>  data;
}

struct headers_t {
    lead_t    lead;
    item_t[3] items;
    tail_t    tail;
}

struct metadata_t {
    bit<8> sum;
}

parser ErrorParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                   inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.lead);
        meta.sum = 0;
        transition select(hdr.lead.op) {
            1: magic;
            2: items;
            3: skip;
            4: tail;
            5: peek;
            6 .. 7: no_way;
            default: accept;
        }
    }
    state magic {
        verify(hdr.lead.arg == 0x42, error.WrongMagic);
        transition accept;
    }
    state items {
        packet.extract(hdr.items.next);
        meta.sum = meta.sum + hdr.items.last.value;
        verify(meta.sum < 0xf0, error.WrongSum);
        transition select(hdr.items.last.last) {
            0: items;
            default: accept;
        }
    }
    state skip {
        packet.advance((bit<32>) hdr.lead.arg << 3);
        packet.extract(hdr.items.next);
        transition accept;
    }
    state tail {
        packet.extract(hdr.tail, (bit<32>) packet.lookahead<bit<8>>());
        transition accept;
    }
    state peek {
        meta.sum = packet.lookahead<bit<24>>()[7:0];
        transition accept;
    }
    state no_way {
        transition select(hdr.lead.arg) {
            1: accept;
        }
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control ErrorIngress(inout headers_t hdr, inout metadata_t meta,
                     inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        hdr.lead.failure = 0xff;
        if (standard.parser_error == error.NoError) {
            hdr.lead.failure = 0;
        } else if (standard.parser_error == error.PacketTooShort) {
            hdr.lead.failure = 1;
        } else if (standard.parser_error == error.NoMatch) {
            hdr.lead.failure = 2;
        } else if (standard.parser_error == error.StackOutOfBounds) {
            hdr.lead.failure = 3;
        } else if (standard.parser_error == error.HeaderTooShort) {
            hdr.lead.failure = 4;
        } else if (standard.parser_error == error.ParserInvalidArgument) {
            hdr.lead.failure = 6;
        } else if (standard.parser_error == error.WrongMagic) {
            hdr.lead.failure = 7;
        } else if (standard.parser_error == error.WrongSum) {
            hdr.lead.failure = 8;
        }
        hdr.lead.failure[15:8] = meta.sum;
    }
}

control ErrorEgress(inout headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t standard) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control ErrorDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(ErrorParser(), NoVerify(), ErrorIngress(), ErrorEgress(), NoUpdate(), ErrorDeparser()) main;
