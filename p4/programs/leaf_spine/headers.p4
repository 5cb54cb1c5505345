// SPDX-License-Identifier: Apache-2.0
//
// Constants, headers and metadata of leaf_spine.

const bit<9>  CPU_PORT            = 255;
const bit<32> COPY_TO_CPU_SESSION = 511;
const bit<8>  COPY_FIELDS         = 1;

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;

const bit<8> PROTO_ICMP   = 1;
const bit<8> PROTO_TCP    = 6;
const bit<8> PROTO_UDP    = 17;
const bit<8> PROTO_ICMPV6 = 58;
const bit<8> PROTO_SCTP   = 132;

const bit<2> METER_RED = 2;

typedef bit<9>  port_t;
typedef bit<12> vlan_id_t;
typedef bit<16> next_id_t;
typedef bit<48> mac_t;

@controller_header("packet_in")
header packet_in_t {
    // The port that the frame came in by.
    port_t ingress_port;
    @padding bit<7> padding;
}

@controller_header("packet_out")
header packet_out_t {
    // Where to send the frame, as it is. Ignored when `through_pipeline` is set.
    port_t egress_port;
    // 1: treat the frame as if it had come in by CPU_PORT.
    bit<1> through_pipeline;
    @padding bit<6> padding;
}

header ethernet_t {
    mac_t   dst_addr;
    mac_t   src_addr;
    bit<16> ether_type;
}

header vlan_t {
    bit<3>    priority;
    bit<1>    drop_eligible;
    vlan_id_t vlan_id;
    bit<16>   ether_type;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<6>  dscp;
    bit<2>  ecn;
    bit<16> total_len;
    bit<16> identification;
    bit<3>  flags;
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

// What TCP, UDP and SCTP begin with. Nothing behind it is read or written.
header l4_ports_t {
    bit<16> src_port;
    bit<16> dst_port;
}

// What ICMP and ICMPv6 begin with.
header icmp_t {
    bit<8> type;
    bit<8> code;
}

struct headers_t {
    packet_out_t packet_out;
    packet_in_t  packet_in;
    ethernet_t   ethernet;
    vlan_t       vlan;
    ipv4_t       ipv4;
    ipv6_t       ipv6;
    l4_ports_t   l4;
    icmp_t       icmp;
}

struct metadata_t {
    // standard_metadata.ingress_port, kept here because a clone loses the original.
    @field_list(COPY_FIELDS)
    port_t    ingress_port;
    // The VLAN that the frame belongs to inside the switch.
    vlan_id_t vlan_id;
    next_id_t next_id;
    // The type of what Ethernet carries, behind the VLAN tag if there is one.
    bit<16>   eth_type;

    bit<1> admitted;
    bit<1> for_router;
    bit<1> is_routed;
    bit<1> ttl_expired;
    bit<1> copy_to_cpu;
    bit<1> is_flood;
    bit<1> is_raw_packet_out;
    bit<2> meter_color;

    // Zero where the frame has no such field.
    bit<8>  ip_proto;
    bit<6>  dscp;
    bit<16> l4_src_port;
    bit<16> l4_dst_port;

    // What ECMP hashes beside protocol and ports: IPv6 addresses are folded to 32 bits.
    bit<32> flow_src;
    bit<32> flow_dst;
}
