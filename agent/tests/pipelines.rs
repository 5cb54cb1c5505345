//! Setting pipelines: without a device config, saved, reconciled, and with demands on the platform.

mod common;

use common::leaf_spine::{ACTION, TABLE, leaf_spine, route};
use common::{CPU_PORT, Controller, DEVICE, TestAgent, codes, config, update};
use pointsman_agent::config::PipelineChoice;
use pointsman_proto::p4::config::v1::{P4Info, PlatformProperties};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::p4::v1::update::Type::{Insert, Modify};
use tonic::{Code, Status};

fn p4info_only() -> p4::ForwardingPipelineConfig {
    p4::ForwardingPipelineConfig {
        p4_device_config: Vec::new(),
        ..leaf_spine()
    }
}

fn info(config: &mut p4::ForwardingPipelineConfig) -> &mut P4Info {
    config.p4info.as_mut().expect("it has one")
}

async fn set(
    controller: &mut Controller,
    action: Action,
    config: Option<p4::ForwardingPipelineConfig>,
) -> Result<(), Status> {
    let request = p4::SetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        election_id: controller.election_id,
        action: action.into(),
        config,
        ..Default::default()
    };
    let client = &mut controller.client;
    client
        .set_forwarding_pipeline_config(request)
        .await
        .map(drop)
}

async fn get(
    controller: &mut Controller,
    response_type: ResponseType,
) -> Option<p4::ForwardingPipelineConfig> {
    let request = p4::GetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        response_type: response_type.into(),
    };
    let client = &mut controller.client;
    let response = client.get_forwarding_pipeline_config(request).await;
    response.expect("it is always answered").into_inner().config
}

/// A route of a pipeline, with the ids that its p4info says.
async fn entries(controller: &mut Controller) -> Vec<p4::Entity> {
    let everything = Entity::TableEntry(p4::TableEntry::default());
    controller.read(everything).await.expect("readable")
}

async fn without_pipeline(dir: &std::path::Path) -> (TestAgent, Controller) {
    let mut config = config(dir);
    config.pipeline = PipelineChoice::None;
    let agent = TestAgent::start(&config).await;
    let controller = agent.primary(1).await;
    (agent, controller)
}

#[tokio::test]
async fn a_p4info_alone_takes_entries_and_sends_no_packets() {
    let dir = tempfile::tempdir().expect("a directory");
    let (agent, mut controller) = without_pipeline(dir.path()).await;
    assert_eq!(get(&mut controller, ResponseType::All).await, None);
    let mut config = p4info_only();
    set(
        &mut controller,
        Action::VerifyAndCommit,
        Some(config.clone()),
    )
    .await
    .expect("a p4info is enough");
    let got = get(&mut controller, ResponseType::All).await;
    assert_eq!(got.as_ref(), Some(&config));

    let entry = route(info(&mut config), 1);
    controller
        .write(vec![update(Insert, entry.clone())])
        .await
        .expect("it is new");
    let again = controller.write(vec![update(Insert, entry.clone())]).await;
    assert_eq!(codes(&again.expect_err("it exists")), [Code::AlreadyExists]);
    let Entity::TableEntry(mut wrong) = entry else {
        panic!("it is an entry");
    };
    wrong.r#match.clear();
    wrong.action.as_mut().expect("it has one").r#type = None;
    let wrong = controller.write(vec![update(Insert, Entity::TableEntry(wrong))]);
    assert_eq!(
        codes(&wrong.await.expect_err("no action")),
        [Code::InvalidArgument]
    );
    assert_eq!(entries(&mut controller).await.len(), 1);

    let header = &info(&mut config).controller_packet_metadata;
    let is_out = |h: &&pointsman_proto::p4::config::v1::ControllerPacketMetadata| {
        h.preamble.as_ref().is_some_and(|p| p.name == "packet_out")
    };
    let fields = &header
        .iter()
        .find(is_out)
        .expect("leaf_spine has it")
        .metadata;
    let metadata = fields.iter().map(|field| p4::PacketMetadata {
        metadata_id: field.id,
        value: vec![0],
    });
    let packet = p4::stream_message_request::Update::Packet(p4::PacketOut {
        payload: vec![0; 60],
        metadata: metadata.collect(),
    });
    let message = p4::StreamMessageRequest {
        update: Some(packet),
    };
    controller.requests.send(message).await.expect("open");
    let answer = controller.next().await.expect("the stream goes on");
    let p4::stream_message_response::Update::Error(error) = answer else {
        panic!("not an error: {answer:?}");
    };
    assert_eq!(error.canonical_code, Code::FailedPrecondition as i32);
    assert!(
        error.message.contains("p4_device_config"),
        "{}",
        error.message
    );
    assert!(agent.engine.receive(1, vec![0; 60]).is_empty());
}

