#![allow(clippy::unwrap_used)]

use super::*;

fn key(name: &str, kind: MatchKind, width: u32) -> Variable {
    Variable {
        name: name.to_owned(),
        shape: Shape::Key(kind, Some(width)),
    }
}

/// A table with a key of every kind.
fn keys() -> Vec<Variable> {
    vec![
        key("eth.type", MatchKind::Exact, 16),
        key("ip.dst", MatchKind::Ternary, 32),
        key("route", MatchKind::Lpm, 32),
        key("port", MatchKind::Optional, 9),
        key("l4", MatchKind::Range, 16),
        Variable {
            name: "vrf".to_owned(),
            shape: Shape::Key(MatchKind::Exact, None),
        },
    ]
}

fn entry() -> Vec<Match> {
    vec![
        Match::Exact(Bits::from(0x800)),
        Match::Ternary {
            value: Bits::from(0x0a00_0000),
            mask: Bits::from(0xff00_0000),
        },
        Match::Lpm {
            value: Bits::from(0x0a00_0000),
            prefix_len: 8,
        },
        Match::Optional(None),
        Match::Range {
            low: Bits::from(1),
            high: Bits::from(1024),
        },
        Match::Exact(Bits::from_be_bytes(b"red")),
    ]
}

fn constraint(text: &str) -> Result<Constraint, ConstraintError> {
    let annotations = [format!("@entry_restriction(\"{text}\")")];
    let read = Constraint::of_entries("acl", &annotations, keys());
    read.map(|constraint| constraint.unwrap())
}

#[track_caller]
fn holds(text: &str) -> bool {
    let matches = entry();
    let checked = constraint(text).unwrap().check(Subject::Entry(&matches, 7));
    checked.is_ok()
}

