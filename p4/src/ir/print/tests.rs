use expect_test::{Expect, expect};

use super::{SectionKind, sections};
use crate::ir::{BinaryOp, Expr, ParserOp, Program, UnaryOp};
use crate::{bmv2, programs};

fn leaf_spine() -> Program {
    let embedded = programs::embedded("leaf_spine").expect("it is embedded");
    bmv2::read(embedded.bmv2_json).expect("valid")
}

fn small() -> Program {
    bmv2::read(include_str!("../../../tests/bmv2/small.json")).expect("valid")
}

fn check(program: &Program, kind: SectionKind, name: &str, expected: &Expect) {
    let sections = sections(program);
    let found = sections
        .iter()
        .find(|section| section.kind == kind && section.name == name);
    expected.assert_eq(&found.expect("the program has it").to_string());
}

#[test]
fn a_statement_stands_beside_its_line_of_p4() {
    check(
        &leaf_spine(),
        SectionKind::Action,
        "LeafSpineIngress.next.routing_simple",
        &expect![[r#"
            action LeafSpineIngress.next.routing_simple(bit<9> port, bit<48> src_mac, bit<48> dst_mac) {
                ethernet.src_addr = src_mac;                                         // leaf_spine/next.p4:34:9
                ethernet.dst_addr = dst_mac;                                         // leaf_spine/next.p4:35:9
                standard_metadata.egress_spec = port;                                // leaf_spine/next.p4:36:9
            }
        "#]],
    );
}

#[test]
fn a_table_reads_like_its_declaration_and_says_where_it_leads() {
    check(
        &leaf_spine(),
        SectionKind::Table,
        "LeafSpineIngress.next.hashed",
        &expect![[r#"
            table LeafSpineIngress.next.hashed {                                     // leaf_spine/next.p4:71:11
                key = {
                    scalars.metadata_t.next_id: exact;       // next_id, 16 bits
                }
                actions = { LeafSpineIngress.next.output_hashed; LeafSpineIngress.next.routing_hashed; NoAction }
                size = 1024;
                implementation = action selector LeafSpineIngress.next.ecmp by LeafSpineIngress.next.ecmp;
                direct counter = LeafSpineIngress.next.hashed_counter;
                on hit end;
                on miss table LeafSpineIngress.next.multicast;
            }
        "#]],
    );
}

#[test]
fn a_parser_state_reads_like_its_declaration() {
    check(
        &leaf_spine(),
        SectionKind::ParserState,
        "parse_vlan",
        &expect![[r#"
            state parse_vlan {
                extract(vlan);
                scalars.metadata_t.eth_type = vlan.ether_type;
                transition select(vlan.ether_type) {
                    0x800: parse_ipv4;
                    0x86dd: parse_ipv6;
                    default: accept;
                }
            }
        "#]],
    );
}

#[test]
fn a_control_is_its_graph() {
    check(
        &leaf_spine(),
        SectionKind::Control,
        "egress",
        &expect![[r#"
            control egress {
                start node_45;
                node_45: if (standard_metadata.egress_port == 255)                   // leaf_spine.p4:128:13
                    then table tbl_leaf_spine129;
                    else node_47;
                table tbl_leaf_spine129                                              // leaf_spine.p4:129:13
                    then end;
                node_47: if ((scalars.metadata_t.is_flood == 1) && (standard_metadata.egress_port == scalars.metadata_t.ingress_port)) // leaf_spine.p4:131:20
                    then table tbl_leaf_spine132;
                    else node_49;
                table tbl_leaf_spine132                                              // leaf_spine.p4:132:13
                    then end;
                node_49: if (scalars.metadata_t.is_raw_packet_out == 0)              // leaf_spine.p4:133:20
                    then table LeafSpineEgress.egress_vlan;
                    else end;
                table LeafSpineEgress.egress_vlan                                    // leaf_spine.p4:112:11
                    then end;
            }
        "#]],
    );
}

#[test]
fn headers_have_their_offsets_on_the_wire() {
    check(
        &leaf_spine(),
        SectionKind::Shape,
        "vlan",
        &expect![[r#"
            header vlan: vlan_t { // 32 bits
                bit<3> priority;                         // bit 0
                bit<1> drop_eligible;                    // bit 3
                bit<12> vlan_id;                         // bit 4
                bit<16> ether_type;                      // bit 16
            }
        "#]],
    );
}

#[test]
fn a_whole_program_is_printed_in_the_order_of_a_packets_way() {
    let text: Vec<String> = sections(&small()).iter().map(ToString::to_string).collect();
    expect![[r#"
        metadata standard_metadata: standard_metadata {
            bit<9> ingress_port;
            bit<9> egress_spec;
            bit<9> egress_port;
            bit<16> mcast_grp;
            bit<32> parser_error;
        }

        header ethernet: ethernet_t { // 112 bits
            bit<48> dst;                             // bit 0
            bit<48> src;                             // bit 48
            bit<16> type;                            // bit 96
        }

        header options: options_t { // 8 bits
            bit<8> length;                           // bit 0
            varbit<320> options;                     // bit 8
        }

        state start {
            extract(ethernet);
            verify(true, error 1);
            transition select(standard_metadata.ingress_port, ethernet.type) {
                0x1ff0800: options;
                default: accept;
            }
        }

        state options {
            extract(options, lookahead<bit<8>>() << 3);
            transition accept;
        }

        action ingress.forward(bit<9> port) {
            standard_metadata.egress_spec = port;                                // small.p4:11:9
        }

        action ingress.drop() {
            mark_to_drop();                                                      // small.p4:14:9
            ingress.seen.write(1, ethernet.src);                                 // small.p4:15:9
            clone(I2E, 5, fl);                                                   // small.p4:16:9
        }

        table ingress.route {                                                    // small.p4:20:9
            key = {
                ethernet.dst: ternary;                   // hdr.ethernet.dst, 48 bits
                options.isValid(): exact;                // valid, 1 bits
            }
            actions = { ingress.forward; ingress.drop }
            default_action = ingress.drop();
            size = 16;
            direct counter = ingress.route_counter;
            const entries = {
                priority 2 (1 &&& 255, 0): ingress.forward(2);                   // small.p4:24:9
                priority 1 (2 &&& 255, 1): ingress.drop();                       // small.p4:25:9
            }
            then end;
        }

        control ingress {
            start node_2;
            node_2: if (ethernet.isValid())                                      // small.p4:30:9
                then table ingress.route;
                else end;
            table ingress.route                                                  // small.p4:20:9
                then end;
        }

        control egress {
            start end;
        }

        counter ingress.route_counter of table ingress.route;

        register<bit<32>> ingress.seen[16];

        field_list fl { standard_metadata.ingress_port };

        hash calc() = crc16(ethernet.src);

        deparser {
            emit(ethernet);
            emit(options);
        }
    "#]]
    .assert_eq(&text.join("\n"));
}

#[test]
fn equal_programs_read_the_same() {
    assert_eq!(sections(&leaf_spine()), sections(&leaf_spine()));
}

#[test]
fn expressions_keep_their_order_of_evaluation() {
    let program = small();
    let sum = Expr::Binary {
        op: BinaryOp::Add,
        left: Box::new(Expr::Const(1.into())),
        right: Box::new(Expr::Const(4096.into())),
    };
    let product = Expr::Binary {
        op: BinaryOp::Mul,
        left: Box::new(sum.clone()),
        right: Box::new(Expr::Unary {
            op: UnaryOp::BitNot,
            arg: Box::new(sum),
        }),
    };
    let cut = Expr::Binary {
        op: BinaryOp::TwoComplement,
        left: Box::new(product),
        right: Box::new(Expr::Const(8.into())),
    };
    let length = ParserOp::Advance { length: cut };
    expect!["advance(int<8>((1 + 0x1000) * ~(1 + 0x1000)))"]
        .assert_eq(&super::parser_statement(&program, &length));
}
