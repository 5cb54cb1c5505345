//! Every P4Runtime entity, field by field, as messages alone decide: what is taken is read back as it
//! was written, and what is refused is refused with the code that the specification gives. The section
//! that a test holds stands above it.

use std::path::Path;
use std::sync::Arc;

use pointsman_agent::p4runtime::{decode, encode};
use pointsman_agent::schema::{ByteStrings, Presentation, SDN_PORT_CPU, Schema};
use pointsman_agent::switch::{Pipeline, PipelineSource};
use pointsman_agent::target::DeviceConfig;
use pointsman_p4::p4info::{parse_p4info, parse_write_request};
use pointsman_proto::p4::config::v1::{ActionProfile, P4Info};
use pointsman_proto::p4::v1::{self as p4, update::Type};
use tonic::Code;

fn presentation() -> Presentation {
    Presentation {
        cpu_port: 255,
        ..Presentation::default()
    }
}

/// The schema of the test program, after a change of its p4info.
fn schema_with(presentation: &Presentation, change: impl FnOnce(&mut P4Info)) -> Arc<Schema> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/entities");
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).expect("it is there");
    let mut p4info = parse_p4info(&read("p4info.txtpb")).expect("it is a p4info");
    change(&mut p4info);
    let source = PipelineSource {
        p4info,
        device_config: read("bmv2.json").into_bytes(),
        cookie: None,
        manifest: None,
        configured: false,
    };
    let read = Pipeline::read_as(source, DeviceConfig::Bmv2Json, presentation);
    read.expect("they fit together").schema
}

fn schema() -> Arc<Schema> {
    schema_with(&presentation(), |_| {})
}

/// The same with another action selector.
fn schema_of_selector(change: impl FnOnce(&mut ActionProfile)) -> Arc<Schema> {
    schema_with(&presentation(), |info| {
        let mut profiles = info.action_profiles.iter_mut();
        let selector = profiles.find(|p| p.with_selector);
        change(selector.expect("the program has one"));
    })
}

fn update(kind: Type, entity: &str) -> p4::Update {
    let kind = kind.as_str_name();
    let text = format!("updates {{ type: {kind} entity {{ {entity} }} }}");
    let request = parse_write_request(&text).expect("it is a request");
    request.updates[0].clone()
}

#[track_caller]
fn round_trips(schema: &Schema, kind: Type, entity: &str) {
    let written = update(kind, entity);
    let decoded = decode::update(schema, &written).expect("it is allowed");
    assert_eq!(encode::update(schema, &decoded), written);
}

#[track_caller]
fn refused(schema: &Schema, kind: Type, entity: &str) -> (Code, String) {
    let decoded = decode::update(schema, &update(kind, entity));
    let error = decoded.expect_err("it is not allowed");
    (error.code(), error.to_string())
}

#[track_caller]
fn is_refused(schema: &Schema, kind: Type, entity: &str, code: Code, says: &str) {
    let (found, message) = refused(schema, kind, entity);
    assert_eq!(found, code, "{message}");
    assert!(message.contains(says), "{message:?} does not say {says:?}");
}

/// An entry of `acl` with these matches, this priority and this action.
fn acl(matches: &str, priority: i32, action: &str) -> String {
    format!(
        "table_entry {{ table_id: 42978102 match {{ field_id: 1 exact {{ value: \"red\" }} }} \
         {matches} priority: {priority} action {{ action {{ {action} }} }} }}"
    )
}

const LEARN: &str = r#"action_id: 30654149 params { param_id: 1 value: "\x05" }"#;

