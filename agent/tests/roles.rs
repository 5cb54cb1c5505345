//! Roles and their configurations: what a role writes, reads, is sent and sets.

mod common;

use common::{Controller, DEVICE, TestAgent, config, hello};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;
use pointsman_proto::stratum::{P4RoleConfig, p4_role_config::PacketFilter};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

fn as_role(role: &str, election_id: u64, config: &P4RoleConfig) -> p4::MasterArbitrationUpdate {
    let mut update = hello(role, Some(election_id));
    let role = update.role.get_or_insert_default();
    role.config = Some(Any {
        type_url: "type.googleapis.com/stratum.P4RoleConfig".to_owned(),
        value: config.encode_to_vec(),
    });
    update
}

async fn open(agent: &TestAgent, update: p4::MasterArbitrationUpdate) -> Controller {
    Controller::open(agent.p4runtime().await, update).await
}

async fn primary(agent: &TestAgent, role: &str, config: &P4RoleConfig) -> Controller {
    let mut controller = open(agent, as_role(role, 1, config)).await;
    let update = controller.arbitration().await;
    assert_eq!(update.status.expect("a status").code, Code::Ok as i32);
    controller
}

/// The p4info ids of two tables of the loaded pipeline whose default actions can be set.
fn tables(agent: &TestAgent) -> [u32; 2] {
    let state = agent.agent.shared();
    let pipeline = state.switch.pipeline().expect("it has one");
    let mut tables = pipeline.schema.tables.iter();
    let mut next = || {
        let table = tables.find(|table| !table.const_default && !table.is_const);
        table.expect("there are two").id
    };
    [next(), next()]
}

fn default_of(table_id: u32) -> p4::Update {
    let entry = p4::TableEntry {
        table_id,
        is_default_action: true,
        ..Default::default()
    };
    p4::Update {
        r#type: p4::update::Type::Modify.into(),
        entity: Some(p4::Entity {
            entity: Some(p4::entity::Entity::TableEntry(entry)),
        }),
    }
}

async fn write(
    controller: &mut Controller,
    role: &str,
    updates: Vec<p4::Update>,
) -> Result<(), Status> {
    let request = p4::WriteRequest {
        device_id: DEVICE,
        role: role.to_owned(),
        election_id: controller.election_id,
        updates,
        ..Default::default()
    };
    controller.client.write(request).await.map(|_| ())
}

/// The tables that a wildcard read of default entries shows in a role.
async fn read(controller: &mut Controller, role: &str) -> Result<Vec<u32>, Status> {
    let filter = p4::TableEntry {
        is_default_action: true,
        ..Default::default()
    };
    let request = p4::ReadRequest {
        device_id: DEVICE,
        role: role.to_owned(),
        entities: vec![p4::Entity {
            entity: Some(p4::entity::Entity::TableEntry(filter)),
        }],
    };
    let mut stream = controller.client.read(request).await?.into_inner();
    let mut tables = Vec::new();
    while let Some(response) = stream.message().await? {
        for entity in response.entities {
            if let Some(p4::entity::Entity::TableEntry(entry)) = entity.entity {
                tables.push(entry.table_id);
            }
        }
    }
    Ok(tables)
}

/// Sections "Write RPC" (PERMISSION_DENIED "for this update") and "Read RPC" (role "acts as a filter").
#[tokio::test(flavor = "multi_thread")]
async fn a_role_writes_and_reads_what_its_configuration_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let [ours, other] = tables(&agent);
    let only_ours = P4RoleConfig {
        exclusive_p4_ids: vec![ours],
        ..Default::default()
    };
    let mut controller = primary(&agent, "acl", &only_ours).await;
    let both = vec![default_of(other), default_of(ours)];
    let refused = write(&mut controller, "acl", both)
        .await
        .expect_err("one of them");
    let errors = common::errors(&refused);
    assert_eq!(errors[0].canonical_code, Code::PermissionDenied as i32);
    let message = &errors[0].message;
    assert!(message.contains("does not have"), "{message}");
    assert_eq!(errors[1].canonical_code, Code::Ok as i32);
    assert_eq!(
        read(&mut controller, "acl").await.expect("an answer"),
        [ours]
    );
    // Without a role there is no filter.
    assert!(read(&mut controller, "").await.expect("an answer").len() > 2);
    let unknown = read(&mut controller, "nobody")
        .await
        .expect_err("no such role");
    assert_eq!(unknown.code(), Code::NotFound);
    drop(controller);
    agent.stop().await;
}

/// Section "Write RPC": the checks come in this order.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_an_unknown_role_is_not_found_and_one_by_number_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut controller = agent.primary(1).await;
    let refused = write(&mut controller, "nobody", Vec::new()).await;
    assert_eq!(refused.expect_err("no such role").code(), Code::NotFound);
    #[allow(deprecated, reason = "it is refused")]
    let request = p4::WriteRequest {
        device_id: DEVICE,
        role_id: 7,
        election_id: controller.election_id,
        ..Default::default()
    };
    let refused = controller.client.write(request).await;
    let refused = refused.expect_err("roles are named");
    assert_eq!(refused.code(), Code::InvalidArgument);
    drop(controller);
    agent.stop().await;
}

