// Meters: all three colours, of a cell and of an entry, by packets and by bytes.

struct metadata_t {
    bit<2> color;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    meter(4, MeterType.packets) by_packets;
    meter(4, MeterType.bytes) by_bytes;
    apply {
        standard.egress_spec = 2;
        bit<8> color = 0xff;
        if (hdr.probe.op == 0) {
            by_packets.execute_meter((bit<32>) hdr.probe.arg, color);
        } else {
            by_bytes.execute_meter((bit<32>) hdr.probe.arg, color);
        }
        hdr.probe.b = (bit<16>) color;
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
