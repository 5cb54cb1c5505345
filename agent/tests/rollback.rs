//! Rolling back leaves a switch as it was: random updates of every kind of entity on ONOS's
//! WCMP table, which has members, groups and one-shot groups, and on replication.

mod common;

use pointsman_agent::entity::{
    CloneSession, Entity, Group, GroupMember, Member, MulticastGroup, OneShot, OneShotAction,
    PortForm, Replica, Selection, TableAction, TableEntry, Update,
};
use pointsman_agent::schema::Schema;
use pointsman_agent::switch::{Pipeline, PipelineSource, Switch};
use pointsman_agent::target::interpreter::InterpreterTarget;
use pointsman_p4::dataplane::{Bits, Call, EntryKey, Match};
use pointsman_p4::p4info::parse_p4info;
use proptest::prelude::*;

/// A pipeline with an action selector, or `None` with a line saying that the test skips.
fn selector_pipeline() -> Option<Pipeline> {
    let shared = std::env::var_os("POINTSMAN_VECTORS").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into(),
        std::path::PathBuf::from,
    );
    let directory = shared.join("pipelines/onos-basic");
    let Ok(p4info) = std::fs::read_to_string(directory.join("p4info.txtpb")) else {
        eprintln!("skipped: {} is not there", directory.display());
        return None;
    };
    let device_config = std::fs::read(directory.join("bmv2.json")).expect("it is beside p4info");
    let source = PipelineSource {
        p4info: parse_p4info(&p4info).expect("it is a p4info"),
        device_config,
        cookie: None,
        manifest: None,
        configured: false,
    };
    Some(Pipeline::read(source).expect("they fit together"))
}

#[derive(Debug, Clone)]
enum Step {
    Member(u32, u8),
    Group(u32, Vec<u32>),
    Entry(u8, Action),
    Multicast(u32, Vec<u32>),
    Clone(u32, u32),
}

