// Hashes: every algorithm over fields that do not end at bytes, and their base and range.

struct metadata_t {
    bit<12> twelve;
    bit<4>  four;
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        meta.twelve = hdr.probe.a[11:0];
        meta.four = hdr.probe.a[15:12];
        bit<16> base = hdr.probe.b;
        bit<32> size = (bit<32>) hdr.probe.arg << 8;
        if (hdr.probe.op == 0) {
            hash(hdr.probe.c, HashAlgorithm.crc32, 32w0, {hdr.probe.a, meta.twelve}, 33w0x100000000);
            hash(hdr.probe.d, HashAlgorithm.crc32, base, {hdr.probe.a, hdr.probe.op}, size);
        } else if (hdr.probe.op == 1) {
            hash(hdr.probe.c, HashAlgorithm.crc16, 32w0, {hdr.probe.a, meta.four}, 32w0x10000);
            hash(hdr.probe.d, HashAlgorithm.crc16, base, {hdr.probe.a, hdr.probe.op}, size);
        } else if (hdr.probe.op == 2) {
            hash(hdr.probe.c, HashAlgorithm.csum16, 32w0, {hdr.probe.a, meta.four, meta.twelve}, 32w0x10000);
            hash(hdr.probe.d, HashAlgorithm.csum16, base, {hdr.probe.op, hdr.probe.a, hdr.probe.b}, size);
        } else if (hdr.probe.op == 3) {
            hash(hdr.probe.c, HashAlgorithm.xor16, 32w0, {hdr.probe.a, hdr.probe.b}, 32w0x10000);
            hash(hdr.probe.d, HashAlgorithm.xor16, base, {hdr.probe.a, hdr.probe.b, hdr.probe.op}, size);
        } else if (hdr.probe.op == 4) {
            hash(hdr.probe.c, HashAlgorithm.identity, 32w0, {meta.four, hdr.probe.b}, 33w0x100000000);
            hash(hdr.probe.d, HashAlgorithm.identity, base, {hdr.probe.a, hdr.probe.b}, size);
        } else if (hdr.probe.op == 5) {
            hash(hdr.probe.c, HashAlgorithm.crc32_custom, 32w0, {hdr.probe.a}, 33w0x100000000);
            hash(hdr.probe.d, HashAlgorithm.crc16_custom, 32w0, {hdr.probe.a}, 32w0x10000);
        } else if (hdr.probe.op == 6) {
            // p4c copies what it hashes: fields of an invalid header count.
            hdr.marks[0].setValid();
            hdr.marks[0].mark = hdr.probe.b;
            hdr.marks[1].setValid();
            hdr.marks[1].mark = hdr.probe.a;
            if (hdr.probe.arg[0:0] == 0) {
                hdr.marks[0].setInvalid();
            }
            if (hdr.probe.arg[1:1] == 0) {
                hdr.marks[1].setInvalid();
            }
            hash(hdr.probe.c, HashAlgorithm.crc32, 32w0,
                 {hdr.marks[0].mark, hdr.probe.a, hdr.marks[1].mark}, 33w0x100000000);
            hash(hdr.probe.d[15:0], HashAlgorithm.crc16, 16w0, {hdr.marks[0].mark, hdr.marks[1].mark},
                 32w0x10000);
            hash(hdr.probe.d[31:16], HashAlgorithm.csum16, 16w0,
                 {hdr.probe.op, hdr.marks[0].mark, hdr.marks[1].mark}, 32w0x10000);
            hash(hdr.probe.b, HashAlgorithm.identity, 16w0, {hdr.marks[1].mark, hdr.marks[0].mark},
                 32w0x10000);
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
