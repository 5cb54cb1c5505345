// Headers whose length packets decide, and state that packets leave behind.
#include <core.p4>
#include <v1model.p4>

header first_t { bit<8> kind; bit<8> words; bit<16> key; bit<80> rest; }
header options_t { varbit<128> bytes; }
header label_t { bit<7> value; bit<1> last; }

struct headers_t { first_t first; options_t options; label_t[4] labels; }
struct metadata_t { bit<8> seen; }

parser read(packet_in packet, out headers_t hdr, inout metadata_t meta,
             inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.first);
        transition select(hdr.first.kind) {
            1: options;
            2 &&& 6: labels;
            default: accept;
        }
    }
    state options {
        packet.extract(hdr.options, (bit<32>) hdr.first.words * 8);
        transition accept;
    }
    state labels {
        packet.extract(hdr.labels.next);
        transition select(hdr.labels.last.last) {
            0: labels;
            default: accept;
        }
    }
}

control check(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    register<bit<8>>(16) seen;
    direct_counter(CounterType.packets_and_bytes) hits;
    action drop() { mark_to_drop(standard); }
    action forward(bit<9> port) { standard.egress_spec = port; }
    action pop(bit<9> port) { standard.egress_spec = port; hdr.labels.pop_front(1); }
    table by_key {
        key = { hdr.first.key: range; hdr.first.words: ternary; standard.parser_error: exact; }
        actions = { drop; forward; pop; }
        default_action = drop();
        counters = hits;
    }
    apply {
        by_key.apply();
        seen.read(meta.seen, (bit<32>) hdr.first.kind & 15);
        hdr.first.kind = meta.seen;
        seen.write((bit<32>) hdr.first.kind & 15, meta.seen + 1);
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }
control compute(inout headers_t hdr, inout metadata_t meta) { apply { } }
control deparse(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }

V1Switch(read(), check(), ingress(), egress(), compute(), deparse()) main;
