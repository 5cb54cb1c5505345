//! Entities on a running agent: what depends on what is there already, on the order of a batch, and on
//! ports that go down.

mod common;

use std::path::Path;

use common::{Controller, TestAgent, codes, config};
use pointsman_agent::config::PipelineChoice;
use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use prost::Message;
use tonic::{Code, Status};

struct Bed {
    controller: Controller,
    agent: TestAgent,
    _dir: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Bed {
        let dir = tempfile::tempdir().expect("a directory");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/entities");
        let mut config = config(dir.path());
        config.pipeline = PipelineChoice::Directory(program);
        let agent = TestAgent::start(&config).await;
        Bed {
            controller: agent.primary(1).await,
            agent,
            _dir: dir,
        }
    }

    /// Writes `INSERT entity`, `MODIFY entity` and so on, as one batch.
    async fn write(&mut self, updates: &[(&str, &str)]) -> Result<(), Status> {
        let updates = updates
            .iter()
            .map(|(kind, entity)| format!("updates {{ type: {kind} entity {{ {entity} }} }}"));
        let request = parse_write_request(&updates.collect::<String>()).expect("it is a request");
        self.controller.write(request.updates).await
    }

    #[track_caller]
    fn is_done(result: Result<(), Status>) {
        result.unwrap_or_else(|error| panic!("{}", error.message()));
    }

    async fn read(&mut self, filter: &str) -> Result<Vec<p4::Entity>, Status> {
        let text = format!("updates {{ entity {{ {filter} }} }}");
        let request = parse_write_request(&text).expect("it is an entity");
        let entity = request.updates[0].entity.clone();
        let entity = entity.and_then(|e| e.entity).expect("it is set");
        self.controller.read(entity).await
    }
}

/// The details of a batch that failed.
fn details(status: &Status) -> Vec<p4::Error> {
    let details = rpc::Status::decode(status.details()).expect("it has details");
    let errors = details.details.iter();
    errors
        .map(|any| p4::Error::decode(any.value.as_slice()).expect("they are errors"))
        .collect()
}

fn vrf(name: &str) -> String {
    format!(
        "table_entry {{ table_id: 34963011 match {{ field_id: 1 exact {{ value: \"{name}\" }} }} \
         action {{ action {{ action_id: 21257015 }} }} }}"
    )
}

/// An entry that sets the virtual router of what is for `dst`.
fn classify(dst: u8, vrf: &str) -> String {
    format!(
        "table_entry {{ table_id: 41499555 match {{ field_id: 1 exact {{ value: \"\\x{dst:02x}\" }} }} \
         action {{ action {{ action_id: 33505590 params {{ param_id: 1 value: \"{vrf}\" }} }} }} }}"
    )
}

fn acl(vrf: &str, priority: u32) -> String {
    format!(
        "table_entry {{ table_id: 42978102 priority: {priority} \
         match {{ field_id: 1 exact {{ value: \"{vrf}\" }} }} \
         action {{ action {{ action_id: 21257015 }} }} }}"
    )
}

#[tokio::test]
async fn what_is_referred_to_must_be_there_and_stays_while_it_is() {
    let mut bed = Bed::new().await;
    for entity in [classify(1, "red"), acl("red", 1)] {
        let refused = bed
            .write(&[("INSERT", &entity)])
            .await
            .expect_err("there is no red");
        assert_eq!(codes(&refused), [Code::InvalidArgument]);
        let error = &details(&refused)[0];
        assert_eq!((error.space.as_str(), error.code), ("pointsman", 26));
        let says = "refers to an entry of ingress.vrf_table with vrf = 'red', which is not there";
        assert!(error.message.contains(says), "{}", error.message);
    }
    // Updates are judged in their order.
    let batch = [
        ("INSERT", vrf("red")),
        ("INSERT", classify(1, "red")),
        ("INSERT", acl("red", 1)),
    ];
    let batch = batch
        .each_ref()
        .map(|(kind, entity)| (*kind, entity.as_str()));
    Bed::is_done(bed.write(&batch).await);
    let refused = bed
        .write(&[("DELETE", &vrf("red"))])
        .await
        .expect_err("it is used");
    assert_eq!(codes(&refused), [Code::FailedPrecondition]);
    assert!(
        details(&refused)[0].message.contains("used by 2 others"),
        "{refused}"
    );
    // One that refers elsewhere lets go.
    let batch = [
        ("INSERT", vrf("blue")),
        ("MODIFY", classify(1, "blue")),
        ("DELETE", acl("red", 1)),
        ("DELETE", vrf("red")),
    ];
    let batch = batch
        .each_ref()
        .map(|(kind, entity)| (*kind, entity.as_str()));
    Bed::is_done(bed.write(&batch).await);
    let refused = bed
        .write(&[("MODIFY", &classify(1, "red"))])
        .await
        .expect_err("it is gone");
    assert_eq!(codes(&refused), [Code::InvalidArgument]);
}

