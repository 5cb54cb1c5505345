// The program of most of the conformance suite: every kind of table, key and extern that P4Runtime has a
// message for, each behind an operation of its own, so that a packet meets exactly one of them.

#include "headers.p4"

const bit<8> OP_ECHO = 0;
const bit<8> OP_EXACT = 1;
const bit<8> OP_LPM = 2;
const bit<8> OP_TERNARY = 3;
const bit<8> OP_RANGE = 4;
const bit<8> OP_OPTIONAL = 5;
const bit<8> OP_WIDE = 6;
const bit<8> OP_KEYLESS = 7;
const bit<8> OP_CONST = 8;
const bit<8> OP_INITIAL = 9;
const bit<8> OP_FIXED = 10;
const bit<8> OP_SCOPED = 11;
const bit<8> OP_DIRECT = 12;
const bit<8> OP_IDLE = 13;
const bit<8> OP_MEMBER = 14;
const bit<8> OP_GROUP = 15;
const bit<8> OP_ONE_SHOT = 16;
const bit<8> OP_UNWEIGHTED = 17;
const bit<8> OP_PAIR = 18;
const bit<8> OP_COUNT = 20;
const bit<8> OP_METER = 21;
const bit<8> OP_REGISTER = 22;
const bit<8> OP_VALUE_SET = 23;
const bit<8> OP_MULTICAST = 24;
const bit<8> OP_CLONE = 25;
const bit<8> OP_DIGEST = 26;

struct flow_t {
    bit<8>  kind;
    bit<16> id;
}

struct learned_t {
    bit<16> key;
    bit<9>  port;
}

parser EntitiesParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                      inout standard_metadata_t standard) {
    value_set<bit<16>>(4) kinds;
    value_set<flow_t>(4) flows;
    state start {
        packet.extract(hdr.packet_out);
        transition select(hdr.packet_out.op) {
            OP_VALUE_SET: in_kinds;
            default: accept;
        }
    }
    state in_kinds {
        transition select(hdr.packet_out.k16) {
            kinds: of_a_kind;
            default: in_flows;
        }
    }
    state of_a_kind {
        meta.hit = 1;
        transition in_flows;
    }
    state in_flows {
        transition select(hdr.packet_out.k8, hdr.packet_out.k16) {
            flows: of_a_flow;
            default: accept;
        }
    }
    state of_a_flow {
        meta.mark = 1;
        transition accept;
    }
}

