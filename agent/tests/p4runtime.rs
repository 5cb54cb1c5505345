//! The P4Runtime server as its clients see it, over the leaf_spine pipeline.

mod common;

use common::{DEVICE, TestAgent, codes, config, read, update};
use pointsman_agent::schema::Schema;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::update::Type::{Delete, Insert, Modify};
use pointsman_proto::p4::v1::write_request::Atomicity::RollbackOnError;
use tonic::Code;

/// Entries by name, for the pipeline that an agent runs.
struct Names(std::sync::Arc<Schema>);

impl Names {
    fn of(agent: &TestAgent) -> Names {
        let state = agent.agent.shared();
        Names(state.switch.pipeline().expect("a pipeline").schema.clone())
    }

    /// An IPv4 route to a next.
    fn route(&self, value: &[u8], prefix_len: i32, next_id: u8) -> p4::TableEntry {
        let table = self.0.table_named("routing_v4").expect("leaf_spine has it");
        let action = self
            .0
            .actions
            .iter()
            .find(|a| a.alias == "set_next_id_routing_v4");
        let action = action.expect("leaf_spine has it");
        p4::TableEntry {
            table_id: table.id,
            r#match: vec![p4::FieldMatch {
                field_id: table.fields[0].id,
                field_match_type: Some(p4::field_match::FieldMatchType::Lpm(
                    p4::field_match::Lpm {
                        value: value.to_vec(),
                        prefix_len,
                    },
                )),
            }],
            action: Some(p4::TableAction {
                r#type: Some(p4::table_action::Type::Action(p4::Action {
                    action_id: action.id,
                    params: vec![p4::action::Param {
                        param_id: action.params[0].id,
                        value: vec![0, next_id],
                    }],
                })),
            }),
            ..Default::default()
        }
    }

    fn routes(&self) -> Entity {
        let table = self.0.table_named("routing_v4").expect("leaf_spine has it");
        Entity::TableEntry(p4::TableEntry {
            table_id: table.id,
            ..Default::default()
        })
    }
}

#[tokio::test]
async fn an_entry_is_read_back_in_canonical_form_and_can_be_changed_and_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let names = Names::of(&agent);
    let mut controller = agent.primary(1).await;
    let padded = names.route(&[0, 0, 10, 0, 2, 0], 24, 7);
    let route = |kind, next| {
        update(
            kind,
            Entity::TableEntry(names.route(&[10, 0, 2, 0], 24, next)),
        )
    };
    let insert = update(Insert, Entity::TableEntry(padded));
    controller.write(vec![insert]).await.expect("it is new");

    let found = controller
        .read(names.routes())
        .await
        .expect("it can be read");
    let Some(Entity::TableEntry(entry)) = &found[0].entity else {
        panic!("not a table entry: {found:?}");
    };
    let Some(p4::field_match::FieldMatchType::Lpm(lpm)) = &entry.r#match[0].field_match_type else {
        panic!("not a prefix: {entry:?}");
    };
    assert_eq!(lpm.value, [10, 0, 2, 0]);
    let action = entry.action.clone().and_then(|a| a.r#type);
    let Some(p4::table_action::Type::Action(action)) = action else {
        panic!("no action: {entry:?}");
    };
    assert_eq!(action.params[0].value, [7]);

    let again = controller
        .write(vec![route(Insert, 7)])
        .await
        .expect_err("it exists");
    assert_eq!(codes(&again), [Code::AlreadyExists]);
    controller
        .write(vec![route(Modify, 8)])
        .await
        .expect("it exists");
    controller
        .write(vec![route(Delete, 0)])
        .await
        .expect("it exists");
    let gone = controller
        .write(vec![route(Delete, 0)])
        .await
        .expect_err("it is gone");
    assert_eq!(codes(&gone), [Code::NotFound]);
    assert!(
        controller
            .read(names.routes())
            .await
            .expect("it can be read")
            .is_empty()
    );
}

