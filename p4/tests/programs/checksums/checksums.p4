// Checksums: verified and updated, with conditions, over headers, constants and what follows them.

#include <core.p4>
#include <v1model.p4>

header sum_t {
    bit<8>  op;
    bit<8>  wrong;
    bit<16> first;
    bit<16> second;
    bit<32> third;
    bit<32> filler;
}

struct headers_t {
    sum_t sum;
}

struct metadata_t {
    bit<8> length;
}

parser SumParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                 inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.sum);
        transition accept;
    }
}

control SumVerify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.sum.op == 1, {hdr.sum.op, 8w0, hdr.sum.filler}, hdr.sum.first,
                        HashAlgorithm.csum16);
        verify_checksum_with_payload(hdr.sum.op == 2, {hdr.sum.op, 8w7}, hdr.sum.second,
                                     HashAlgorithm.csum16);
        verify_checksum(hdr.sum.op == 3, {hdr.sum.filler}, hdr.sum.third, HashAlgorithm.crc32);
    }
}

control SumIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        hdr.sum.wrong = 7w0 ++ standard.checksum_error;
    }
}

control SumEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

control SumUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.sum.op == 4, {hdr.sum.op, hdr.sum.filler}, hdr.sum.first,
                        HashAlgorithm.csum16);
        update_checksum_with_payload(hdr.sum.op >= 4, {hdr.sum.op, hdr.sum.first}, hdr.sum.second,
                                     HashAlgorithm.csum16);
        update_checksum(hdr.sum.op == 5, {hdr.sum.op, hdr.sum.filler}, hdr.sum.third,
                        HashAlgorithm.crc32);
        update_checksum(hdr.sum.op == 6, {hdr.sum.filler}, hdr.sum.first, HashAlgorithm.xor16);
        update_checksum(hdr.sum.op == 7, {hdr.sum.filler}, hdr.sum.third, HashAlgorithm.identity);
        update_checksum(hdr.sum.op == 8, {hdr.sum.filler}, hdr.sum.first, HashAlgorithm.crc16);
    }
}

control SumDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(SumParser(), SumVerify(), SumIngress(), SumEgress(), SumUpdate(), SumDeparser()) main;
