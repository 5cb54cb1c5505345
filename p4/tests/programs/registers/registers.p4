// Registers: arithmetic over packets, indices that are out of range, and cells wider than a word.

struct metadata_t {
}

#include "../probe.p4"

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    register<bit<32>>(8) sums;
    register<bit<100>>(2) wide;
    register<int<16>>(2) signed;
    register<bit<1>>(4) flags;
    apply {
        standard.egress_spec = 2;
        bit<32> sum = 0xffffffff;
        if (hdr.probe.op == 0) {
            sums.read(sum, (bit<32>) hdr.probe.arg);
            sum = sum + (bit<32>) hdr.probe.a;
            sums.write((bit<32>) hdr.probe.arg, sum);
            hdr.probe.c = sum;
        } else if (hdr.probe.op == 1) {
            bit<100> all;
            wide.read(all, (bit<32>) hdr.probe.arg);
            all = (all << 16) | (bit<100>) hdr.probe.a;
            wide.write((bit<32>) hdr.probe.arg, all);
            hdr.probe.b = 12w0 ++ all[99:96];
            hdr.probe.c = all[95:64];
            hdr.probe.d = all[31:0];
        } else if (hdr.probe.op == 2) {
            int<16> least;
            signed.read(least, (bit<32>) hdr.probe.arg);
            if ((int<16>) hdr.probe.a < least) {
                least = (int<16>) hdr.probe.a;
                signed.write((bit<32>) hdr.probe.arg, least);
            }
            hdr.probe.b = (bit<16>) least;
            hdr.probe.c = (bit<32>) (int<32>) least;
        } else if (hdr.probe.op == 3) {
            bit<1> seen;
            flags.read(seen, (bit<32>) hdr.probe.arg);
            flags.write((bit<32>) hdr.probe.arg, 1);
            hdr.probe.b = (bit<16>) seen;
        }
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

V1Switch(ProbeParser(), NoVerify(), ProbeIngress(), ProbeEgress(), NoUpdate(), ProbeDeparser()) main;