/// "Match Format", "TableEntry": priority.
#[test]
fn every_kind_of_match_is_read_back_as_it_was_written() {
    let schema = schema();
    for matches in [
        "",
        r#"match { field_id: 2 ternary { value: "\x0a\x00\x00\x00" mask: "\xff\x00\x00\x00" } }"#,
        r#"match { field_id: 3 range { low: "\x01" high: "\x04\x00" } }"#,
        r#"match { field_id: 4 optional { value: "\x07" } }"#,
    ] {
        round_trips(&schema, Type::Insert, &acl(matches, 5, LEARN));
    }
    for (matches, code, says) in [
        (
            r#"match { field_id: 2 ternary { value: "\x01" mask: "\x00" } }"#,
            Code::InvalidArgument,
            "leave the field out",
        ),
        (
            r#"match { field_id: 2 ternary { value: "\x03" mask: "\x01" } }"#,
            Code::InvalidArgument,
            "outside its mask",
        ),
        (
            r#"match { field_id: 3 range { low: "\x05" high: "\x04" } }"#,
            Code::InvalidArgument,
            "after its end",
        ),
        (
            r#"match { field_id: 3 range { low: "\x00" high: "\xff\xff" } }"#,
            Code::InvalidArgument,
            "leave the field out",
        ),
        (
            r#"match { field_id: 3 range { low: "\x00" high: "\x01\x00\x00" } }"#,
            Code::OutOfRange,
            "does not fit 16 bits",
        ),
        (
            r#"match { field_id: 3 range { low: "" high: "\x01" } }"#,
            Code::OutOfRange,
            "no bytes",
        ),
        (
            r#"match { field_id: 3 exact { value: "\x01" } }"#,
            Code::InvalidArgument,
            "matched as range, not as exact",
        ),
        (
            r#"match { field_id: 9 exact { value: "\x01" } }"#,
            Code::InvalidArgument,
            "it has 1 vrf, 2 a, 3 c, 4 port",
        ),
        (
            r#"match { field_id: 1 exact { value: "blue" } }"#,
            Code::InvalidArgument,
            "field vrf is given twice",
        ),
    ] {
        is_refused(&schema, Type::Insert, &acl(matches, 5, LEARN), code, says);
    }
    let without = acl("", 0, LEARN);
    let code = Code::InvalidArgument;
    is_refused(&schema, Type::Insert, &without, code, "needs one");
}

/// "TableEntry": only keys count in a deletion; is_const is never given.
#[test]
fn a_deletion_looks_only_at_the_key_and_nothing_written_is_const() {
    let schema = schema();
    let nonsense = acl("", 5, "action_id: 99");
    let decoded = decode::update(&schema, &update(Type::Delete, &nonsense));
    decoded.expect("the action is not looked at");
    let constant = nonsense.replace("priority: 5", "priority: 5 is_const: true");
    for kind in [Type::Insert, Type::Modify, Type::Delete] {
        is_refused(&schema, kind, &constant, Code::InvalidArgument, "is_const");
    }
}

/// "Action Specification".
#[test]
fn an_action_stands_only_where_its_scope_lets_it() {
    let schema = schema();
    let default_only = acl("", 5, "action_id: 24774361");
    let code = Code::PermissionDenied;
    is_refused(
        &schema,
        Type::Insert,
        &default_only,
        code,
        "only be the default",
    );
    let table_only = r#"table_entry { table_id: 42978102 is_default_action: true
        action { action { action_id: 18638031 params { param_id: 1 value: "\x01" } } } }"#;
    is_refused(
        &schema,
        Type::Modify,
        table_only,
        code,
        "only be used in entries",
    );
    let other = acl("", 5, "action_id: 33505590");
    is_refused(
        &schema,
        Type::Insert,
        &other,
        Code::InvalidArgument,
        "it has send, replicate",
    );
    let missing = acl("", 5, "action_id: 30654149");
    is_refused(
        &schema,
        Type::Insert,
        &missing,
        Code::InvalidArgument,
        "choice is missing",
    );
    let extra = acl(
        "",
        5,
        &format!(r#"{LEARN} params {{ param_id: 2 value: "\x01" }}"#),
    );
    is_refused(
        &schema,
        Type::Insert,
        &extra,
        Code::InvalidArgument,
        "it has 1 choice",
    );
    let large = acl(
        "",
        5,
        r#"action_id: 30654149 params { param_id: 1 value: "\x01\x00\x00" }"#,
    );
    is_refused(
        &schema,
        Type::Insert,
        &large,
        Code::OutOfRange,
        "parameter choice",
    );
}