#[derive(Debug, Clone)]
enum Action {
    Member(u32),
    Group(u32),
    OneShot(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let few = 1..4u32;
    let action = prop_oneof![
        few.clone().prop_map(Action::Member),
        few.clone().prop_map(Action::Group),
        proptest::collection::vec(0..9u8, 1..4).prop_map(Action::OneShot),
    ];
    prop_oneof![
        (few.clone(), 0..9u8).prop_map(|(id, port)| Step::Member(id, port)),
        (
            few.clone(),
            proptest::sample::subsequence(vec![1, 2, 3], 0..=3)
        )
            .prop_map(|(id, members)| Step::Group(id, members)),
        (0..3u8, action).prop_map(|(key, action)| Step::Entry(key, action)),
        (
            few.clone(),
            proptest::sample::subsequence(vec![1, 2, 3], 0..=3)
        )
            .prop_map(|(id, ports)| Step::Multicast(id, ports)),
        (few.clone(), few).prop_map(|(id, port)| Step::Clone(id, port)),
    ]
}

fn entity(schema: &Schema, step: &Step) -> Entity {
    let table = schema.table_named("wcmp_table").expect("onos-basic has it");
    let profile = schema.profiles.first().expect("onos-basic has one");
    let call = |port: u8| Call {
        action: profile.actions[0].1,
        args: vec![Bits::from(u64::from(port))].into(),
    };
    match step {
        Step::Member(id, port) => Entity::Member(Member {
            profile: profile.profile,
            id: *id,
            call: Some(call(*port)),
        }),
        Step::Group(id, members) => {
            let members = members.iter().map(|member| GroupMember {
                member: *member,
                weight: 1,
                watch_port: None,
            });
            Entity::Group(Group {
                profile: profile.profile,
                id: *id,
                members: members.collect(),
                max_size: 0,
                ports: PortForm::Bytes,
            })
        }
        Step::Entry(key, action) => {
            let key = EntryKey {
                table: table.table,
                matches: vec![Match::Exact(Bits::from(u64::from(*key)))].into(),
                priority: 0,
            };
            let action = match action {
                Action::Member(id) => TableAction::Member(*id),
                Action::Group(id) => TableAction::Group(*id),
                Action::OneShot(ports) => {
                    let actions = ports.iter().map(|port| OneShotAction {
                        call: call(*port),
                        weight: 1,
                        watch_port: None,
                    });
                    TableAction::OneShot(OneShot::new(Selection::Hash, actions.collect()))
                }
            };
            Entity::TableEntry(TableEntry::new(key, action))
        }
        Step::Multicast(id, ports) => {
            let replicas = ports.iter().map(|port| Replica::new(*port, 0));
            Entity::MulticastGroup(MulticastGroup {
                id: *id,
                replicas: replicas.collect(),
                ports: PortForm::Bytes,
                metadata: Vec::new(),
            })
        }
        Step::Clone(id, port) => Entity::CloneSession(CloneSession {
            id: *id,
            replicas: vec![Replica::new(*port, 0)],
            ports: PortForm::Bytes,
            class_of_service: 0,
            packet_length_bytes: 0,
        }),
    }
}

fn updates(schema: &Schema, steps: &[(u8, Step)]) -> Vec<Update> {
    let updates = steps.iter().map(|(operation, step)| {
        let entity = entity(schema, step);
        match operation {
            0 | 1 => Update::insert(entity),
            2 => Update::modify(entity),
            _ => Update::delete(entity),
        }
    });
    updates.collect()
}

/// What was written has an order only where something depends on something.
fn sorted(mut updates: Vec<Update>) -> Vec<Update> {
    updates.sort_by_key(|update| format!("{update:?}"));
    updates
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rolling_back_leaves_a_switch_as_it_was(
        before in proptest::collection::vec((0..4u8, step()), 0..40),
        after in proptest::collection::vec((0..4u8, step()), 0..40),
    ) {
        let Some(pipeline) = selector_pipeline() else { return Ok(()) };
        let schema = pipeline.schema.clone();
        let (packets, _packet_in) = tokio::sync::mpsc::channel(1);
    let (learner, _learnt) = tokio::sync::mpsc::channel(1);
        let target = InterpreterTarget::new(common::CPU_PORT, packets, learner);
        let mut switch = Switch::new(Box::new(target));
        switch.load(pipeline.clone(), &[]).expect("the interpreter takes everything");
        let mut transaction = switch.begin_all().expect("there is a pipeline");
        for update in updates(&schema, &before) {
            // Many make no sense, and are refused.
            let _ = transaction.apply(&update);
        }
        drop(transaction);
        let expected = switch.contents().expect("there is a pipeline").1.updates();
        let held = |switch: &Switch| sorted(switch.contents().expect("a pipeline").1.updates());

        let mut transaction = switch.begin_all().expect("there is a pipeline");
        let start = transaction.savepoint();
        for update in updates(&schema, &after) {
            let _ = transaction.apply(&update);
        }
        transaction.roll_back_to(start);
        drop(transaction);
        prop_assert_eq!(held(&switch), sorted(expected.clone()));

        // What is in the store can be written to an empty switch, and so was in the data plane.
        let (packets, _packet_in) = tokio::sync::mpsc::channel(1);
    let (learner, _learnt) = tokio::sync::mpsc::channel(1);
        let mut other = Switch::new(Box::new(InterpreterTarget::new(common::CPU_PORT, packets, learner)));
        other.load(pipeline, &expected).expect("it is complete and in order");
        prop_assert_eq!(held(&other), sorted(expected.clone()));

        // And everything can be deleted again, from the last to the first.
        let mut transaction = switch.begin_all().expect("there is a pipeline");
        for update in expected.iter().rev() {
            let deleted = transaction.apply(&Update::delete(update.entity.clone()));
            prop_assert!(deleted.is_ok(), "{:?}", deleted);
        }
    }
}