#[tokio::test]
async fn a_batch_goes_on_after_an_error_or_is_taken_back_as_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let names = Names::of(&agent);
    let mut controller = agent.primary(1).await;
    let insert = |n| {
        update(
            Insert,
            Entity::TableEntry(names.route(&[10, 0, n, 0], 24, 1)),
        )
    };
    let too_long = update(
        Insert,
        Entity::TableEntry(names.route(&[10, 0, 9, 0], 33, 1)),
    );

    let batch = vec![insert(1), too_long.clone(), insert(2)];
    let error = controller
        .write_with(batch, RollbackOnError)
        .await
        .expect_err("one is bad");
    assert_eq!(
        codes(&error),
        [Code::Aborted, Code::InvalidArgument, Code::Aborted]
    );
    assert!(
        controller
            .read(names.routes())
            .await
            .expect("it can be read")
            .is_empty()
    );

    let batch = vec![insert(1), too_long, insert(2), insert(1)];
    let error = controller.write(batch).await.expect_err("two are bad");
    let expected = [
        Code::Ok,
        Code::InvalidArgument,
        Code::Ok,
        Code::AlreadyExists,
    ];
    assert_eq!(codes(&error), expected);
    assert!(
        error.message().contains("prefix length 33"),
        "{}",
        error.message()
    );
    assert_eq!(
        controller
            .read(names.routes())
            .await
            .expect("it can be read")
            .len(),
        2
    );
}

#[tokio::test]
async fn the_checks_of_a_write_come_in_the_order_of_the_specification() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    config.pipeline = pointsman_agent::config::PipelineChoice::None;
    let agent = TestAgent::start(&config).await;
    let mut client = agent.p4runtime().await;
    let mut request = p4::WriteRequest {
        device_id: 9,
        ..Default::default()
    };
    let code = |result: Result<_, tonic::Status>| result.map(|_| ()).expect_err("refused").code();
    assert_eq!(code(client.write(request.clone()).await), Code::NotFound);
    request.device_id = DEVICE;
    assert_eq!(
        code(client.write(request.clone()).await),
        Code::PermissionDenied
    );
    let controller = agent.primary(3).await;
    request.election_id = controller.election_id;
    assert_eq!(code(client.write(request).await), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_second_controller_takes_over_and_the_first_may_no_longer_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut first = agent.primary(1).await;
    let _second = agent.primary(2).await;
    let update = first.arbitration().await;
    assert_eq!(
        update.status.expect("a status").code,
        Code::AlreadyExists as i32
    );
    assert_eq!(update.election_id.expect("the highest").low, 2);
    let error = first
        .write(Vec::new())
        .await
        .expect_err("it is a backup now");
    assert_eq!(error.code(), Code::PermissionDenied);
    let mut third = agent.controller(Some(2)).await;
    let error = third.next().await.expect_err("the id is taken");
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn defaults_are_read_on_their_own_and_reset_by_an_empty_modification() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut client = agent.p4runtime().await;
    let everything = Entity::TableEntry(p4::TableEntry::default());
    assert!(
        read(&mut client, everything)
            .await
            .expect("readable")
            .is_empty()
    );
    let defaults = Entity::TableEntry(p4::TableEntry {
        is_default_action: true,
        ..Default::default()
    });
    let found = read(&mut client, defaults).await.expect("readable");
    let names = Names::of(&agent);
    assert_eq!(found.len(), names.0.tables.len());
}

#[tokio::test]
async fn a_pipeline_can_be_set_saved_and_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut controller = agent.primary(1).await;
    let source = agent
        .agent
        .shared()
        .switch
        .pipeline()
        .expect("a pipeline")
        .source
        .clone();
    let config = p4::ForwardingPipelineConfig {
        p4info: Some(source.p4info.clone()),
        p4_device_config: source.device_config.clone(),
        cookie: Some(p4::forwarding_pipeline_config::Cookie { cookie: 77 }),
    };
    use p4::set_forwarding_pipeline_config_request::Action;
    let set = |action: Action, config: Option<_>| p4::SetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        election_id: controller.election_id,
        action: action.into(),
        config,
        ..Default::default()
    };
    let nothing_saved = set(Action::Commit, None);
    let save = set(Action::VerifyAndSave, Some(config.clone()));
    let commit = set(Action::Commit, None);
    let broken = set(
        Action::VerifyAndCommit,
        Some(p4::ForwardingPipelineConfig {
            p4_device_config: b"not json".to_vec(),
            ..config.clone()
        }),
    );
    let client = &mut controller.client;
    let error = client
        .set_forwarding_pipeline_config(nothing_saved)
        .await
        .expect_err("none");
    assert_eq!(error.code(), Code::NotFound);
    let error = client
        .set_forwarding_pipeline_config(broken)
        .await
        .expect_err("no JSON");
    assert_eq!(error.code(), Code::InvalidArgument);
    client
        .set_forwarding_pipeline_config(save)
        .await
        .expect("it is good");
    client
        .set_forwarding_pipeline_config(commit)
        .await
        .expect("it was saved");
    let get = p4::GetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        ..Default::default()
    };
    let got = client
        .get_forwarding_pipeline_config(get)
        .await
        .expect("there is one");
    assert_eq!(got.into_inner().config, Some(config));
}

