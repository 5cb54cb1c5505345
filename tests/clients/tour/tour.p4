// A switch with one of everything that P4Runtime can write, for clients to drive.
//
// A frame is learned (a digest), filtered (acl), metered and counted; then bridged by its
// destination, or, if it is IPv4 to the router's address, routed by a group of next hops.

#include <core.p4>
#include <v1model.p4>

const bit<9> CPU_PORT = 255;

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    bit<1> through_pipeline;
    @padding bit<6> padding;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv4_t {
    bit<8>  version_ihl;
    bit<8>  dscp_ecn;
    bit<16> length;
    bit<16> id;
    bit<16> fragment;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

struct headers_t {
    packet_in_t  packet_in;
    packet_out_t packet_out;
    ethernet_t   ethernet;
    ipv4_t       ipv4;
}

struct learned_t {
    bit<48> src;
    bit<9>  port;
}

struct metadata_t {
    bit<2>  color;
    bit<1>  is_routed;
    bit<7>  reason;
    @field_list(1)
    bit<9>  came_from;
}

parser TourParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                  inout standard_metadata_t standard) {
    // Types of Ethernet whose frames go on as IPv4.
    value_set<bit<16>>(4) ipv4_types;

    state start {
        transition select(standard.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }
    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }
    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x0800: parse_ipv4;
            ipv4_types: parse_ipv4;
            default: accept;
        }
    }
    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition accept;
    }
}

control TourVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control TourIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    counter(512, CounterType.packets_and_bytes) port_counter;
    meter(512, MeterType.packets) port_meter;
    register<bit<32>>(512) last_length;
    direct_counter(CounterType.packets) host_counter;
    direct_meter<bit<2>>(MeterType.bytes) acl_meter;
    action_selector(HashAlgorithm.crc16, 128, 16) next_hops;
    action_profile(16) labels;

    action drop() { mark_to_drop(standard); }
    action punt(bit<7> reason) {
        meta.reason = reason;
        standard.egress_spec = CPU_PORT;
    }

    // --- sources
    action learn() {
        digest<learned_t>(1, { hdr.ethernet.src, standard.ingress_port });
    }
    action known() { }
    table sources {
        key = { hdr.ethernet.src: exact; standard.ingress_port: exact; }
        actions = { known; learn; }
        const default_action = learn();
        support_timeout = true;
        size = 16384;
    }

    // --- destinations
    action forward(bit<9> port) { host_counter.count(); standard.egress_spec = port; }
    action flood(bit<16> group) { host_counter.count(); standard.mcast_grp = group; }
    action to_router() { host_counter.count(); meta.is_routed = 1; }
    action unknown() { host_counter.count(); mark_to_drop(standard); }
    table hosts {
        key = { hdr.ethernet.dst: exact; }
        actions = { forward; flood; to_router; @defaultonly unknown; }
        default_action = unknown();
        counters = host_counter;
        size = 16384;
    }

    // --- routes
    action next_hop(bit<9> port, bit<48> dst) {
        standard.egress_spec = port;
        hdr.ethernet.dst = dst;
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
    }
    table routes {
        key = {
            hdr.ipv4.dst: lpm;
            hdr.ipv4.src: selector;
            hdr.ipv4.protocol: selector;
        }
        actions = { next_hop; drop; }
        implementation = next_hops;
        size = 4096;
    }

    // --- acl
    action permit() { acl_meter.read(meta.color); }
    action deny() { acl_meter.read(meta.color); mark_to_drop(standard); }
    action copy(bit<32> session) { acl_meter.read(meta.color); clone_preserving_field_list(CloneType.I2E, session, 1); }
    action acl_punt(bit<7> reason) {
        acl_meter.read(meta.color);
        meta.reason = reason;
        standard.egress_spec = CPU_PORT;
        standard.mcast_grp = 0;
    }
    table acl {
        key = {
            standard.ingress_port: optional;
            hdr.ethernet.dst: ternary;
            hdr.ethernet.type: ternary;
            hdr.ipv4.protocol: range;
        }
        actions = { permit; deny; copy; acl_punt; }
        const default_action = permit();
        meters = acl_meter;
        size = 256;
    }

    // --- labels
    action set_dscp(bit<6> dscp) { hdr.ipv4.dscp_ecn[7:2] = dscp; }
    table label {
        key = { standard.ingress_port: exact; }
        actions = { set_dscp; NoAction; }
        implementation = labels;
        size = 64;
    }

    apply {
        meta.reason = 0;
        meta.came_from = standard.ingress_port;
        if (hdr.packet_out.isValid() && hdr.packet_out.through_pipeline == 0) {
            standard.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
        } else {
            hdr.packet_out.setInvalid();
            port_counter.count((bit<32>) standard.ingress_port);
            last_length.write((bit<32>) standard.ingress_port, standard.packet_length);
            port_meter.execute_meter((bit<32>) standard.ingress_port, meta.color);
            if (meta.color == 2) {
                mark_to_drop(standard);
            } else {
                sources.apply();
                hosts.apply();
                if (hdr.ipv4.isValid()) {
                    label.apply();
                    if (meta.is_routed == 1) {
                        routes.apply();
                    }
                }
                acl.apply();
                if (meta.color == 2) {
                    mark_to_drop(standard);
                }
            }
        }
    }
}

control TourEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (standard.egress_rid != 0 && standard.egress_port == standard.ingress_port) {
            mark_to_drop(standard);
        }
        if (standard.egress_port == CPU_PORT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.came_from;
            hdr.packet_in.reason = meta.reason;
        }
    }
}

control TourUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid(),
            { hdr.ipv4.version_ihl, hdr.ipv4.dscp_ecn, hdr.ipv4.length, hdr.ipv4.id, hdr.ipv4.fragment,
              hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control TourDeparser(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr); }
}

V1Switch(TourParser(), TourVerify(), TourIngress(), TourEgress(), TourUpdate(), TourDeparser()) main;