#[test]
fn values_of_every_kind_compare_as_the_language_says() {
    for text in [
        "true",
        "eth.type == 0x0800",
        "eth.type > 2047 && eth.type <= 0b100000000000",
        "eth.type::value == 0o4000",
        "ip.dst::mask == 0xff000000 && ip.dst::value == ipv4('10.0.0.0')",
        "ip.dst != ipv4('10.0.0.0')",
        "route::prefix_length <= 0d24 && route::value == 0x0a000000",
        "port::mask == 0; port::value == 0;",
        "port != 0",
        "l4::low >= 1 && l4::high < 1025 && l4 != 1",
        "::priority < 0x7fffffff && ::priority > -1",
        "-1 == -1 && --2 == 2 && 1 > -12 && !(2 == 4)",
        "true != false",
        "vrf != '' && vrf == 'red' && vrf != 0",
        "false -> false -> true".replace("-> false", "").as_str(),
        "eth.type == 1 -> ip.dst::mask == 0",
        "// a comment\n eth.type /* another */ == 2048 ;",
        "mac('00:00:00:00:08:00') == 2048 && ipv6('::1') == 1",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        "false",
        "eth.type == 0x86dd",
        "eth.type == 0x0800 -> port::mask == -1",
        "true; true; false",
        "ip.dst == 0x0a000000",
        "vrf == ''",
        "::priority == 8",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_number_is_taken_modulo_the_width_of_what_it_is_compared_with() {
    // -1 is all ones, in every width.
    assert!(holds(
        "ip.dst::mask != -1 && 0x1_0800 != 0"
            .replace('_', "")
            .as_str()
    ));
    assert!(holds("eth.type == 0x10800"));
}

#[test]
fn operators_bind_as_the_language_says() {
    assert!(holds("true || false && false"));
    assert!(holds("false && true -> false"));
    assert!(holds("false -> true; true"));
    assert!(!holds("true -> true; false"));
    assert!(holds("!false == true"));
}

#[test]
fn mistakes_are_refused_at_their_line_and_column() {
    for (text, line, column, message) in [
        ("", 1, 1, "the end stands where"),
        (
            "foo.bar == 2",
            1,
            1,
            "there is no foo.bar; there is eth.type",
        ),
        ("\n  eth.type == 0b2", 2, 15, "`0b2` stands where a number"),
        ("eth.type == ", 1, 13, "the end stands where"),
        (
            "route::mask == 0",
            1,
            1,
            "lpm<32> has no ::mask; it has ::value and ::prefix_length",
        ),
        ("0x0f::value == 1", 1, 1, "a number has no ::value"),
        (
            "::unknown > 10",
            1,
            1,
            "no attribute ::unknown; there is ::priority",
        ),
        ("port > 10", 1, 1, "optional<9> has no order"),
        (
            "!1",
            1,
            2,
            "a number stands where a truth value is expected",
        ),
        (
            "true && -false",
            1,
            10,
            "a truth value stands where a number",
        ),
        (
            "eth.type",
            1,
            1,
            "exact<16> stands where a truth value is expected",
        ),
        (
            "eth.type == ip.dst",
            1,
            1,
            "exact<16> cannot be compared with ternary<32>",
        ),
        ("1 == 2 == 3", 1, 8, "== after == is ambiguous"),
        ("true -> true -> true", 1, 14, "-> after -> is ambiguous"),
        ("eth.type == 1 @", 1, 15, "'@' has no meaning here"),
        (
            "/* eth.type",
            1,
            1,
            "the comment that starts here has no end",
        ),
        ("(true", 1, 6, "the end stands where `)` is expected"),
        ("true false", 1, 6, "`false` stands where an operator"),
        (
            "ip.dst == ipv4('10.0.0')",
            1,
            16,
            "'10.0.0' is no ipv4 address",
        ),
        (
            "eth.type::value::value == 1",
            1,
            1,
            "bit<16> has no ::value",
        ),
        (
            "vrf == 5",
            1,
            8,
            "a number other than 0 stands where a string",
        ),
        (
            "vrf == 'open",
            1,
            8,
            "the string that starts here has no end",
        ),
    ] {
        let error = constraint(text).unwrap_err();
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{text}: {error}"
        );
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
    let error = constraint(&"(".repeat(100_000)).unwrap_err();
    assert_eq!(error.fault, Fault::TooDeep(50));
}

#[test]
fn a_very_long_constraint_does_not_go_deep() {
    let text = "eth.type != 1 && ".repeat(50_000) + "eth.type != 0x800";
    assert!(!holds(&text));
}

#[track_caller]
fn violation(text: &str) -> String {
    let matches = entry();
    let checked = constraint(text).unwrap().check(Subject::Entry(&matches, 7));
    checked.unwrap_err().to_string()
}

#[test]
fn a_violation_names_the_smallest_part_that_decides_and_the_values_in_it() {
    assert_eq!(
        violation("eth.type == 0x800;\n\n port::mask == -1 || // no\n ip.dst == 5;"),
        "acl: must satisfy `port::mask == -1 || ip.dst == 5` (line 3 of its restriction), \
         but has port = anything, ip.dst = 0xa000000 &&& 0xff000000"
    );
    assert_eq!(
        violation("eth.type == 0x800 -> vrf == ''"),
        "acl: must satisfy `eth.type == 0x800 -> vrf == ''` (line 1 of its restriction), \
         but has eth.type = 0x800, vrf = 'red'"
    );
    assert_eq!(
        violation("!(::priority == 7 || l4 == 1)"),
        "acl: must not satisfy `::priority == 7` (line 1 of its restriction), \
         but has ::priority = 7"
    );
    // Of two parts that both decide, the smaller.
    assert!(violation("(false || route == 1) && l4 == 2").contains("`l4 == 2`"));
    assert_eq!(
        violation("false"),
        "acl: must satisfy `false` (line 1 of its restriction)"
    );
}

#[test]
fn arguments_of_an_action_are_values_without_fields_and_priority() {
    let parameters = || {
        vec![Variable {
            name: "vlan".to_owned(),
            shape: Shape::Parameter(Some(12)),
        }]
    };
    let read = |text: &str| {
        let annotations = [format!("@action_restriction(\"{text}\")")];
        Constraint::of_arguments("set_vlan", &annotations, parameters())
    };
    let constraint = read("vlan != 0 && vlan != 4095").unwrap().unwrap();
    assert!(
        constraint
            .check(Subject::Arguments(&[Bits::from(5)]))
            .is_ok()
    );
    let refused = constraint.check(Subject::Arguments(&[Bits::from(4095)]));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "set_vlan: must satisfy `vlan != 4095` (line 1 of its restriction), but has vlan = 0xfff"
    );
    assert!(read("::priority > 1").is_err());
    assert!(read("vlan::value > 1").is_err());
}

#[test]
fn every_restriction_of_a_real_switch_is_read() {
    for text in [
        "\n    // Force the dummy_match to be wildcard.\n    port::mask == 0;\n  ",
        "\n    ip.dst::mask != 0 -> (eth.type == 0x0800 || eth.type == 0x86dd);\n\n\n    \
         // Reserve high priorities for switch-internal use.\n    ::priority < 0x7fffffff;\n  ",
        "\n    // The VRF ID 0 (or '' in P4Runtime) encodes the default VRF.\n    vrf != 0;\n  ",
    ] {
        constraint(text).unwrap();
    }
}
