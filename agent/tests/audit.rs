//! The audit log: who changed what.

mod common;

use common::{Controller, DEVICE, TestAgent, config, hello};
use pointsman_agent::audit::AuditOptions;
use pointsman_proto::p4::v1 as p4;
use serde_json::Value;

fn records(file: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("the log is there");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("every line is JSON")
}

fn modify_default(table_id: u32) -> p4::Update {
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

#[tokio::test(flavor = "multi_thread")]
async fn writes_pipelines_and_mastership_are_recorded_in_order_with_what_came_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(&directory.path().join("state"));
    let file = directory.path().join("audit.jsonl");
    config.serving.audit = Some(AuditOptions {
        file: file.clone(),
        max_bytes: 1 << 20,
        keep: 1,
    });
    let agent = TestAgent::start(&config).await;
    let (id, name) = {
        let state = agent.agent.shared();
        let pipeline = state.switch.pipeline().expect("it has one");
        let mut tables = pipeline.schema.tables.iter();
        let table = tables.find(|table| !table.const_default && !table.is_const);
        let table = table.expect("there is one");
        (table.id, table.alias.clone())
    };
    let mut controller = Controller::open(agent.p4runtime().await, hello("", Some(7))).await;
    controller.arbitration().await;
    let updates = vec![modify_default(id), modify_default(0x02ff_ffff)];
    assert!(controller.write(updates).await.is_err());
    let set = p4::SetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        election_id: Some(p4::Uint128 { high: 0, low: 6 }),
        action: p4::set_forwarding_pipeline_config_request::Action::Commit.into(),
        ..Default::default()
    };
    let set = controller.client.set_forwarding_pipeline_config(set);
    assert!(set.await.is_err());
    drop(controller);
    agent.stop().await;

    let records = records(&file);
    let rpcs: Vec<_> = records.iter().map(|record| &record["rpc"]).collect();
    assert_eq!(
        rpcs,
        [
            "Mastership",
            "Write",
            "SetForwardingPipelineConfig",
            "Mastership"
        ]
    );
    assert_eq!(
        (&records[0]["change"], &records[3]["change"]),
        (&"gained".into(), &"lost".into())
    );
    let write = &records[1];
    assert_eq!(write["election_id"], "0:7");
    assert_eq!(write["code"], "UNKNOWN");
    assert!(
        write["peer"]
            .as_str()
            .expect("text")
            .starts_with("127.0.0.1:")
    );
    let updates = write["updates"].as_array().expect("a list");
    assert_eq!(
        (&updates[0]["operation"], &updates[0]["code"]),
        (&"MODIFY".into(), &"OK".into())
    );
    let entity = updates[0]["entity"].as_str().expect("text");
    assert!(entity.contains(&name), "{entity}");
    assert_eq!(updates[1]["code"], "INVALID_ARGUMENT");
    assert_eq!(records[2]["code"], "PERMISSION_DENIED");
    assert_eq!(records[2]["action"], "COMMIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_can_be_recorded_nothing_is_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path());
    config.serving.audit = Some(AuditOptions {
        file: "/dev/full".into(),
        max_bytes: 1 << 20,
        keep: 1,
    });
    let agent = TestAgent::start(&config).await;
    // That it is primary cannot be recorded, which is found out soon.
    let mut controller = agent.primary(1).await;
    let refused = loop {
        if let Err(refused) = controller.write(Vec::new()).await {
            break refused;
        }
    };
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(refused.message().contains("/dev/full"), "{refused}");
    drop(controller);
    agent.stop().await;
}
