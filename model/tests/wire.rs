//! Objectives survive being sent, and being printed and read, whatever they say; messages that
//! say something impossible are refused.

use pointsman_model::{
    Attributes, Bucket, Change, Criterion, Field, Filter, FilterType, Forward, ForwardFlag,
    Instruction, Match, Meter, Model, Name, Next, NextType, Objective, ObjectiveKind, Operation,
    P4Criterion, Period, PortRef, Selector, TableAction, Timeout, ValueKind, VlanId, to_yaml,
    validate,
};
use pointsman_proto::pointsman::objective::v1 as pb;
use proptest::prelude::*;

fn max_of(field: Field) -> u128 {
    u128::MAX >> (128 - field.bits())
}

fn port() -> impl Strategy<Value = PortRef> {
    prop_oneof![
        (1..=u32::MAX).prop_map(PortRef::Number),
        "[a-z][a-z0-9/.-]{0,8}".prop_map(PortRef::Name),
    ]
}

fn value(field: Field) -> BoxedStrategy<u128> {
    match field.kind() {
        ValueKind::Vlan => (1..=4094_u128).boxed(),
        _ => (0..=max_of(field)).boxed(),
    }
}

/// Any match that the field can have, in its one form.
fn matching(field: Field) -> BoxedStrategy<Match> {
    let canonical = move |found| {
        field
            .canonical(found)
            .expect("a match that the field can have")
    };
    let exact = value(field).prop_map(Match::Exact);
    match field.kind() {
        ValueKind::Port => port().prop_map(Match::Port).boxed(),
        ValueKind::Vlan => prop_oneof![exact, Just(Match::Untagged)].boxed(),
        ValueKind::Ipv4 | ValueKind::Ipv6 => {
            let prefix = (value(field), 0..=field.bits()).prop_map(move |(value, length)| {
                let mask = max_of(field)
                    .checked_shl(field.bits() - length)
                    .unwrap_or(0);
                let length = u8::try_from(length).expect("at most 128");
                canonical(Match::Prefix {
                    value: value & mask,
                    length,
                })
            });
            prop_oneof![3 => prefix, 1 => masked(field)].boxed()
        }
        ValueKind::Mac | ValueKind::Number(..) | ValueKind::Flags(..) => {
            prop_oneof![exact, masked(field)].boxed()
        }
        ValueKind::Ranged(_) => {
            let range = (value(field), value(field)).prop_map(move |(one, other)| {
                canonical(Match::Range {
                    low: one.min(other),
                    high: one.max(other),
                })
            });
            prop_oneof![exact, range].boxed()
        }
    }
}

fn masked(field: Field) -> impl Strategy<Value = Match> {
    (value(field), value(field)).prop_map(move |(value, mask)| {
        let value = value & mask;
        let found = field.canonical(Match::Masked { value, mask });
        found.expect("a match that the field can have")
    })
}