#[tokio::test]
async fn a_p4info_alone_takes_the_place_of_a_program_and_gives_it_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut controller = agent.primary(1).await;
    let mut config = p4info_only();
    set(
        &mut controller,
        Action::VerifyAndCommit,
        Some(config.clone()),
    )
    .await
    .expect("a p4info is enough");
    let entry = route(info(&mut config), 1);
    let insert = controller.write(vec![update(Insert, entry)]).await;
    insert.expect("it is new");
    // Nothing forwards, not even what the program did before.
    assert!(agent.engine.receive(CPU_PORT, vec![0; 60]).is_empty());

    set(
        &mut controller,
        Action::ReconcileAndCommit,
        Some(leaf_spine()),
    )
    .await
    .expect("the program has the same tables");
    assert_eq!(entries(&mut controller).await.len(), 1);
    let state = agent.agent.shared();
    assert!(
        !state
            .switch
            .pipeline()
            .expect("a pipeline")
            .is_p4info_only()
    );
}

#[tokio::test]
async fn each_response_type_has_its_fields_and_the_cookie() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_agent, mut controller) = without_pipeline(dir.path()).await;
    let config = leaf_spine();
    set(
        &mut controller,
        Action::VerifyAndCommit,
        Some(config.clone()),
    )
    .await
    .expect("it is good");
    for (wanted, info, device) in [
        (ResponseType::All, true, true),
        (ResponseType::CookieOnly, false, false),
        (ResponseType::P4infoAndCookie, true, false),
        (ResponseType::DeviceConfigAndCookie, false, true),
    ] {
        let got = get(&mut controller, wanted).await.expect("there is one");
        assert_eq!(got.p4info, config.p4info.clone().filter(|_| info));
        assert_eq!(!got.p4_device_config.is_empty(), device);
        assert_eq!(got.cookie, config.cookie);
    }
    let without = p4::ForwardingPipelineConfig {
        cookie: None,
        ..config
    };
    set(&mut controller, Action::VerifyAndCommit, Some(without))
        .await
        .expect("it is good");
    let got = get(&mut controller, ResponseType::CookieOnly).await;
    assert_eq!(got, Some(p4::ForwardingPipelineConfig::default()));
}

#[tokio::test]
async fn a_saved_pipeline_and_what_was_written_to_it_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut controller = agent.primary(1).await;
    let mut saved = leaf_spine();
    set(&mut controller, Action::VerifyAndSave, Some(saved.clone()))
        .await
        .expect("it is good");
    let entry = update(Insert, route(info(&mut saved), 1));
    controller.write(vec![entry]).await.expect("it is new");
    drop(controller);
    agent.stop().await;

    let agent = TestAgent::start(&config(dir.path())).await;
    let mut controller = agent.primary(2).await;
    assert_eq!(get(&mut controller, ResponseType::All).await, Some(saved));
    assert_eq!(entries(&mut controller).await.len(), 1);
    assert_eq!(stored(&agent), 0);
    set(&mut controller, Action::Commit, None)
        .await
        .expect("it was saved");
    assert_eq!(stored(&agent), 1);
    let again = set(&mut controller, Action::Commit, None).await;
    let again = again.expect_err("nothing is saved any more");
    assert_eq!(again.code(), Code::NotFound);
    drop(controller);
    agent.stop().await;

    let agent = TestAgent::start(&config(dir.path())).await;
    assert_eq!(stored(&agent), 1);
}

/// Entries of the pipeline that forwards.
fn stored(agent: &TestAgent) -> usize {
    let state = agent.agent.shared();
    state
        .switch
        .contents()
        .expect("a pipeline")
        .1
        .updates()
        .len()
}

/// leaf_spine after a change that gives its routes, their key and their action other ids.
fn renumbered() -> p4::ForwardingPipelineConfig {
    let mut config = leaf_spine();
    let info = info(&mut config);
    let mut tables = info.tables.iter_mut();
    let named = |p: &Option<pointsman_proto::p4::config::v1::Preamble>, alias: &str| {
        p.as_ref().is_some_and(|p| p.alias == alias)
    };
    let table = tables.find(|t| named(&t.preamble, TABLE)).expect("there");
    let action = info.actions.iter_mut().find(|a| named(&a.preamble, ACTION));
    let action = action.expect("there");
    let new_action = 0x0100_0001;
    let old_action = action.preamble.as_ref().expect("it has one").id;
    action.preamble.as_mut().expect("it has one").id = new_action;
    action.params[0].id += 10;
    for reference in &mut table.action_refs {
        if reference.id == old_action {
            reference.id = new_action;
        }
    }
    table.preamble.as_mut().expect("it has one").id = 0x0200_0001;
    table.match_fields[0].id += 10;
    let old_table = 0x0200_0001;
    for counter in &mut info.direct_counters {
        if table
            .direct_resource_ids
            .contains(&counter.preamble.as_ref().expect("one").id)
        {
            counter.direct_table_id = old_table;
        }
    }
    config
}