#[tokio::test]
async fn references_survive_a_restart_in_whatever_order_entries_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/entities");
    let mut config = config(dir.path());
    config.pipeline = PipelineChoice::Directory(program);
    for round in 1..=2 {
        let agent = TestAgent::start(&config).await;
        let mut bed = Bed {
            controller: agent.primary(round).await,
            agent,
            _dir: tempfile::tempdir().expect("a directory"),
        };
        if round == 1 {
            Bed::is_done(
                bed.write(&[("INSERT", &vrf("red")), ("INSERT", &classify(1, "red"))])
                    .await,
            );
        }
        let refused = bed
            .write(&[("DELETE", &vrf("red"))])
            .await
            .expect_err("it is used");
        assert_eq!(codes(&refused), [Code::FailedPrecondition]);
        let Bed {
            agent, controller, ..
        } = bed;
        drop(controller);
        agent.stop().await;
    }
}

const SEND: &str = r#"action { action_id: 18638031 params { param_id: 1 value: "\x02" } }"#;

/// P4Runtime, "Group Programming".
#[tokio::test]
async fn max_size_stays_what_a_group_was_inserted_with() {
    let mut bed = Bed::new().await;
    let group = |max_size: u32| {
        format!(
            "action_profile_group {{ action_profile_id: 296984710 group_id: 1 max_size: {max_size} }}"
        )
    };
    Bed::is_done(
        bed.write(&[("INSERT", &group(4)), ("MODIFY", &group(4))])
            .await,
    );
    let refused = bed
        .write(&[("MODIFY", &group(8))])
        .await
        .expect_err("it is fixed");
    assert_eq!(codes(&refused), [Code::InvalidArgument]);
    assert!(
        details(&refused)[0].message.contains("inserted as 4"),
        "{refused}"
    );
}

/// P4Runtime, "Member Programming": the size of an action profile.
#[tokio::test]
async fn an_action_profile_has_as_many_members_as_p4info_says() {
    let mut bed = Bed::new().await;
    let member = |id: u32| {
        format!("action_profile_member {{ action_profile_id: 294906192 member_id: {id} {SEND} }}")
    };
    let members: Vec<String> = (1..=5).map(member).collect();
    let batch: Vec<_> = members.iter().map(|m| ("INSERT", m.as_str())).collect();
    let refused = bed.write(&batch).await.expect_err("four fit");
    let ok = Code::Ok;
    assert_eq!(codes(&refused), [ok, ok, ok, ok, Code::ResourceExhausted]);
}

/// P4Runtime, "Known Limitations of Current P4Runtime Version".
#[tokio::test]
async fn the_default_of_an_indirect_table_stays_what_it_is() {
    let mut bed = Bed::new().await;
    let default = |action: &str| {
        format!("table_entry {{ table_id: 45698565 is_default_action: true {action} }}")
    };
    let replicate = r#"action { action_id: 24025495 params { param_id: 1 value: "\x02" } }"#;
    let set = default(&format!(
        "action {{ action_profile_action_set {{ \
         action_profile_actions {{ {replicate} weight: 1 }} }} }}"
    ));
    let refused = bed.write(&[("MODIFY", &set)]).await;
    let refused = refused.expect_err("it is restricted to NoAction");
    assert_eq!(codes(&refused), [Code::PermissionDenied]);
    Bed::is_done(bed.write(&[("MODIFY", &default(""))]).await);
}

