// A group of members that watch ports.
#include <core.p4>
#include <v1model.p4>

header data_t { bit<8> key; bit<104> rest; }
struct headers_t { data_t data; }
struct metadata_t { }

parser read(packet_in packet, out headers_t hdr, inout metadata_t meta,
            inout standard_metadata_t standard) {
    state start { packet.extract(hdr.data); transition accept; }
}

control check(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action_selector(HashAlgorithm.identity, 64, 8) members;
    action send(bit<9> port) { standard.egress_spec = port; }
    table by_key {
        key = { hdr.data.key: exact; hdr.data.rest: selector; }
        actions = { send; NoAction; }
        implementation = members;
    }
    apply { by_key.apply(); }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }
control compute(inout headers_t hdr, inout metadata_t meta) { apply { } }
control write(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }

V1Switch(read(), check(), ingress(), egress(), compute(), write()) main;
