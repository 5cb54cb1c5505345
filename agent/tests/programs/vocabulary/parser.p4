// SPDX-License-Identifier: Apache-2.0
//
// From bytes to headers and back: everything that objectives have words for.

parser VocabularyParser(packet_in packet,
                        out headers_t hdr,
                        inout metadata_t meta,
                        inout standard_metadata_t std) {

    state start {
        packet.extract(hdr.ethernet);
        transition behind_ethernet;
    }

    state behind_ethernet {
        meta.eth_type = hdr.ethernet.ether_type;
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_QINQ: parse_vlan;
            default:        behind_tags;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan);
        meta.tagged = 1;
        meta.eth_type = hdr.vlan.ether_type;
        transition select(hdr.vlan.ether_type) {
            ETHERTYPE_VLAN: parse_inner_vlan;
            default:        behind_tags;
        }
    }

    state parse_inner_vlan {
        packet.extract(hdr.inner_vlan);
        meta.inner_tagged = 1;
        meta.eth_type = hdr.inner_vlan.ether_type;
        transition behind_tags;
    }

    state behind_tags {
        transition select(meta.eth_type) {
            ETHERTYPE_MPLS: parse_mpls;
            ETHERTYPE_ARP:  parse_arp;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            default:        accept;
        }
    }

    // What is behind a label is looked at only to know what it is without.
    state parse_mpls {
        packet.extract(hdr.mpls);
        transition select(hdr.mpls.bos, packet.lookahead<bit<4>>()) {
            (1, 4):  label_before_ipv4;
            (1, 6):  label_before_ipv6;
            default: accept;
        }
    }

    state label_before_ipv4 {
        meta.inner_type = ETHERTYPE_IPV4;
        transition accept;
    }

    state label_before_ipv6 {
        meta.inner_type = ETHERTYPE_IPV6;
        transition accept;
    }

    state parse_arp {
        packet.extract(hdr.arp);
        transition accept;
    }

    // With options, or in any fragment but the first, what follows is not a transport header.
    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        meta.is_ip = 1;
        meta.ip_proto = hdr.ipv4.protocol;
        meta.dscp = hdr.ipv4.dscp;
        meta.ecn = hdr.ipv4.ecn;
        meta.ttl = hdr.ipv4.ttl;
        transition select(hdr.ipv4.ihl, hdr.ipv4.frag_offset, hdr.ipv4.protocol) {
            (5, 0, PROTO_TCP):  parse_l4_ports;
            (5, 0, PROTO_UDP):  parse_l4_ports;
            (5, 0, PROTO_SCTP): parse_l4_ports;
            (5, 0, PROTO_ICMP): parse_icmp;
            default:            accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        meta.is_ip = 1;
        meta.ip_proto = hdr.ipv6.next_header;
        meta.dscp = hdr.ipv6.dscp;
        meta.ecn = hdr.ipv6.ecn;
        meta.ttl = hdr.ipv6.hop_limit;
        transition select(hdr.ipv6.next_header) {
            PROTO_TCP:    parse_l4_ports;
            PROTO_UDP:    parse_l4_ports;
            PROTO_SCTP:   parse_l4_ports;
            PROTO_ICMPV6: parse_icmp;
            default:      accept;
        }
    }

    state parse_l4_ports {
        packet.extract(hdr.l4);
        meta.has_ports = 1;
        transition select(meta.ip_proto, hdr.l4.dst_port) {
            (PROTO_TCP, _):          parse_tcp;
            (PROTO_UDP, PORT_VXLAN): parse_vxlan;
            default:                 accept;
        }
    }

    state parse_tcp {
        packet.extract(hdr.tcp);
        transition accept;
    }

    state parse_vxlan {
        packet.extract(hdr.udp);
        packet.extract(hdr.vxlan);
        transition accept;
    }

    state parse_icmp {
        packet.extract(hdr.icmp);
        transition select(meta.ip_proto, hdr.icmp.type) {
            (PROTO_ICMPV6, ROUTER_SOLICITATION):    parse_option;
            (PROTO_ICMPV6, NEIGHBOR_SOLICITATION):  parse_nd;
            (PROTO_ICMPV6, NEIGHBOR_ADVERTISEMENT): parse_nd;
            default:                                accept;
        }
    }

    state parse_nd {
        packet.extract(hdr.nd);
        transition parse_option;
    }

    // The first option alone.
    state parse_option {
        transition select(packet.lookahead<bit<16>>()) {
            0x0101:  parse_sll;
            0x0201:  parse_tll;
            default: accept;
        }
    }

    state parse_sll {
        packet.extract(hdr.sll);
        transition accept;
    }

    state parse_tll {
        packet.extract(hdr.tll);
        transition accept;
    }
}

control VocabularyDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.vlan);
        packet.emit(hdr.inner_vlan);
        packet.emit(hdr.mpls);
        packet.emit(hdr.arp);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.l4);
        packet.emit(hdr.tcp);
        packet.emit(hdr.udp);
        packet.emit(hdr.vxlan);
        packet.emit(hdr.icmp);
        packet.emit(hdr.nd);
        packet.emit(hdr.sll);
        packet.emit(hdr.tll);
    }
}

control VocabularyVerifyChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control VocabularyComputeChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid() && hdr.ipv4.ihl == 5,
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.dscp, hdr.ipv4.ecn, hdr.ipv4.total_len,
              hdr.ipv4.identification, hdr.ipv4.flags, hdr.ipv4.more_fragments,
              hdr.ipv4.frag_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src_addr,
              hdr.ipv4.dst_addr },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}