// The tables of which only key and action matter.
control Matches(inout headers_t hdr, inout metadata_t meta) {
    action mark(bit<16> value) { meta.mark = value; }
    action narrow(bit<9> value) { meta.mark = (bit<16>) value; }
    action pair(bit<8> high, bit<8> low) { meta.mark = high ++ low; }
    action other(bit<16> value) { meta.mark = value; }

    @name("exact_table") table exact_table {
        key = { hdr.packet_out.k8: exact @name("k8"); hdr.packet_out.k16: exact @name("k16"); }
        actions = { mark; narrow; pair; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("lpm_table") table lpm_table {
        key = { hdr.packet_out.k32: lpm @name("k32"); }
        actions = { mark; NoAction; }
        default_action = mark(0xffff);
        size = 64;
    }
    @name("ternary_table") table ternary_table {
        key = { hdr.packet_out.k16: ternary @name("k16"); hdr.packet_out.k8: ternary @name("k8"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("range_table") table range_table {
        key = { hdr.packet_out.k16: range @name("k16"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("optional_table") table optional_table {
        key = { hdr.packet_out.k16: optional @name("k16"); hdr.packet_out.k8: exact @name("k8"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("wide_table") table wide_table {
        key = { hdr.packet_out.k128: exact @name("k128"); hdr.packet_out.k9: exact @name("k9"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("keyless_table") table keyless_table {
        key = { }
        actions = { mark; NoAction; }
        default_action = mark(7);
    }
    @name("scoped_table") table scoped_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { @tableonly mark; @defaultonly other; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("fixed_table") table fixed_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { mark; NoAction; }
        const default_action = mark(9);
        size = 64;
    }

    apply {
        bool hit = false;
        if (hdr.packet_out.op == OP_EXACT) { hit = exact_table.apply().hit; }
        else if (hdr.packet_out.op == OP_LPM) { hit = lpm_table.apply().hit; }
        else if (hdr.packet_out.op == OP_TERNARY) { hit = ternary_table.apply().hit; }
        else if (hdr.packet_out.op == OP_RANGE) { hit = range_table.apply().hit; }
        else if (hdr.packet_out.op == OP_OPTIONAL) { hit = optional_table.apply().hit; }
        else if (hdr.packet_out.op == OP_WIDE) { hit = wide_table.apply().hit; }
        else if (hdr.packet_out.op == OP_KEYLESS) { hit = keyless_table.apply().hit; }
        else if (hdr.packet_out.op == OP_SCOPED) { hit = scoped_table.apply().hit; }
        else if (hdr.packet_out.op == OP_FIXED) { hit = fixed_table.apply().hit; }
        if (hit) { meta.hit = 1; }
    }
}

// Tables with more to them than key and action: entries of the program, direct resources, timeouts.
control Declared(inout headers_t hdr, inout metadata_t meta) {
    direct_counter(CounterType.packets_and_bytes) const_counter;
    direct_counter(CounterType.packets_and_bytes) direct_counts;
    direct_meter<bit<2>>(MeterType.packets) direct_rates;

    action mark(bit<16> value) { meta.mark = value; }
    action set_base(bit<16> value) { meta.base = value; }
    action metered(bit<16> value) {
        meta.mark = value;
        direct_counts.count();
        direct_rates.read(meta.colour);
    }

    @name("const_table") table const_table {
        key = { hdr.packet_out.k16: ternary @name("k16"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        counters = const_counter;
        const entries = {
            0x0001: mark(1);
            0x0000 &&& 0xff00: mark(2);
            0x0100 &&& 0xff00: mark(3);
        }
    }
    // As `entries`: p4info says that these are initial entries, which may be changed.
    @name("initial_table") table initial_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        const entries = {
            1: mark(11);
            2: mark(12);
            3: mark(13);
            4: mark(14);
        }
    }
    @name("direct_table") table direct_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { metered; }
        default_action = metered(0);
        counters = direct_counts;
        meters = direct_rates;
        size = 16;
    }
    @name("idle_table") table idle_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        support_timeout = true;
        size = 64;
    }
    // Two tables that one packet goes through: does it see both halves of a batch?
    @name("first_table") table first_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { mark; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    @name("second_table") table second_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { set_base; NoAction; }
        default_action = NoAction();
        size = 64;
    }

    apply {
        bool hit = false;
        if (hdr.packet_out.op == OP_CONST) { hit = const_table.apply().hit; }
        else if (hdr.packet_out.op == OP_INITIAL) { hit = initial_table.apply().hit; }
        else if (hdr.packet_out.op == OP_IDLE) { hit = idle_table.apply().hit; }
        else if (hdr.packet_out.op == OP_PAIR) {
            hit = first_table.apply().hit;
            second_table.apply();
        }
        else if (hdr.packet_out.op == OP_DIRECT) {
            hit = direct_table.apply().hit;
            meta.value = (bit<32>) meta.colour;
        }
        if (hit) { meta.hit = 1; }
    }
}

// Tables whose actions are in a profile.
control Profiles(inout headers_t hdr, inout metadata_t meta) {
    action mark(bit<16> value) { meta.mark = value; }
    action set_base(bit<16> value) { meta.base = value; }
    action other(bit<16> value) { meta.mark = value; }

    @name("profile") action_profile(8) profile;
    @name("selector") @max_group_size(8)
    action_selector(HashAlgorithm.crc16, 16, 16) selector;
    @name("by_members") @max_group_size(4) @selector_size_semantics("sum_of_members") @max_member_weight(100)
    action_selector(HashAlgorithm.crc16, 16, 16) by_members;
    @name("unweighted") @max_group_size(4) @selector_size_semantics("sum_of_members") @weights_disallowed
    action_selector(HashAlgorithm.crc16, 16, 16) unweighted;

    @name("member_table") table member_table {
        key = { hdr.packet_out.k8: exact @name("k8"); }
        actions = { mark; other; NoAction; }
        implementation = profile;
        size = 16;
    }
    @name("group_table") table group_table {
        key = { hdr.packet_out.k8: exact @name("k8"); hdr.packet_out.k32: selector; }
        actions = { mark; other; @groupaction set_base; NoAction; }
        implementation = selector;
        size = 16;
    }
    @name("one_shot_table") table one_shot_table {
        key = { hdr.packet_out.k8: exact @name("k8"); hdr.packet_out.k32: selector; }
        actions = { mark; other; @groupaction set_base; NoAction; }
        implementation = by_members;
        size = 16;
    }
    @name("unweighted_table") table unweighted_table {
        key = { hdr.packet_out.k8: exact @name("k8"); hdr.packet_out.k32: selector; }
        actions = { mark; NoAction; }
        implementation = unweighted;
        size = 16;
    }

    apply {
        bool hit = false;
        if (hdr.packet_out.op == OP_MEMBER) { hit = member_table.apply().hit; }
        else if (hdr.packet_out.op == OP_GROUP) { hit = group_table.apply().hit; }
        else if (hdr.packet_out.op == OP_ONE_SHOT) { hit = one_shot_table.apply().hit; }
        else if (hdr.packet_out.op == OP_UNWEIGHTED) { hit = unweighted_table.apply().hit; }
        if (hit) { meta.hit = 1; }
    }
}

control EntitiesIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    @name("counts") counter<bit<32>>(8, CounterType.packets_and_bytes) counts;
    @name("rates") meter<bit<32>>(4, MeterType.packets) rates;
    @name("single_rates") @single_rate_three_color meter<bit<32>>(4, MeterType.packets) single_rates;
    @name("two_colours") @single_rate_two_color meter<bit<32>>(4, MeterType.bytes) two_colours;
    @name("cells") register<bit<32>, bit<32>>(8) cells;
    @name("signed_cells") register<int<16>, bit<32>>(4) signed_cells;

    Matches() matches;
    Declared() declared;
    Profiles() profiles;

    apply {
        meta.from = standard.ingress_port;
        standard.egress_spec = standard.ingress_port;
        bit<32> index = (bit<32>) hdr.packet_out.k8;
        if (hdr.packet_out.op == OP_COUNT) {
            counts.count(index);
        } else if (hdr.packet_out.op == OP_METER) {
            bit<2> colour = 0;
            if (hdr.packet_out.k16 == 0) {
                rates.execute_meter(index, colour);
            } else if (hdr.packet_out.k16 == 1) {
                single_rates.execute_meter(index, colour);
            } else {
                two_colours.execute_meter(index, colour);
            }
            meta.value = (bit<32>) colour;
        } else if (hdr.packet_out.op == OP_REGISTER) {
            if (hdr.packet_out.k16 == 0) {
                bit<32> before;
                cells.read(before, index);
                cells.write(index, before + hdr.packet_out.k32);
                meta.value = before;
            } else {
                int<16> cell;
                signed_cells.read(cell, index);
                meta.value = (bit<32>) (int<32>) cell;
            }
        } else if (hdr.packet_out.op == OP_MULTICAST) {
            standard.mcast_grp = hdr.packet_out.k16;
        } else if (hdr.packet_out.op == OP_CLONE) {
            clone_preserving_field_list(CloneType.I2E, (bit<32>) hdr.packet_out.k16, 0);
        } else if (hdr.packet_out.op == OP_DIGEST) {
            digest<learned_t>(1, { hdr.packet_out.k16, standard.ingress_port });
        } else {
            matches.apply(hdr, meta);
            declared.apply(hdr, meta);
            profiles.apply(hdr, meta);
        }
    }
}

V1Switch(EntitiesParser(), NoVerify(), EntitiesIngress(), TellEgress(), NoUpdate(), TellDeparser()) main;