/// "Default Entry", "Constant Tables".
#[test]
fn defaults_and_const_entries_take_only_what_can_change() {
    let schema = schema();
    let reset = "table_entry { table_id: 45556109 is_default_action: true }";
    round_trips(&schema, Type::Modify, reset);
    for kind in [Type::Insert, Type::Delete] {
        is_refused(&schema, kind, reset, Code::InvalidArgument, "use MODIFY");
    }
    let keyed = reset.replace("true", "true priority: 1");
    is_refused(
        &schema,
        Type::Modify,
        &keyed,
        Code::InvalidArgument,
        "leave them out",
    );
    let aged = reset.replace("true", "true time_since_last_hit { }");
    is_refused(
        &schema,
        Type::Modify,
        &aged,
        Code::InvalidArgument,
        "leave them out",
    );
    let constant = "table_entry { table_id: 34963011 is_default_action: true }";
    is_refused(
        &schema,
        Type::Modify,
        constant,
        Code::PermissionDenied,
        "is const",
    );
    let keyless = "table_entry { table_id: 45556109 action { action { action_id: 21257015 } } }";
    is_refused(
        &schema,
        Type::Insert,
        keyless,
        Code::InvalidArgument,
        "has no key",
    );
    let of_program = r#"table_entry { table_id: 39069254 priority: 2
        match { field_id: 1 ternary { value: "\x01" mask: "\x0f" } }"#;
    let code = Code::PermissionDenied;
    for (kind, rest) in [
        (Type::Insert, " action { action { action_id: 21257015 } } }"),
        (Type::Delete, "}"),
        (Type::Modify, " action { action { action_id: 21257015 } } }"),
        (Type::Modify, " metadata: \"mine\" }"),
    ] {
        is_refused(&schema, kind, &format!("{of_program}{rest}"), code, "const");
    }
}

/// p4-constraints: `@entry_restriction`, `@action_restriction`.
#[test]
fn restrictions_of_the_program_are_held_by_entries_and_actions() {
    let schema = schema();
    let high = acl("", 1000, LEARN);
    let code = Code::InvalidArgument;
    let says = "ingress.acl: must satisfy `::priority < 1000` (line 4 of its restriction), \
                but has ::priority = 1000";
    is_refused(&schema, Type::Insert, &high, code, says);
    is_refused(&schema, Type::Modify, &high, code, says);
    decode::update(&schema, &update(Type::Delete, &high)).expect("deletions are free");
    let nowhere = acl(
        r#"match { field_id: 2 ternary { value: "\x01" mask: "\x01" } }"#,
        5,
        LEARN,
    );
    round_trips(&schema, Type::Insert, &nowhere);
    let nowhere = nowhere.replace("red", "");
    let says = "`a::mask != 0 -> vrf != ''` (line 3 of its restriction), \
                but has a = 0x1 &&& 0x1, vrf = ''";
    is_refused(&schema, Type::Insert, &nowhere, code, says);
    let none = r#"action_id: 24025495 params { param_id: 1 value: "\x00" }"#;
    let says = "ingress.replicate: must satisfy `group != 0`";
    is_refused(&schema, Type::Insert, &acl("", 5, none), code, says);
    let member = |kind, action: &str| {
        let text = format!(
            "action_profile_member {{ action_profile_id: 296984710 member_id: 1 \
             action {{ {action} }} }}"
        );
        refused(&schema, kind, &text)
    };
    assert_eq!(member(Type::Insert, none).0, code);
    let set = format!(
        "table_entry {{ table_id: 45698565 action {{ action_profile_action_set {{ \
         action_profile_actions {{ action {{ {none} }} weight: 1 }} }} }} }}"
    );
    is_refused(&schema, Type::Insert, &set, code, says);
}

/// p4-constraints: a restriction that makes no sense is refused with the pipeline.
#[test]
fn a_restriction_that_makes_no_sense_refuses_the_pipeline_by_line_and_column() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/entities");
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).expect("it is there");
    let wrong = read("p4info.txtpb").replace("::priority < 1000", "nothing == 1");
    let source = PipelineSource {
        p4info: parse_p4info(&wrong).expect("it is a p4info"),
        device_config: read("bmv2.json").into_bytes(),
        cookie: None,
        manifest: None,
        configured: false,
    };
    let error = Pipeline::read(source).expect_err("it names what is not there");
    assert_eq!(
        error.to_string(),
        "@entry_restriction of ingress.acl, line 4, column 9: there is no nothing; \
         there is vrf, a, c, port"
    );
}

