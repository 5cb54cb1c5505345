// One of everything that P4Runtime can write, for the tests of the agent.

#include <core.p4>
#define V1MODEL_VERSION 20200408
#include <v1model.p4>

@p4runtime_translation("pointsman.test/port_id_t", 32)
type bit<9> port_id_t;
@p4runtime_translation("pointsman.test/vrf_t", string)
type bit<10> vrf_t;

@controller_header("packet_in")
header packet_in_t {
    port_id_t ingress_port;
    @padding bit<7> pad;
}

@controller_header("packet_out")
header packet_out_t {
    port_id_t egress_port;
    @padding bit<7> pad;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header body_t {
    bit<32> a;
    bit<32> b;
    bit<16> c;
    bit<8> d;
    bit<8> e;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    body_t body;
}

struct metadata_t {
    vrf_t vrf;
    port_id_t port;
    bit<16> choice;
}

parser ParserImpl(packet_in packet, out headers_t hdr, inout metadata_t meta,
                  inout standard_metadata_t standard) {
    @name("bodies") value_set<bit<16>>(3) bodies;
    state start {
        meta.vrf = (vrf_t)0;
        meta.port = (port_id_t)standard.ingress_port;
        transition select(standard.ingress_port) {
            255: controller;
            default: ethernet;
        }
    }
    state controller {
        packet.extract(hdr.packet_out);
        transition ethernet;
    }
    state ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x1234: body;
            bodies: body;
            default: accept;
        }
    }
    state body {
        packet.extract(hdr.body);
        transition accept;
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    direct_counter(CounterType.packets_and_bytes) hits;
    direct_meter<bit<2>>(MeterType.bytes) rates;
    counter<port_id_t>(512, CounterType.packets) by_port;
    meter<bit<3>>(8, MeterType.packets) limits;
    register<bit<48>, bit<4>>(16) cells;
    register<int<8>, port_id_t>(512) signed_cells;
    @max_group_size(8) action_selector(HashAlgorithm.crc16, 32, 14) choices;
    action_profile(4) nexts;
    bit<2> colour = 0;

    action refuse() {
        mark_to_drop(standard);
    }
    action send(port_id_t port) {
        standard.egress_spec = (bit<9>)port;
        by_port.count(port);
    }
    @action_restriction("
        // Group 0 is no group.
        group != 0;
    ")
    action replicate(bit<16> group) {
        standard.mcast_grp = group;
    }
    action mirror(bit<16> session, @refers_to(vrf_table, vrf) vrf_t vrf) {
        clone(CloneType.I2E, (bit<32>)session);
        meta.vrf = vrf;
    }
    action set_vrf(@refers_to(vrf_table, vrf) vrf_t vrf) {
        meta.vrf = vrf;
    }
    action learn(bit<16> choice) {
        meta.choice = choice;
    }
    action colour_it() {
        rates.read(colour);
    }

    table vrf_table {
        key = {
            meta.vrf: exact @name("vrf");
        }
        actions = { NoAction; }
        const default_action = NoAction;
        size = 64;
    }

    @entry_restriction("
        // An address is matched only in a virtual router.
        a::mask != 0 -> vrf != '';
        ::priority < 1000;
    ")
    table acl {
        key = {
            meta.vrf: exact @name("vrf") @refers_to(vrf_table, vrf);
            hdr.body.a: ternary @name("a");
            hdr.body.c: range @name("c");
            meta.port: optional @name("port");
        }
        actions = { @tableonly send; replicate; mirror; learn; @defaultonly refuse; NoAction; }
        default_action = refuse();
        size = 64;
    }
    table classify {
        key = {
            hdr.ethernet.dst: exact @name("dst");
        }
        actions = { set_vrf; NoAction; }
        counters = hits;
        size = 64;
    }
    table metered {
        key = {
            hdr.ethernet.src: exact @name("src");
        }
        actions = { colour_it; NoAction; }
        default_action = NoAction();
        meters = rates;
        size = 64;
    }
    table routes {
        key = {
            hdr.body.b: lpm @name("b");
            meta.choice: selector;
        }
        actions = { send; replicate; NoAction; }
        implementation = choices;
        size = 64;
    }
    table indirect {
        key = {
            hdr.body.d: exact @name("d");
        }
        actions = { send; learn; }
        implementation = nexts;
        size = 16;
    }
    table fixed_entries {
        key = {
            hdr.body.e: ternary @name("e");
        }
        actions = { learn; NoAction; }
        const entries = {
            0x01 &&& 0x0f: learn(1);
            0x10 &&& 0xf0: learn(2);
        }
        const default_action = NoAction();
    }
    table keyless {
        actions = { learn; NoAction; }
        default_action = learn(7);
    }

    apply {
        if (hdr.packet_out.isValid()) {
            standard.egress_spec = (bit<9>)hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
        } else {
            keyless.apply();
            classify.apply();
            metered.apply();
            vrf_table.apply();
            if (hdr.body.isValid()) {
                fixed_entries.apply();
                indirect.apply();
                routes.apply();
            }
            acl.apply();
            limits.execute_meter((bit<3>)0, colour);
            if (hdr.ethernet.type == 0x4321) {
                bit<48> seen;
                int<8> step;
                cells.read(seen, 0);
                cells.write(0, seen + 1);
                signed_cells.read(step, (port_id_t)0);
                signed_cells.write((port_id_t)0, step - 1);
            }
        }
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (standard.egress_port == 255) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = (port_id_t)standard.ingress_port;
            hdr.packet_in.pad = 0;
        }
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control DeparserImpl(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.body);
    }
}

V1Switch(ParserImpl(), Verify(), ingress(), egress(), Compute(), DeparserImpl()) main;