/// A match on a field of a pipeline.
fn p4_criterion() -> impl Strategy<Value = P4Criterion> {
    let matching = (any::<u128>(), any::<u128>()).prop_flat_map(|(one, other)| {
        let (low, high) = (one.min(other), one.max(other).max(1));
        prop_oneof![
            Just(Match::Exact(one)),
            Just(Match::Masked {
                value: one & other,
                mask: other
            }),
            Just(Match::Range {
                low: low.min(high - 1),
                high
            }),
        ]
    });
    let names = ("[a-z.]{1,9}", "[a-z_.]{1,9}");
    (names, matching).prop_map(|((table, field), matching)| P4Criterion {
        table,
        field,
        matching,
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    let fields: Vec<Field> = Field::all().collect();
    let fields = prop::sample::subsequence(fields, 0..6);
    let criteria = fields.prop_flat_map(|fields| {
        fields
            .into_iter()
            .map(|field| matching(field).prop_map(move |matching| Criterion { field, matching }))
            .collect::<Vec<_>>()
    });
    let p4 = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(p4_criterion(), 1..3)];
    (criteria, p4).prop_map(|(criteria, mut p4)| {
        p4.sort();
        p4.dedup_by(|one, other| (&one.table, &one.field) == (&other.table, &other.field));
        let selector = Selector::new(criteria).expect("each field is there once");
        selector.with_p4(p4).expect("each field is there once")
    })
}

fn table_action() -> impl Strategy<Value = TableAction> {
    let args = prop::collection::btree_map("[a-z_]{1,6}", any::<u128>(), 0..3);
    ("[a-z.]{1,9}", "[a-z_.]{1,9}", args).prop_map(|(name, action, args)| TableAction {
        name,
        action,
        args,
    })
}

fn instruction() -> impl Strategy<Value = Instruction> {
    let settable: Vec<Field> = Field::all().filter(|field| field.settable()).collect();
    let set = prop::sample::select(settable).prop_flat_map(|field| {
        value(field).prop_map(move |value| Instruction::Set { field, value })
    });
    let rate = 1..=u64::MAX >> 1;
    let meter =
        [rate.clone(), rate.clone(), rate.clone(), rate].prop_map(|[one, other, cb, pb]| {
            Instruction::Meter(Meter {
                committed_rate: one.min(other),
                committed_burst: cb,
                peak_rate: one.max(other),
                peak_burst: pb,
            })
        });
    let vlan = (1..=4094_u16).prop_map(|id| VlanId::new(id).expect("it is in range"));
    prop_oneof![
        4 => set,
        2 => port().prop_map(Instruction::Output),
        1 => meter,
        1 => vlan.prop_map(Instruction::PushVlan),
        1 => (0..1_u32 << 20).prop_map(Instruction::PushMpls),
        1 => any::<u32>().prop_map(Instruction::Queue),
        1 => "[a-z][a-z0-9/.-]{0,8}".prop_map(|name| Instruction::Count(Name::new(&name).expect("a name"))),
        1 => table_action().prop_map(Instruction::Table),
        1 => prop::sample::select(vec![
            Instruction::PopVlan,
            Instruction::Drop,
            Instruction::Punt,
            Instruction::CopyToCpu,
            Instruction::DecTtl,
            Instruction::PopMpls,
        ]),
    ]
}

fn treatment() -> impl Strategy<Value = Vec<Instruction>> {
    prop::collection::vec(instruction(), 0..4)
}

fn name() -> impl Strategy<Value = Name> {
    "[a-zA-Z0-9][a-zA-Z0-9_.:/@+-]{0,12}".prop_map(|name| Name::new(&name).expect("it is a name"))
}

fn kind() -> impl Strategy<Value = ObjectiveKind> {
    let filter_type = prop::sample::select(vec![FilterType::Permit, FilterType::Deny]);
    let filter = (filter_type, selector(), selector(), treatment()).prop_map(
        |(filter_type, key, conditions, treatment)| {
            ObjectiveKind::Filter(Filter {
                filter_type,
                key,
                conditions,
                treatment,
            })
        },
    );
    let flags = vec![
        ForwardFlag::Specific,
        ForwardFlag::Versatile,
        ForwardFlag::Egress,
    ];
    let forward = (
        prop::sample::select(flags),
        selector(),
        prop::option::of(name()),
        treatment(),
    )
        .prop_map(|(flag, selector, next, treatment)| {
            ObjectiveKind::Forward(Forward {
                flag,
                selector,
                next,
                treatment,
            })
        });
    let types = vec![
        NextType::Simple,
        NextType::Hashed,
        NextType::Broadcast,
        NextType::Failover,
    ];
    let bucket = (
        1..=u16::MAX,
        treatment(),
        prop::option::weighted(0.2, name()),
    )
        .prop_map(|(weight, treatment, next)| Bucket {
            weight,
            treatment,
            next,
        });
    let buckets = prop::collection::vec(bucket, 1..4);
    let next = (prop::sample::select(types), buckets, selector()).prop_map(
        |(next_type, mut buckets, meta)| {
            for bucket in &mut buckets {
                if next_type != NextType::Hashed {
                    bucket.weight = 1;
                }
            }
            ObjectiveKind::Next(Next {
                next_type,
                buckets,
                meta,
            })
        },
    );
    prop_oneof![filter, forward, next]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let period = || {
        prop::option::of(
            (100..=365 * 86_400_000u64)
                .prop_map(|ms| Period::from_milliseconds(ms).expect("in range")),
        )
    };
    let timeout = prop_oneof![
        3 => Just(Timeout::default()),
        1 => (period(), period()).prop_map(|(idle, hard)| Timeout { idle, hard }),
    ];
    let attributes = (prop::option::of(name()), prop::option::of(name()), timeout);
    attributes.prop_map(|(owner, group, timeout)| Attributes {
        owner,
        group,
        timeout,
    })
}

prop_compose! {
    fn any_change()(name in name(), priority in 1..=u16::MAX, attributes in attributes(), kind in kind()) -> Change {
        Change { operation: Operation::Put, objective: Objective { name, priority, attributes, kind } }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, ..ProptestConfig::with_cases(256) })]

    /// What makes sense comes back as it was sent; what does not is refused on arrival too.
    #[test]
    fn a_change_survives_the_wire(change in any_change()) {
        let received = Change::try_from(&pb::Change::from(&change));
        if validate(&change).is_empty() {
            prop_assert_eq!(received, Ok(change));
        } else {
            prop_assert!(received.is_err());
        }
    }

    /// Printed YAML is read as what was printed.
    #[test]
    fn an_objective_survives_being_printed(change in any_change()) {
        prop_assume!(validate(&change).is_empty());
        let yaml = to_yaml("leaf1", [&change.objective]);
        let model = Model::parse("printed.yaml", &yaml);
        let model = model.map_err(|problems| {
            let all: Vec<_> = problems.iter().map(|problem| problem.message().to_owned()).collect();
            TestCaseError::fail(format!("{all:?} in\n{yaml}"))
        })?;
        prop_assert_eq!(&model.objectives[0].value.change, &change, "{}", yaml);
    }
}