/// P4Runtime, "Wildcard Reads", "DirectCounterEntry".
#[tokio::test]
async fn filters_select_what_the_specification_says() {
    let mut bed = Bed::new().await;
    let entries = [vrf("red"), acl("red", 1), acl("red", 2)];
    let batch: Vec<_> = entries.iter().map(|e| ("INSERT", e.as_str())).collect();
    Bed::is_done(bed.write(&batch).await);
    let acl_with = |rest: &str| format!("table_entry {{ table_id: 42978102 {rest} }}");
    let red = r#"match { field_id: 1 exact { value: "red" } }"#;
    for (filter, count) in [
        (acl_with(""), 2),
        (acl_with("priority: 2"), 1),
        (acl_with(red), 2),
        (acl_with(&format!("{red} priority: 2")), 1),
        (acl_with("priority: 3"), 0),
        (acl_with("metadata: \"mine\""), 0),
        (acl_with("action { action { action_id: 21257015 } }"), 2),
        (acl_with("action { action { action_id: 30654149 } }"), 0),
        (acl_with("is_default_action: true"), 1),
        // Const entries of the program are there, and defaults are not.
        ("table_entry { }".to_owned(), 5),
        ("table_entry { table_id: 39069254 }".to_owned(), 2),
    ] {
        let found = bed.read(&filter).await.expect("it can be read");
        assert_eq!(found.len(), count, "{filter}");
    }
    for (filter, code) in [
        (
            acl_with("action { action { action_id: 33505590 } }"),
            Code::InvalidArgument,
        ),
        (
            "table_entry { priority: 2 }".to_owned(),
            Code::InvalidArgument,
        ),
        (
            "table_entry { table_id: 1 }".to_owned(),
            Code::InvalidArgument,
        ),
        (
            r#"direct_counter_entry { table_entry { table_id: 41499555
               match { field_id: 1 exact { value: "\x07" } } } }"#
                .to_owned(),
            Code::NotFound,
        ),
    ] {
        let refused = bed.read(&filter).await.expect_err(&filter);
        assert_eq!(codes(&refused), [code], "{filter}");
    }
}

/// P4Runtime, "MulticastGroupEntry": backups.
#[tokio::test]
async fn a_copy_goes_to_the_first_of_its_ports_that_is_up() {
    let mut bed = Bed::new().await;
    let group = r#"packet_replication_engine_entry { multicast_group_entry { multicast_group_id: 2
        replicas { port: "\x01" instance: 1 backup_replicas { port: "\x02" instance: 2 }
                   backup_replicas { port: "\x31" instance: 3 } }
        replicas { port: "\x32" instance: 4 } } }"#;
    let flood = r#"table_entry { table_id: 42978102 is_default_action: true
        action { action { action_id: 24025495 params { param_id: 1 value: "\x02" } } } }"#;
    Bed::is_done(bed.write(&[("INSERT", group), ("MODIFY", flood)]).await);
    let packet = [&[0u8; 12][..], &[0x99, 0x99], b"payload"].concat();
    for (down, expected) in [
        (&[][..], &[1, 50][..]),
        (&[1], &[2, 50]),
        (&[1, 2], &[49, 50]),
        (&[1, 2, 49], &[50]),
        (&[2], &[1, 50]),
        // What has no backups is not looked after.
        (&[50], &[1, 50]),
    ] {
        for port in [1, 2, 49, 50] {
            let state = bed.agent.agent.shared();
            let liveness = state.switch.target().liveness();
            liveness.set_port_up(port, !down.contains(&port));
        }
        let outputs = bed.agent.engine.receive(50, packet.clone());
        let mut ports: Vec<u32> = outputs.iter().map(|output| output.port).collect();
        ports.sort_unstable();
        assert_eq!(ports, expected, "with {down:?} down");
    }
}