/// "Translation of Port Numbers", "Translation of Match Fields", "Translation of Action Parameters".
#[test]
fn ports_are_controllers_ports_wherever_they_stand() {
    let schema = schema();
    let cpu = r"\xff\xff\xff\xfd";
    let send =
        |port: &str| format!(r#"action_id: 18638031 params {{ param_id: 1 value: "{port}" }}"#);
    let on = |port: &str| format!(r#"match {{ field_id: 4 optional {{ value: "{port}" }} }}"#);
    round_trips(&schema, Type::Insert, &acl(&on(cpu), 5, &send(cpu)));
    let code = Code::InvalidArgument;
    is_refused(
        &schema,
        Type::Insert,
        &acl("", 5, &send(r"\x00")),
        code,
        "0x0 is no port",
    );
    let recirculate = send(r"\xff\xff\xff\xfa");
    is_refused(
        &schema,
        Type::Insert,
        &acl("", 5, &recirculate),
        code,
        "none recirculates",
    );
    is_refused(
        &schema,
        Type::Insert,
        &acl("", 5, &send(r"\xff")),
        code,
        "0xfffffffd",
    );
    let wide = acl("", 5, &send(r"\x02\x00"));
    is_refused(&schema, Type::Insert, &wide, Code::OutOfRange, "has 9 bits");
    for entity in [
        format!(
            r#"packet_replication_engine_entry {{ multicast_group_entry {{ multicast_group_id: 1
                replicas {{ port: "{cpu}" instance: 1 }} }} }}"#
        ),
        format!(
            r#"packet_replication_engine_entry {{ clone_session_entry {{ session_id: 1
                replicas {{ port: "{cpu}" instance: 1 }} }} }}"#
        ),
        format!(
            r#"action_profile_group {{ action_profile_id: 296984710 group_id: 1 max_size: 8
                members {{ member_id: 1 weight: 1 watch_port: "{cpu}" }} }}"#
        ),
    ] {
        round_trips(&schema, Type::Insert, &entity);
    }
    assert_eq!(schema.port_bytes(255), SDN_PORT_CPU.to_be_bytes());
}

/// "Using Port as an Index to a Register, Indirect Counter or Indirect Meter".
#[test]
fn an_index_of_a_translated_type_is_the_controllers() {
    let schema = schema_with(&presentation(), |info| {
        let name = "port_id_t".to_owned();
        let named = pointsman_proto::p4::config::v1::P4NamedType { name };
        info.counters[0].index_type_name = Some(named);
    });
    let counter = |index: i64| {
        format!("counter_entry {{ counter_id: 311901477 index {{ index: {index} }} data {{ }} }}")
    };
    round_trips(&schema, Type::Modify, &counter(i64::from(SDN_PORT_CPU)));
    round_trips(&schema, Type::Modify, &counter(7));
    is_refused(
        &schema,
        Type::Modify,
        &counter(0),
        Code::InvalidArgument,
        "no port",
    );
    is_refused(
        &schema,
        Type::Modify,
        &counter(-1),
        Code::InvalidArgument,
        "negative",
    );
    is_refused(
        &schema,
        Type::Modify,
        &counter(512),
        Code::OutOfRange,
        "0x200",
    );
}

/// "PSA Metadata Translation": the mapping comes with the configuration of the switch.
#[test]
fn the_configuration_says_what_values_of_translated_types_stand_for() {
    let one = |key: &str, number| [(key.to_owned(), number)].into();
    let mut configured = presentation();
    configured
        .translations
        .insert("port_id_t".to_owned(), one("1000", 7));
    configured
        .translations
        .insert("vrf_t".to_owned(), one("red", 3));
    let schema = schema_with(&configured, |_| {});
    let text = acl(
        "",
        5,
        r#"action_id: 18638031 params { param_id: 1 value: "\x03\xe8" }"#,
    );
    round_trips(&schema, Type::Insert, &text);
    let decoded = decode::update(&schema, &update(Type::Insert, &text)).expect("it is allowed");
    let described = format!("{:?}", decoded.entity);
    assert!(
        described.contains("[Exact(0x3)") && described.contains("args: [0x7]"),
        "{described}"
    );
    assert!(schema.describe(&decoded.entity).contains("port=0x3e8"));
}