#[tokio::test]
async fn a_thousand_entries_in_one_write_are_quick_and_all_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let names = Names::of(&agent);
    let mut controller = agent.primary(1).await;
    let routes = (0..2000u16).map(|n| {
        let [high, low] = n.to_be_bytes();
        update(
            Insert,
            Entity::TableEntry(names.route(&[10, high, low, 0], 24, 1)),
        )
    });
    controller
        .write(routes.collect())
        .await
        .expect("there is room");
    assert_eq!(
        controller
            .read(names.routes())
            .await
            .expect("readable")
            .len(),
        2000
    );
}

/// The packet_out header of leaf_spine, by field name.
fn packet_out(agent: &TestAgent, values: &[(&str, u8)]) -> Vec<p4::PacketMetadata> {
    let schema = Names::of(agent).0;
    let header = schema.packet_out.as_ref().expect("leaf_spine has one");
    let metadata = values.iter().map(|(name, value)| p4::PacketMetadata {
        metadata_id: header
            .fields
            .iter()
            .find(|f| f.name == *name)
            .expect("a field")
            .id,
        value: vec![*value],
    });
    metadata.collect()
}

#[tokio::test]
async fn a_packet_out_that_cannot_be_sent_comes_back_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut backup = agent.controller(None).await;
    backup.arbitration().await;
    let mut primary = agent.primary(1).await;
    backup.arbitration().await;
    let packet = |metadata| p4::PacketOut {
        payload: vec![0; 60],
        metadata,
    };
    let whole = packet_out(&agent, &[("egress_port", 2), ("through_pipeline", 0)]);
    for (controller, metadata, code) in [
        (&mut backup, whole.clone(), Code::PermissionDenied),
        (&mut primary, whole[..1].to_vec(), Code::InvalidArgument),
    ] {
        let sent = packet(metadata);
        let message = p4::StreamMessageRequest {
            update: Some(p4::stream_message_request::Update::Packet(sent.clone())),
        };
        controller
            .requests
            .send(message)
            .await
            .expect("the stream is open");
        let answer = controller.next().await.expect("the stream goes on");
        let p4::stream_message_response::Update::Error(error) = answer else {
            panic!("not an error: {answer:?}");
        };
        assert_eq!(Code::from_i32(error.canonical_code), code);
        let Some(p4::stream_error::Details::PacketOut(details)) = error.details else {
            panic!("no details: {error:?}");
        };
        assert_eq!(details.packet_out, Some(sent));
    }
}

#[tokio::test]
async fn what_is_written_after_a_save_is_in_force_with_the_commit() {
    use p4::set_forwarding_pipeline_config_request::Action;
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let names = Names::of(&agent);
    let mut controller = agent.primary(1).await;
    let insert = |n| {
        update(
            Insert,
            Entity::TableEntry(names.route(&[10, 0, n, 0], 24, 1)),
        )
    };
    controller
        .write(vec![insert(1), insert(2)])
        .await
        .expect("they are new");
    let source = agent
        .agent
        .shared()
        .switch
        .pipeline()
        .expect("a pipeline")
        .source
        .clone();
    let set = |action: Action, config| p4::SetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        election_id: Some(p4::Uint128 { high: 0, low: 1 }),
        action: action.into(),
        config,
        ..Default::default()
    };
    let config = p4::ForwardingPipelineConfig {
        p4info: Some(source.p4info),
        p4_device_config: source.device_config,
        cookie: None,
    };
    let save = set(Action::VerifyAndSave, Some(config));
    let saved = controller.client.set_forwarding_pipeline_config(save).await;
    saved.expect("it is good");
    assert!(
        controller
            .read(names.routes())
            .await
            .expect("readable")
            .is_empty()
    );
    controller
        .write(vec![insert(3)])
        .await
        .expect("the tables are empty");
    assert_eq!(stored_routes(&agent), 2);

    let commit = set(Action::Commit, None);
    let committed = controller
        .client
        .set_forwarding_pipeline_config(commit)
        .await;
    committed.expect("it was saved");
    assert_eq!(
        controller
            .read(names.routes())
            .await
            .expect("readable")
            .len(),
        1
    );
    assert_eq!(stored_routes(&agent), 1);
}

/// Entries of the switch that forwards.
fn stored_routes(agent: &TestAgent) -> usize {
    let state = agent.agent.shared();
    let (_, store) = state.switch.contents().expect("a pipeline");
    store.updates().len()
}
