// SPDX-License-Identifier: Apache-2.0
//
// Constants, headers and metadata of vocabulary.

const bit<9>  CPU_PORT            = 255;
const bit<32> COPY_TO_CPU_SESSION = 511;

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP  = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<16> ETHERTYPE_MPLS = 0x8847;
const bit<16> ETHERTYPE_QINQ = 0x88a8;

const bit<8> PROTO_ICMP   = 1;
const bit<8> PROTO_TCP    = 6;
const bit<8> PROTO_UDP    = 17;
const bit<8> PROTO_ICMPV6 = 58;
const bit<8> PROTO_SCTP   = 132;

const bit<16> PORT_VXLAN = 4789;

const bit<8> ROUTER_SOLICITATION    = 133;
const bit<8> NEIGHBOR_SOLICITATION  = 135;
const bit<8> NEIGHBOR_ADVERTISEMENT = 136;

const bit<2> METER_RED = 2;

typedef bit<9>  port_t;
typedef bit<16> next_id_t;
typedef bit<48> mac_t;

header ethernet_t {
    mac_t   dst_addr;
    mac_t   src_addr;
    bit<16> ether_type;
}

header vlan_t {
    bit<3>  priority;
    bit<1>  drop_eligible;
    bit<12> vlan_id;
    bit<16> ether_type;
}

header mpls_t {
    bit<20> label;
    bit<3>  tc;
    bit<1>  bos;
    bit<8>  ttl;
}

header arp_t {
    bit<48> types;
    bit<16> operation;
    mac_t   sha;
    bit<32> spa;
    mac_t   tha;
    bit<32> tpa;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<6>  dscp;
    bit<2>  ecn;
    bit<16> total_len;
    bit<16> identification;
    bit<2>  flags;
    bit<1>  more_fragments;
    bit<13> frag_offset;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> src_addr;
    bit<32> dst_addr;
}

header ipv6_t {
    bit<4>   version;
    bit<6>   dscp;
    bit<2>   ecn;
    bit<20>  flow_label;
    bit<16>  payload_len;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> src_addr;
    bit<128> dst_addr;
}

// What TCP, UDP and SCTP begin with.
header l4_ports_t {
    bit<16> src_port;
    bit<16> dst_port;
}

// What follows the ports in TCP, up to its flags.
header tcp_t {
    bit<32> sequence;
    bit<32> acknowledgement;
    bit<4>  data_offset;
    bit<3>  reserved;
    bit<9>  flags;
}

// What follows the ports in UDP.
header udp_t {
    bit<16> length;
    bit<16> checksum;
}

header vxlan_t {
    bit<32> flags;
    bit<24> vni;
    bit<8>  reserved;
}

// What ICMP and ICMPv6 begin with.
header icmp_t {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
    bit<32> reserved;
}

header nd_t {
    bit<128> target;
}

// The link-layer address in neighbour discovery.
header nd_option_t {
    bit<8> type;
    bit<8> length;
    mac_t  address;
}

struct headers_t {
    ethernet_t  ethernet;
    vlan_t      vlan;
    vlan_t      inner_vlan;
    mpls_t      mpls;
    arp_t       arp;
    ipv4_t      ipv4;
    ipv6_t      ipv6;
    l4_ports_t  l4;
    tcp_t       tcp;
    udp_t       udp;
    vxlan_t     vxlan;
    icmp_t      icmp;
    nd_t        nd;
    nd_option_t sll;
    nd_option_t tll;
}

// Numbers that belong to a header are zero where the packet has no such header; the bits say which
// it has.
struct metadata_t {
    next_id_t next_id;
    // What is behind the VLAN tags, and behind the label.
    bit<16> eth_type;
    bit<16> inner_type;
    bit<1>  admitted;
    bit<1>  tagged;
    bit<1>  inner_tagged;
    bit<1>  is_ip;
    bit<1>  has_ports;
    bit<1>  copy_to_cpu;
    bit<2>  meter_color;
    bit<8>  ip_proto;
    bit<6>  dscp;
    bit<2>  ecn;
    bit<8>  ttl;
    bit<2>  frag;
    // What a filter noted.
    bit<32> note;
    bit<1>  has_queue;
    bit<3>  queue;
    bit<32> flow;
}