fn criterion(field: &str, found: pb::criterion::Match) -> pb::Change {
    let selector = vec![pb::Criterion {
        field: field.to_owned(),
        p4: None,
        r#match: Some(found),
    }];
    let forward = pb::Forward {
        flag: pb::ForwardFlag::Versatile.into(),
        selector,
        next: "n".to_owned(),
        treatment: Vec::new(),
    };
    pb::Change {
        operation: pb::Operation::Put.into(),
        objective: Some(pb::Objective {
            name: "f".to_owned(),
            priority: 0,
            kind: Some(pb::objective::Kind::Forward(forward)),
            ..pb::Objective::default()
        }),
    }
}

#[test]
fn messages_that_say_something_impossible_are_refused_by_name() {
    use pb::criterion::Match as M;
    let prefix = |value: &[u8], length| {
        M::Prefix(pb::Prefix {
            value: value.to_vec(),
            length,
        })
    };
    let cases = [
        (
            criterion("ipv4_dest", M::Exact(vec![1])),
            "there is no field `ipv4_dest`",
        ),
        (
            criterion("ipv4_dst", prefix(&[10, 0, 2, 1], 24)),
            "ipv4_dst: the prefix 10.0.2.1/24 has host bits set; did you mean 10.0.2.0/24?",
        ),
        (
            criterion("ipv4_dst", prefix(&[10, 0, 2, 0], 33)),
            "ipv4_dst: `33` is not a prefix length; write a number from 0 to 32",
        ),
        (
            criterion("ipv4_dst", M::Exact(vec![1; 17])),
            "a value of 17 bytes is longer than any field",
        ),
        (
            criterion("vlan_vid", M::Exact(vec![0x10, 0])),
            "vlan_vid: `4096` is not a VLAN; write a number from 1 to 4094",
        ),
        (
            criterion("eth_dst", M::Untagged(true)),
            "eth_dst: eth_dst cannot be matched by `untagged`",
        ),
        (
            criterion("in_port", M::Exact(vec![1])),
            "in_port: in_port cannot be matched by a number",
        ),
        (pb::Change::default(), "operation is missing or unknown"),
    ];
    for (message, expected) in cases {
        let error = Change::try_from(&message).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_deletion_needs_only_kind_and_name() {
    let next = pb::objective::Kind::Next(pb::Next::default());
    let objective = pb::Objective {
        name: "spines".to_owned(),
        priority: 0,
        kind: Some(next),
        ..pb::Objective::default()
    };
    let operation = pb::Operation::Delete.into();
    let change = Change::try_from(&pb::Change {
        operation,
        objective: Some(objective),
    });
    let change = change.expect("it says what to delete");
    assert_eq!(change.objective.id().to_string(), "next spines");
}
