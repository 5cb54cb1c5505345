// SPDX-License-Identifier: Apache-2.0
//
// Rules over the whole frame, after forwarding has decided and with the last word.

control Acl(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {

    direct_counter(CounterType.packets_and_bytes) acl_counter;
    direct_meter<bit<2>>(MeterType.bytes) acl_meter;

    action permit() {
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action drop() {
        mark_to_drop(std);
        meta.next_id = 0;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    // To the control plane instead of forwarding.
    action punt() {
        std.egress_spec = CPU_PORT;
        meta.next_id = 0;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    // To the control plane as well as forwarding. The copy is the frame as it came in.
    action copy_to_cpu() {
        meta.copy_to_cpu = 1;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action redirect_to_next(next_id_t next_id) {
        meta.next_id = next_id;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    action redirect_to_port(port_t port) {
        std.egress_spec = port;
        meta.next_id = 0;
        acl_counter.count();
        acl_meter.read(meta.meter_color);
    }

    table acl {
        key = {
            meta.ingress_port     : ternary @name("ingress_port");
            hdr.ethernet.dst_addr : ternary @name("eth_dst");
            hdr.ethernet.src_addr : ternary @name("eth_src");
            meta.eth_type         : ternary @name("eth_type");
            meta.vlan_id          : ternary @name("vlan_id");
            hdr.ipv4.src_addr     : ternary @name("ipv4_src");
            hdr.ipv4.dst_addr     : ternary @name("ipv4_dst");
            hdr.ipv6.src_addr     : ternary @name("ipv6_src");
            hdr.ipv6.dst_addr     : ternary @name("ipv6_dst");
            meta.ip_proto         : ternary @name("ip_proto");
            meta.dscp             : ternary @name("dscp");
            meta.l4_src_port      : ternary @name("l4_src");
            meta.l4_dst_port      : ternary @name("l4_dst");
            hdr.icmp.type         : ternary @name("icmp_type");
            meta.ttl_expired      : ternary @name("ttl_expired");
        }
        actions = {
            permit;
            drop;
            punt;
            copy_to_cpu;
            redirect_to_next;
            redirect_to_port;
        }
        const default_action = permit();
        counters = acl_counter;
        meters = acl_meter;
        size = 1024;
    }

    // Above its rate a rule does nothing but drop: a metered punt protects the control plane.
    apply {
        acl.apply();
        if (meta.meter_color == METER_RED) {
            mark_to_drop(std);
            meta.next_id = 0;
        } else if (meta.copy_to_cpu == 1) {
            clone_preserving_field_list(CloneType.I2E, COPY_TO_CPU_SESSION, COPY_FIELDS);
        }
    }
}
