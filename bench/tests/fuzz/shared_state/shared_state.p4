// State that packets share, some of which stay in the kernel and some of which go through ingress again.
#include <core.p4>
#include <v1model.p4>

header data_t { bit<8> again; bit<8> color; bit<32> seen; bit<64> rest; }
struct headers_t { data_t data; }
struct metadata_t { }

parser read(packet_in packet, out headers_t hdr, inout metadata_t meta,
            inout standard_metadata_t standard) {
    state start { packet.extract(hdr.data); transition accept; }
}

control check(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    meter(4, MeterType.bytes) limit;
    counter(4, CounterType.packets_and_bytes) passed;
    register<bit<32>>(4) seen;
    apply {
        limit.execute_meter(32w1, hdr.data.color);
        passed.count((bit<32>) hdr.data.color);
        seen.read(hdr.data.seen, 2);
        seen.write(2, hdr.data.seen + 1);
        if (hdr.data.again == 1 && standard.instance_type == 0) {
            resubmit_preserving_field_list(0);
        }
        standard.egress_spec = 3;
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (hdr.data.again == 2) {
            hdr.data.again = 0;
            recirculate_preserving_field_list(0);
        }
    }
}
control compute(inout headers_t hdr, inout metadata_t meta) { apply { } }
control write(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }

V1Switch(read(), check(), ingress(), egress(), compute(), write()) main;