/// Section 5.3, 1.3: "If role.config does not match the out-of-band scheme [...] INVALID_ARGUMENT".
#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_make_no_sense_end_the_stream() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let [ours, _] = tables(&agent);
    let exclusive = P4RoleConfig {
        exclusive_p4_ids: vec![ours],
        ..Default::default()
    };
    let controller = primary(&agent, "acl", &exclusive).await;
    let unknown_id = P4RoleConfig {
        shared_p4_ids: vec![0x02ff_ffff],
        ..Default::default()
    };
    let unknown_field = P4RoleConfig {
        receives_packet_ins: true,
        packet_in_filter: Some(PacketFilter {
            metadata_id: 99,
            value: vec![1],
        }),
        ..Default::default()
    };
    let mut other_type = as_role("a", 1, &exclusive);
    let role = other_type.role.as_mut().expect("it names a role");
    role.config.as_mut().expect("it has one").type_url = "x/google.rpc.Status".to_owned();
    let of_default = as_role("", 1, &P4RoleConfig::default());
    for update in [
        as_role("a", 1, &unknown_id),
        as_role("a", 1, &unknown_field),
        as_role("a", 1, &exclusive),
        other_type,
        of_default,
    ] {
        let mut refused = open(&agent, update.clone()).await;
        let refused = refused.next().await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{update:?}");
    }
    drop(controller);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_role_that_may_push_pipelines_sets_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let set = async |controller: &mut Controller| {
        let request = p4::SetForwardingPipelineConfigRequest {
            device_id: DEVICE,
            role: "a".to_owned(),
            election_id: controller.election_id,
            action: p4::set_forwarding_pipeline_config_request::Action::VerifyAndCommit.into(),
            ..Default::default()
        };
        let set = controller.client.set_forwarding_pipeline_config(request);
        set.await.expect_err("there is no config").code()
    };
    let mut controller = primary(&agent, "a", &P4RoleConfig::default()).await;
    assert_eq!(set(&mut controller).await, Code::PermissionDenied);
    let may = P4RoleConfig {
        can_push_pipeline: true,
        ..Default::default()
    };
    controller.arbitrate(as_role("a", 1, &may)).await;
    // The configuration comes back as it was sent.
    let update = controller.arbitration().await;
    let echoed = update.role.expect("a role").config.expect("its config");
    assert_eq!(P4RoleConfig::decode(&*echoed.value).expect("ours"), may);
    assert_eq!(set(&mut controller).await, Code::InvalidArgument);
    drop(controller);
    agent.stop().await;
}

/// Section 5.2: "a filtering mechanism based on the values of the PacketMetadata fields".
#[tokio::test(flavor = "multi_thread")]
async fn packets_go_to_the_roles_that_receive_them_and_pass_their_filter() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let port = {
        let state = agent.agent.shared();
        let pipeline = state.switch.pipeline().expect("it has one");
        let header = pipeline.schema.packet_in.as_ref().expect("it has one");
        let field = header.fields.iter().find(|field| field.width == 9);
        field.expect("packets carry their port").id
    };
    let from = |value: u8| P4RoleConfig {
        receives_packet_ins: true,
        packet_in_filter: Some(PacketFilter {
            metadata_id: port,
            value: vec![0, value],
        }),
        ..Default::default()
    };
    let mut deaf = primary(&agent, "deaf", &P4RoleConfig::default()).await;
    let mut one = primary(&agent, "one", &from(1)).await;
    let mut two = primary(&agent, "two", &from(2)).await;
    // Nine bits of port, from the top, and the padding after them.
    let packet_from = |number: u16| {
        let header = (number << 7).to_be_bytes();
        [&header[..], &[0xaa; 60]].concat()
    };
    assert_eq!(agent.agent.packet_in(packet_from(2)), 0);
    assert_eq!(agent.agent.packet_in(packet_from(1)), 0);
    for (controller, expected) in [(&mut one, 1), (&mut two, 2)] {
        let FromAgent::Packet(packet) = controller.next().await.expect("a packet") else {
            panic!("not a packet");
        };
        let field = packet
            .metadata
            .iter()
            .find(|field| field.metadata_id == port);
        assert_eq!(field.expect("the port").value, [expected]);
    }
    deaf.arbitrate(as_role("deaf", 2, &P4RoleConfig::default()))
        .await;
    let next = deaf.next().await.expect("a message");
    assert!(matches!(next, FromAgent::Arbitration(_)), "{next:?}");
    drop((deaf, one, two));
    agent.stop().await;
}

/// Section 5.2: "It is the job of the P4Runtime server to remember the role.config".
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_remembered_over_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let [ours, _] = tables(&agent);
    let exclusive = P4RoleConfig {
        exclusive_p4_ids: vec![ours],
        ..Default::default()
    };
    drop(primary(&agent, "acl", &exclusive).await);
    agent.stop().await;
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut backup = open(&agent, hello("acl", None)).await;
    let update = backup.arbitration().await;
    assert_eq!(update.status.expect("a status").code, Code::NotFound as i32);
    assert_eq!(update.election_id.expect("there was a primary").low, 1);
    let echoed = update.role.expect("a role").config.expect("its config");
    assert_eq!(
        P4RoleConfig::decode(&*echoed.value).expect("ours"),
        exclusive
    );
    drop(backup);
    agent.stop().await;
}
