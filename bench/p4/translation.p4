// Types that controllers see otherwise than the program does: ports as 32 bits or names, identifiers as
// strings or wider numbers, in keys, parameters, packet metadata and as indices of cells.

#include <core.p4>
#define V1MODEL_VERSION 20200408
#include <v1model.p4>

@p4runtime_translation("p4.org/psa/v1/PortId_t", bit<32>)
type bit<9> port_t;
@p4runtime_translation("conformance/name", string)
type bit<16> name_t;
@p4runtime_translation("conformance/wide", bit<32>)
type bit<16> wide_t;

const bit<8> OP_NAME = 1;
const bit<8> OP_WIDE = 2;
const bit<8> OP_PORT = 3;
const bit<8> OP_COUNT = 4;

@controller_header("packet_out")
header packet_out_t {
    bit<8>  op;
    bit<8>  k8;
    name_t  name;
    wide_t  wide;
    port_t  port;
    bit<7>  unused;
}

@controller_header("packet_in")
header packet_in_t {
    bit<8> hit;
    name_t name;
    wide_t wide;
    port_t port;
    bit<7> unused;
}

struct headers_t {
    packet_out_t packet_out;
    packet_in_t  packet_in;
}

struct metadata_t {
    bit<8> hit;
    name_t name;
    wide_t wide;
    port_t port;
}

parser TranslationParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                         inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.packet_out);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control TranslationIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    @name("port_counts") counter<port_t>(512, CounterType.packets) port_counts;

    action give(name_t name, wide_t wide, port_t port) {
        meta.name = name;
        meta.wide = wide;
        meta.port = port;
    }
    // What is written into one table as a parameter is matched in the next as a key.
    @name("give_table") table give_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { give; NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("name_table") table name_table {
        key = { meta.name: exact @name("name"); }
        actions = { NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("wide_table") table wide_table {
        key = { meta.wide: exact @name("wide"); }
        actions = { NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("port_table") table port_table {
        key = { hdr.packet_out.port: exact @name("port"); }
        actions = { NoAction; }
        default_action = NoAction();
        size = 16;
    }
    @name("optional_port_table") table optional_port_table {
        key = { hdr.packet_out.port: optional @name("port"); }
        actions = { NoAction; }
        default_action = NoAction();
        size = 16;
    }

    apply {
        standard.egress_spec = standard.ingress_port;
        meta.name = hdr.packet_out.name;
        meta.wide = hdr.packet_out.wide;
        meta.port = hdr.packet_out.port;
        bool hit = give_table.apply().hit;
        if (hdr.packet_out.op == OP_NAME) { hit = name_table.apply().hit; }
        else if (hdr.packet_out.op == OP_WIDE) { hit = wide_table.apply().hit; }
        else if (hdr.packet_out.op == OP_PORT) { hit = port_table.apply().hit || optional_port_table.apply().hit; }
        else if (hdr.packet_out.op == OP_COUNT) { port_counts.count(hdr.packet_out.port); }
        if (hit) { meta.hit = 1; }
    }
}

control TranslationEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.packet_out.setInvalid();
        hdr.packet_in.setValid();
        hdr.packet_in.hit = meta.hit;
        hdr.packet_in.name = meta.name;
        hdr.packet_in.wide = meta.wide;
        hdr.packet_in.port = meta.port;
        hdr.packet_in.unused = 0;
    }
}

control NoUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control TranslationDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(TranslationParser(), NoVerify(), TranslationIngress(), TranslationEgress(), NoUpdate(),
         TranslationDeparser()) main;
