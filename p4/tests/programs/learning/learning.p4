// A learning switch: digests of sources that it does not know, idle timeouts of those that it knows, and
// meters of all kinds.

#include <core.p4>
#include <v1model.p4>

@p4runtime_translation("", string)
type bit<9> port_name_t;

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

// What a digest can have: fields, a field that controllers see as a string, a bool, and a struct.
struct frame_t {
    bit<16> type;
    bool broadcast;
}

struct learned_t {
    bit<48> source;
    port_name_t port;
    frame_t frame;
}

struct headers_t {
    ethernet_t ethernet;
}

struct metadata_t {
    bit<2> color;
}

parser SwitchParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.ethernet);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control SwitchIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    direct_meter<bit<2>>(MeterType.packets) rate;
    direct_counter(CounterType.packets) forwarded;
    @single_rate_three_color
    meter(512, MeterType.packets) excess;
    @single_rate_two_color
    meter(512, MeterType.bytes) volume;

    action learn() {
        learned_t learned;
        learned.source = hdr.ethernet.src;
        learned.port = (port_name_t) standard.ingress_port;
        learned.frame.type = hdr.ethernet.type;
        learned.frame.broadcast = hdr.ethernet.dst == 0xffffffffffff;
        digest(1, learned);
    }

    table sources {
        key = {
            hdr.ethernet.src : exact;
            standard.ingress_port : exact;
        }
        actions = { NoAction; learn; }
        const default_action = learn();
        support_timeout = true;
        size = 4096;
    }

    action forward(bit<9> port) {
        rate.read(meta.color);
        forwarded.count();
        standard.egress_spec = port;
    }

    action drop() {
        mark_to_drop(standard);
    }

    table destinations {
        key = { hdr.ethernet.dst : exact; }
        actions = { forward; drop; }
        const default_action = drop();
        support_timeout = true;
        counters = forwarded;
        meters = rate;
        size = 4096;
    }

    apply {
        sources.apply();
        destinations.apply();
        bit<2> color = 0;
        excess.execute_meter((bit<32>) standard.ingress_port, color);
        if (meta.color == 2 || color == 2) {
            mark_to_drop(standard);
        }
        volume.execute_meter((bit<32>) standard.ingress_port, color);
        if (color == 2) {
            mark_to_drop(standard);
        }
    }
}

control SwitchEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control SwitchDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
    }
}

V1Switch(SwitchParser(), NoVerify(), SwitchIngress(), SwitchEgress(), NoUpdate(), SwitchDeparser()) main;