#[tokio::test]
async fn reconciling_keeps_entries_and_counts_by_name_whatever_their_ids() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut controller = agent.primary(1).await;
    let mut old = leaf_spine();
    let entry = route(info(&mut old), 1);
    let insert = controller.write(vec![update(Insert, entry.clone())]).await;
    insert.expect("it is new");
    let Entity::TableEntry(key) = entry else {
        panic!("it is an entry");
    };
    let counted = p4::DirectCounterEntry {
        table_entry: Some(key),
        data: Some(p4::CounterData {
            byte_count: 640,
            packet_count: 10,
        }),
    };
    let count = update(Modify, Entity::DirectCounterEntry(counted.clone()));
    controller.write(vec![count]).await.expect("it is counted");

    let mut new = renumbered();
    set(
        &mut controller,
        Action::ReconcileAndCommit,
        Some(new.clone()),
    )
    .await
    .expect("only ids have changed");
    let expected = route(info(&mut new), 1);
    let found = entries(&mut controller).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].entity, Some(expected));
    let counters = Entity::DirectCounterEntry(p4::DirectCounterEntry::default());
    let found = controller.read(counters).await.expect("readable");
    let Some(Entity::DirectCounterEntry(found)) = &found[0].entity else {
        panic!("not a counter: {found:?}");
    };
    assert_eq!(found.data, counted.data);
}

#[tokio::test]
async fn reconciling_names_what_cannot_be_kept_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (agent, mut controller) = without_pipeline(dir.path()).await;
    let mut old = p4info_only();
    set(&mut controller, Action::VerifyAndCommit, Some(old.clone()))
        .await
        .expect("a p4info is enough");
    let inserts = [1, 2].map(|third| update(Insert, route(info(&mut old), third)));
    controller
        .write(inserts.to_vec())
        .await
        .expect("both are new");

    let mut new = p4info_only();
    info(&mut new)
        .tables
        .retain(|table| table.preamble.as_ref().is_none_or(|p| p.alias != TABLE));
    let counted: Vec<u32> = info(&mut new)
        .tables
        .iter()
        .flat_map(|t| t.direct_resource_ids.clone())
        .collect();
    info(&mut new)
        .direct_counters
        .retain(|c| counted.contains(&c.preamble.as_ref().expect("one").id));
    let refused = set(
        &mut controller,
        Action::ReconcileAndCommit,
        Some(new.clone()),
    )
    .await;
    let refused = refused.expect_err("the routes have no place");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let message = refused.message();
    assert!(
        message.contains("2 of 2") && message.contains(TABLE),
        "{message}"
    );
    assert_eq!(stored(&agent), 2);
    assert_eq!(get(&mut controller, ResponseType::All).await, Some(old));

    set(&mut controller, Action::VerifyAndCommit, Some(new))
        .await
        .expect("with empty tables it may come");
    assert_eq!(stored(&agent), 0);
}

#[tokio::test]
async fn a_pipeline_that_demands_more_than_the_target_has_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_agent, mut controller) = without_pipeline(dir.path()).await;
    let mut config = leaf_spine();
    let package = info(&mut config).pkg_info.get_or_insert_default();
    package.platform_properties = Some(PlatformProperties {
        multicast_group_table_size: 1 << 20,
        ..Default::default()
    });
    for action in [
        Action::Verify,
        Action::VerifyAndSave,
        Action::VerifyAndCommit,
    ] {
        let refused = set(&mut controller, action, Some(config.clone())).await;
        let refused = refused.expect_err("there are 65,535 groups");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("65535"), "{}", refused.message());
    }
    assert_eq!(get(&mut controller, ResponseType::All).await, None);
}

#[tokio::test]
async fn an_action_without_its_config_or_with_one_too_many_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_agent, mut controller) = without_pipeline(dir.path()).await;
    let commit = set(&mut controller, Action::Commit, Some(leaf_spine())).await;
    assert_eq!(commit.expect_err("no config").code(), Code::InvalidArgument);
    let commit = set(&mut controller, Action::Commit, None).await;
    assert_eq!(commit.expect_err("none saved").code(), Code::NotFound);
    for action in [
        Action::Unspecified,
        Action::Verify,
        Action::VerifyAndSave,
        Action::VerifyAndCommit,
        Action::ReconcileAndCommit,
    ] {
        let refused = set(&mut controller, action, None).await;
        assert_eq!(
            refused.expect_err("no config").code(),
            Code::InvalidArgument
        );
    }
}