/// "Bytestrings": canonical answers, and padded ones for clients that expect them.
#[test]
fn byte_strings_are_as_long_as_their_type_for_clients_that_expect_it() {
    let mut padded = presentation();
    padded.byte_strings = ByteStrings::Padded;
    let schema = schema_with(&padded, |_| {});
    let text = acl(
        r#"match { field_id: 2 ternary { value: "\x00\x00\x00\x01" mask: "\x00\x00\x00\x01" } }
           match { field_id: 3 range { low: "\x00\x00" high: "\x00\x01" } }
           match { field_id: 4 optional { value: "\x00\x00\x00\x01" } }"#,
        5,
        r#"action_id: 30654149 params { param_id: 1 value: "\x00\x05" }"#,
    );
    round_trips(&schema, Type::Insert, &text);
    let cell = r#"register_entry { register_id: 376131497 index { index: 0 }
        data { bitstring: "\x00\x00\x00\x00\x00\x01" } }"#;
    round_trips(&schema, Type::Modify, cell);
}

fn group(members: &str) -> String {
    format!(
        "action_profile_group {{ action_profile_id: 296984710 group_id: 1 max_size: 8 {members} }}"
    )
}

fn one_shot(rest: &str) -> String {
    format!(
        "table_entry {{ table_id: 45698565 action {{ action_profile_action_set {{ {rest} }} }} }}"
    )
}

const SEND: &str = r#"action { action_id: 18638031 params { param_id: 1 value: "\x02" } }"#;

