//! Whatever is asked, the answer is entries that the pipeline takes, or a refusal that says why.

use pointsman_model::{
    Attributes, Bucket, Criterion, Field, Filter, FilterType, Forward, ForwardFlag, Instruction,
    Meter, Name, Next, NextType, Objective, ObjectiveKind, PortRef, Selector, ValueKind, VlanId,
};
use pointsman_proto::pointsman::objective::v1::Reason;
use proptest::prelude::*;
use proptest::sample::select;

use super::bench::running;
use super::support::{Pipeline, leaf_spine, onos_basic, onos_fabric, ports, vocabulary};
use pointsman_pipeliner::Book;

/// A value of each form that the field has.
fn texts(field: Field) -> Vec<&'static str> {
    match field.kind() {
        ValueKind::Port => vec!["1", "swp2", "swp99"],
        ValueKind::Mac => vec!["00:00:5e:00:53:01", "01:00:00:00:00:00/01:00:00:00:00:00"],
        ValueKind::Vlan => vec!["10", "20", "untagged"],
        ValueKind::Ipv4 => vec![
            "10.0.0.1",
            "10.0.0.0/8",
            "10.0.0.1/255.0.0.255",
            "0.0.0.0/0",
        ],
        ValueKind::Ipv6 => vec!["2001:db8::1", "2001:db8::/32", "::1/::ffff", "::/0"],
        ValueKind::Ranged(_) => vec!["80", "1000-1999", "0x10/0xf0", "1-65534"],
        ValueKind::Flags(..) => vec!["syn", "syn/syn+ack"],
        ValueKind::Number(1, _) => vec!["0", "1"],
        ValueKind::Number(..) => vec!["0", "1", "0x1/0x1"],
    }
}

fn selector() -> impl Strategy<Value = Selector> {
    let fields: Vec<Field> = Field::all().collect();
    let criteria = prop::sample::subsequence(fields, 0..5).prop_flat_map(|fields| {
        let criterion = |field: Field| {
            select(texts(field)).prop_map(move |text| {
                let matching = field.parse(text).expect("a value of the field");
                Criterion { field, matching }
            })
        };
        fields.into_iter().map(criterion).collect::<Vec<_>>()
    });
    criteria.prop_map(|criteria| Selector::new(criteria).expect("each field is there once"))
}

fn instruction() -> impl Strategy<Value = Instruction> {
    let vlan = VlanId::new(10).expect("it is in range");
    let meter = Meter {
        committed_rate: 1,
        committed_burst: 1,
        peak_rate: 1,
        peak_burst: 1,
    };
    let set = |field, value| Instruction::Set { field, value };
    select(vec![
        Instruction::Output(PortRef::Number(3)),
        Instruction::Output(PortRef::Name("swp4".to_owned())),
        set(Field::EthSrc, 1),
        set(Field::EthDst, 2),
        set(Field::Ipv4Dst, 3),
        Instruction::PushVlan(vlan),
        Instruction::PopVlan,
        Instruction::Drop,
        Instruction::Punt,
        Instruction::CopyToCpu,
        Instruction::DecTtl,
        Instruction::PushMpls(16),
        Instruction::PopMpls,
        Instruction::Meter(meter),
        Instruction::Queue(3),
        Instruction::Count(Name::new("web").expect("it is a name")),
    ])
}

fn treatment() -> impl Strategy<Value = Vec<Instruction>> {
    prop::collection::vec(instruction(), 0..4)
}

fn name() -> impl Strategy<Value = Name> {
    select(vec!["a", "b", "c"]).prop_map(|name| Name::new(name).expect("it is a name"))
}

fn kind() -> impl Strategy<Value = ObjectiveKind> {
    let types = select(vec![FilterType::Permit, FilterType::Deny]);
    let filter = (types, selector(), selector(), treatment()).prop_map(
        |(filter_type, key, conditions, treatment)| {
            ObjectiveKind::Filter(Filter {
                filter_type,
                key,
                conditions,
                treatment,
            })
        },
    );
    let flags = select(vec![
        ForwardFlag::Specific,
        ForwardFlag::Versatile,
        ForwardFlag::Egress,
    ]);
    let forward = (flags, selector(), prop::option::of(name()), treatment()).prop_map(
        |(flag, selector, next, treatment)| {
            ObjectiveKind::Forward(Forward {
                flag,
                selector,
                next,
                treatment,
            })
        },
    );
    let types = vec![
        NextType::Simple,
        NextType::Hashed,
        NextType::Broadcast,
        NextType::Failover,
    ];
    let bucket = (1..40_u16, treatment(), prop::option::weighted(0.2, name())).prop_map(
        |(weight, treatment, next)| Bucket {
            weight,
            treatment,
            next,
        },
    );
    let next = (
        select(types),
        prop::collection::vec(bucket, 1..4),
        selector(),
    )
        .prop_map(|(next_type, buckets, meta)| {
            ObjectiveKind::Next(Next {
                next_type,
                buckets,
                meta,
            })
        });
    prop_oneof![1 => filter, 2 => forward, 2 => next]
}

prop_compose! {
    pub(super) fn objective()(name in name(), priority in 1..=u16::MAX, kind in kind()) -> Objective {
        Objective { name, priority, attributes: Attributes::default(), kind }
    }
}

fn check(pipeline: &Pipeline, objectives: &[Objective]) {
    let mut book = Book::default();
    for objective in objectives {
        match pipeline.pipeliner.put(&book, &ports(), objective) {
            Ok(staged) => drop(book.commit(staged)),
            Err(refusal) => {
                assert!(!refusal.message.is_empty());
                assert_ne!(refusal.reason, Reason::Internal, "{refusal}");
            }
        }
    }
    // The pipeline takes everything, or this panics.
    running(pipeline, &book);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_objective_is_realised_or_refused(objectives in prop::collection::vec(objective(), 1..60)) {
        check(&leaf_spine(), &objectives);
        check(&vocabulary(), &objectives);
        for onos in [onos_fabric(), onos_basic()].into_iter().flatten() {
            check(&onos, &objectives);
        }
    }
}