/// "Group Programming", "Rules on Setting max_size".
#[test]
fn a_group_says_members_weights_and_ports_as_its_profile_lets_it() {
    let schema = schema();
    round_trips(&schema, Type::Insert, &group(""));
    round_trips(
        &schema,
        Type::Insert,
        &group("members { member_id: 1 weight: 3 }"),
    );
    round_trips(
        &schema,
        Type::Insert,
        &group(r#"members { member_id: 1 weight: 1 watch: 5 }"#),
    );
    let code = Code::InvalidArgument;
    for (members, says) in [
        ("members { member_id: 1 }", "weight 0 is not in"),
        ("members { member_id: 1 weight: -1 }", "weight -1 is not in"),
        (
            "members { member_id: 1 weight: 9 }",
            "9 weight, of 8 at most",
        ),
        (
            "members { member_id: 1 weight: 1 } members { member_id: 1 weight: 2 }",
            "member 1 is given twice",
        ),
    ] {
        is_refused(&schema, Type::Insert, &group(members), code, says);
    }
    let large = group("").replace("max_size: 8", "max_size: 9");
    is_refused(&schema, Type::Insert, &large, code, "max_size 9 is not in");
    let zero = group("").replace("group_id: 1", "");
    is_refused(&schema, Type::Insert, &zero, code, "ids start at 1");
}

/// "ActionProfile" of p4info: selector_size_semantics, weights_disallowed.
#[test]
fn sizes_count_members_and_weights_are_left_out_where_p4info_says_so() {
    use pointsman_proto::p4::config::v1::action_profile::{SelectorSizeSemantics, SumOfMembers};
    let by_members = schema_of_selector(|selector| {
        let members = SumOfMembers {
            max_member_weight: 100,
        };
        selector.selector_size_semantics = Some(SelectorSizeSemantics::SumOfMembers(members));
    });
    round_trips(
        &by_members,
        Type::Insert,
        &group("members { member_id: 1 weight: 100 }"),
    );
    let heavy = group("members { member_id: 1 weight: 101 }");
    let code = Code::InvalidArgument;
    is_refused(&by_members, Type::Insert, &heavy, code, "not in 1..=100");
    let nine = format!("action_profile_actions {{ {SEND} weight: 1 }} ").repeat(9);
    is_refused(
        &by_members,
        Type::Insert,
        &one_shot(&nine),
        code,
        "9 members, of 8",
    );
    let without = schema_of_selector(|selector| selector.weights_disallowed = true);
    round_trips(&without, Type::Insert, &group("members { member_id: 1 }"));
    round_trips(
        &without,
        Type::Insert,
        &one_shot(&format!("action_profile_actions {{ {SEND} }}")),
    );
    let weighed = group("members { member_id: 1 weight: 1 }");
    is_refused(&without, Type::Insert, &weighed, code, "disallows weights");
}

/// "One Shot Action Selector Programming".
#[test]
fn an_action_set_is_read_back_verbatim_and_says_only_what_the_selector_does() {
    let schema = schema();
    let actions = format!(
        r#"action_profile_actions {{ {SEND} weight: 1 watch_port: "\x02" }}
           action_profile_actions {{ {SEND} weight: 2 }}"#
    );
    round_trips(&schema, Type::Insert, &one_shot(&actions));
    round_trips(
        &schema,
        Type::Insert,
        &one_shot(&format!("{actions} action_selection_mode: HASH")),
    );
    round_trips(
        &schema,
        Type::Insert,
        &one_shot(&format!("{actions} size_semantics: SUM_OF_WEIGHTS")),
    );
    let code = Code::Unimplemented;
    for (more, says) in [
        ("action_selection_mode: RANDOM", "action_selection_mode"),
        ("size_semantics: SUM_OF_MEMBERS", "size_semantics"),
        ("group_action { action_id: 21257015 }", "group_action"),
    ] {
        is_refused(
            &schema,
            Type::Insert,
            &one_shot(&format!("{actions} {more}")),
            code,
            says,
        );
    }
}

/// "Member Programming".
#[test]
fn a_member_has_an_id_from_1_and_an_action_of_its_profile() {
    let schema = schema();
    let member = |id: u32, action: &str| {
        format!("action_profile_member {{ action_profile_id: 296984710 member_id: {id} {action} }}")
    };
    round_trips(&schema, Type::Insert, &member(1, SEND));
    let code = Code::InvalidArgument;
    is_refused(&schema, Type::Insert, &member(0, SEND), code, "start at 1");
    is_refused(
        &schema,
        Type::Insert,
        &member(1, ""),
        code,
        "the action is missing",
    );
    let other = format!("action {{ {LEARN} }}");
    is_refused(&schema, Type::Insert, &member(1, &other), code, "it has");
    decode::update(&schema, &update(Type::Delete, &member(1, &other))).expect("only the id counts");
}

fn multicast(rest: &str) -> String {
    format!("packet_replication_engine_entry {{ multicast_group_entry {{ {rest} }} }}")
}

/// "MulticastGroupEntry".
#[test]
fn replicas_are_distinct_and_their_backups_stay_in_order() {
    let schema = schema();
    let backups = r#"multicast_group_id: 1 metadata: "mine"
        replicas { port: "\x05" instance: 1 backup_replicas { port: "\x07" instance: 3 }
                   backup_replicas { port: "\x06" instance: 2 } }"#;
    round_trips(&schema, Type::Insert, &multicast(backups));
    #[rustfmt::skip]
    let refusals = [
        (r#"multicast_group_id: 0"#, "ids are in 1..=65535"),
        (r#"multicast_group_id: 65536"#, "ids are in 1..=65535"),
        (r#"multicast_group_id: 1 replicas { port: "\x05" instance: 65536 }"#, "instance 65536"),
        (r#"multicast_group_id: 1 replicas { instance: 1 }"#, "the port of a replica is missing"),
        (r#"multicast_group_id: 1 replicas { port: "\x05" } replicas { port: "\x05" }"#,
         "port 5 with instance 0 is given twice"),
        (r#"multicast_group_id: 1 replicas { port: "\x05" backup_replicas { port: "\x05" instance: 1 } }"#,
         "backup of itself"),
        (r#"multicast_group_id: 1 replicas { port: "\x05" backup_replicas { port: "\x06" } }
            replicas { port: "\x06" }"#, "port 6 with instance 0 is given twice"),
    ];
    for (text, says) in refusals {
        is_refused(
            &schema,
            Type::Insert,
            &multicast(text),
            Code::InvalidArgument,
            says,
        );
    }
    let number = "multicast_group_id: 1 replicas { egress_port: 5 instance: 1 }";
    round_trips(&schema, Type::Insert, &multicast(number));
}

/// "CloneSessionEntry".
#[test]
fn a_clone_session_keeps_its_class_and_length() {
    let schema = schema();
    let session = |rest: &str| {
        format!("packet_replication_engine_entry {{ clone_session_entry {{ {rest} }} }}")
    };
    let whole = r#"session_id: 100 replicas { port: "\x05" instance: 1 }
        class_of_service: 2 packet_length_bytes: 64"#;
    round_trips(&schema, Type::Insert, &session(whole));
    for (text, says) in [
        ("session_id: 0", "ids are in 1..=32767"),
        ("session_id: 1 class_of_service: 8", "not in 0..=7"),
        ("session_id: 1 packet_length_bytes: -1", "negative"),
    ] {
        is_refused(
            &schema,
            Type::Insert,
            &session(text),
            Code::InvalidArgument,
            says,
        );
    }
}

/// "CounterEntry", "DirectCounterEntry", "RegisterEntry".
#[test]
fn cells_are_only_modified_and_left_alone_without_data() {
    let schema = schema();
    let counter = "counter_entry { counter_id: 311901477 }";
    let hits = r#"direct_counter_entry { table_entry { table_id: 41499555
        match { field_id: 1 exact { value: "\x01" } } } }"#;
    let cell = r#"register_entry { register_id: 376131497 data { bitstring: "\x01" } }"#;
    for entity in [counter, hits, cell] {
        round_trips(&schema, Type::Modify, entity);
        for kind in [Type::Insert, Type::Delete] {
            is_refused(&schema, kind, entity, Code::InvalidArgument, "use MODIFY");
        }
    }
    let far = cell.replace("data", "index { index: 16 } data");
    is_refused(
        &schema,
        Type::Modify,
        &far,
        Code::OutOfRange,
        "has 16 cells",
    );
    let empty = "register_entry { register_id: 376131497 }";
    is_refused(
        &schema,
        Type::Modify,
        empty,
        Code::InvalidArgument,
        "the data is missing",
    );
}

/// "Bytestrings": int<W>, with the examples of the specification for 8 bits.
#[test]
fn cells_of_a_signed_register_are_twos_complement_of_any_length() {
    let schema = schema();
    let cell = |bytes: &str| {
        format!(
            r#"register_entry {{ register_id: 384749861 index {{ index: 0 }}
               data {{ bitstring: "{bytes}" }} }}"#
        )
    };
    for canonical in [r"\x63", r"\x9d", r"\x80", r"\x00", r"\xff"] {
        round_trips(&schema, Type::Modify, &cell(canonical));
    }
    let padded = update(Type::Modify, &cell(r"\xff\x9d"));
    let decoded = decode::update(&schema, &padded).expect("it is sign-extended");
    let canonical = update(Type::Modify, &cell(r"\x9d"));
    assert_eq!(encode::update(&schema, &decoded), canonical);
    for wrong in [r"\x00\x9d", r"\xff\x7f", r"\x01\x63"] {
        is_refused(
            &schema,
            Type::Modify,
            &cell(wrong),
            Code::OutOfRange,
            "does not fit 8 bits",
        );
    }
    is_refused(
        &schema,
        Type::Modify,
        &cell(""),
        Code::OutOfRange,
        "no bytes",
    );
}

/// "ValueSetEntry".
#[test]
fn a_value_set_has_each_member_once_and_as_many_as_fit() {
    let schema = schema();
    let set = |values: &[u8]| {
        let members = values.iter().map(|value| {
            format!(r#"members {{ match {{ field_id: 1 exact {{ value: "\x{value:02x}" }} }} }}"#)
        });
        let members: String = members.collect();
        format!("value_set_entry {{ value_set_id: 64637862 {members} }}")
    };
    round_trips(&schema, Type::Modify, &set(&[]));
    round_trips(&schema, Type::Modify, &set(&[1, 2, 3]));
    let four = set(&[1, 2, 3, 4]);
    is_refused(
        &schema,
        Type::Modify,
        &four,
        Code::ResourceExhausted,
        "3 at most",
    );
    is_refused(
        &schema,
        Type::Modify,
        &set(&[1, 1]),
        Code::AlreadyExists,
        "member 2",
    );
    is_refused(
        &schema,
        Type::Insert,
        &set(&[1]),
        Code::InvalidArgument,
        "use MODIFY",
    );
}
