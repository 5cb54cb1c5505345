//! Who waits for whom: writes, reads, packets and changes of mastership at the same time.

#[path = "../common/mod.rs"]
mod common;
mod held;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use common::{CPU_PORT, Controller, DEVICE, TestAgent, config, read, update};
use held::{Gate, Held};
use pointsman_agent::schema::Schema;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as ToAgent;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;
use pointsman_proto::p4::v1::update::Type::{Delete, Insert, Modify};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Longer than anything takes that does not wait.
const SOON: Duration = Duration::from_secs(20);
/// Long enough to see that something does wait.
const A_WHILE: Duration = Duration::from_millis(200);

const V4: &str = "routing_v4";
const V6: &str = "routing_v6";

/// An agent whose insertions can be held up.
struct Bed {
    agent: TestAgent,
    gate: Arc<Gate>,
    schema: Arc<Schema>,
    _directory: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Bed {
        let directory = tempfile::tempdir().expect("a directory");
        let gate = Arc::new(Gate::default());
        let held = gate.clone();
        let config = config(directory.path());
        let agent = TestAgent::start_on(&config, |interpreter| {
            Box::new(Held {
                interpreter,
                gate: held,
            })
        });
        let agent = agent.await;
        let schema = {
            let state = agent.agent.shared();
            state.switch.pipeline().expect("a pipeline").schema.clone()
        };
        Bed {
            agent,
            gate,
            schema,
            _directory: directory,
        }
    }

    /// A route in one of the two tables.
    fn route(&self, table: &str, number: u16, next: u8) -> Entity {
        let table = self.schema.table_named(table).expect("leaf_spine has it");
        let alias = format!("set_next_id_{}", table.alias);
        let action = self.schema.actions.iter().find(|a| a.alias == alias);
        let action = action.expect("leaf_spine has it");
        let bytes = (table.fields[0].width / 8) as usize;
        let mut value = vec![0; bytes];
        value[0] = 10;
        value[1..3].copy_from_slice(&number.to_be_bytes());
        let prefix = p4::field_match::Lpm {
            value,
            prefix_len: 24,
        };
        Entity::TableEntry(p4::TableEntry {
            table_id: table.id,
            r#match: vec![p4::FieldMatch {
                field_id: table.fields[0].id,
                field_match_type: Some(p4::field_match::FieldMatchType::Lpm(prefix)),
            }],
            action: Some(p4::TableAction {
                r#type: Some(p4::table_action::Type::Action(p4::Action {
                    action_id: action.id,
                    params: vec![p4::action::Param {
                        param_id: action.params[0].id,
                        value: vec![next],
                    }],
                })),
            }),
            ..Default::default()
        })
    }

    fn all(&self, table: &str) -> Entity {
        let table = self.schema.table_named(table).expect("leaf_spine has it");
        Entity::TableEntry(p4::TableEntry {
            table_id: table.id,
            ..Default::default()
        })
    }

    /// Starts an insertion into a table and returns when the data plane holds it up.
    async fn stuck_write(
        &self,
        writer: &Controller,
        table: &str,
    ) -> JoinHandle<Result<(), Status>> {
        let id = self.schema.table_named(table).expect("leaf_spine has it");
        self.gate.close(id.table);
        let route = self.route(table, 9999, 1);
        let write = tokio::spawn(write(
            writer.client.clone(),
            writer.election_id,
            vec![update(Insert, route)],
        ));
        let gate = self.gate.clone();
        let reached = tokio::task::spawn_blocking(move || gate.wait_for_one());
        soon(reached).await.expect("the write arrives");
        write
    }
}

/// Takes what must not wait; panics if it does.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it waits for something")
}

async fn write(
    mut client: P4RuntimeClient<Channel>,
    election_id: Option<p4::Uint128>,
    updates: Vec<p4::Update>,
) -> Result<(), Status> {
    let request = p4::WriteRequest {
        device_id: DEVICE,
        election_id,
        updates,
        ..Default::default()
    };
    client.write(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tables_are_written_and_read_while_a_write_is_held_up() {
    let bed = Bed::new().await;
    let mut primary = bed.agent.primary(1).await;
    let stuck = bed.stuck_write(&primary, V6).await;
    let route = update(Insert, bed.route(V4, 1, 1));
    soon(primary.write(vec![route])).await.expect("it is new");
    let routes = soon(primary.read(bed.all(V4))).await.expect("readable");
    assert_eq!(routes.len(), 1);

    // What the write touches is not seen before it is done.
    let mut client = bed.agent.p4runtime().await;
    let all = bed.all(V6);
    let mut reading = tokio::spawn(async move { read(&mut client, all).await });
    assert!(timeout(A_WHILE, &mut reading).await.is_err());
    assert!(!stuck.is_finished());
    bed.gate.open();
    soon(stuck).await.expect("no panic").expect("it is new");
    let routes = soon(reading).await.expect("no panic").expect("readable");
    assert_eq!(routes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_go_out_and_come_in_while_a_write_is_held_up() {
    let bed = Bed::new().await;
    let mut primary = bed.agent.primary(1).await;
    let stuck = bed.stuck_write(&primary, V4).await;
    // The switch waits to be alone, too, which holds up whatever comes after.
    let agent = bed.agent.agent.clone();
    let pipeline = std::thread::spawn(move || drop(agent.exclusive()));
    let header = bed.schema.packet_out.as_ref().expect("leaf_spine has one");
    let fields = header.fields.iter().filter(|field| !field.padding);
    let metadata = fields.map(|field| p4::PacketMetadata {
        metadata_id: field.id,
        value: match field.name.as_str() {
            // By the CPU port it comes straight back.
            "egress_port" => vec![CPU_PORT as u8],
            _ => vec![0],
        },
    });
    let packet = p4::PacketOut {
        payload: vec![7; 60],
        metadata: metadata.collect(),
    };
    let message = p4::StreamMessageRequest {
        update: Some(ToAgent::Packet(packet)),
    };
    primary
        .requests
        .send(message)
        .await
        .expect("an open stream");
    match soon(primary.next()).await.expect("the stream goes on") {
        FromAgent::Packet(packet) => assert_eq!(packet.payload, [7; 60]),
        other => panic!("not a packet: {other:?}"),
    }
    assert!(!stuck.is_finished());
    bed.gate.open();
    soon(stuck).await.expect("no panic").expect("it is new");
    pipeline.join().expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_primary_waits_for_the_write_of_the_old_one_and_ends_its_writes_at_once() {
    let bed = Bed::new().await;
    let mut first = bed.agent.primary(1).await;
    let mut backup = bed.agent.controller(None).await;
    backup.arbitration().await;
    let stuck = bed.stuck_write(&first, V4).await;

    let mut second = bed.agent.controller(Some(2)).await;
    // The others hear of it while the write is still under way.
    for other in [&mut first, &mut backup] {
        let notice = soon(other.arbitration()).await;
        let status = notice.status.expect("a status");
        assert_eq!(status.code, Code::AlreadyExists as i32);
        assert_eq!(notice.election_id.expect("the highest").low, 2);
    }
    let late = soon(first.write(vec![update(Insert, bed.route(V6, 1, 1))])).await;
    assert_eq!(late.expect_err("too late").code(), Code::PermissionDenied);
    // The new primary is neither told nor served before that write is done.
    let own = vec![update(Insert, bed.route(V6, 2, 1))];
    let own = tokio::spawn(write(second.client.clone(), second.election_id, own));
    assert!(timeout(A_WHILE, second.next()).await.is_err());
    assert!(!own.is_finished());

    bed.gate.open();
    let done = soon(stuck).await.expect("no panic");
    done.expect("what was under way is done, and reported");
    let notice = soon(second.arbitration()).await;
    assert_eq!(notice.status.expect("a status").code, Code::Ok as i32);
    soon(own).await.expect("no panic").expect("it is primary");
    let routes = soon(second.read(bed.all(V6))).await.expect("readable");
    assert_eq!(routes.len(), 1, "and nothing of the late write");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_overtakes_a_waiting_primary_is_the_only_one() {
    let bed = Bed::new().await;
    let first = bed.agent.primary(1).await;
    let stuck = bed.stuck_write(&first, V4).await;
    let mut second = bed.agent.controller(Some(2)).await;
    let mut third = bed.agent.controller(Some(3)).await;
    let notice = soon(second.arbitration()).await;
    let code = notice.status.expect("a status").code;
    assert_eq!(code, Code::AlreadyExists as i32);
    bed.gate.open();
    soon(stuck).await.expect("no panic").expect("it is new");
    let notice = soon(third.arbitration()).await;
    assert_eq!(notice.status.expect("a status").code, Code::Ok as i32);
    assert!(timeout(A_WHILE, second.next()).await.is_err());
}

/// The next of each route, by number.
fn nexts(entities: &[p4::Entity]) -> HashMap<Vec<u8>, Vec<u8>> {
    let routes = entities.iter().filter_map(|entity| match &entity.entity {
        Some(Entity::TableEntry(entry)) => Some(entry),
        _ => None,
    });
    let routes = routes.map(|entry| {
        let Some(p4::field_match::FieldMatchType::Lpm(lpm)) = &entry.r#match[0].field_match_type
        else {
            panic!("not a prefix: {entry:?}");
        };
        let action = entry.action.as_ref().and_then(|a| a.r#type.as_ref());
        let Some(p4::table_action::Type::Action(action)) = action else {
            panic!("no action: {entry:?}");
        };
        (lpm.value.clone(), action.params[0].value.clone())
    });
    routes.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_all_of_a_batch_or_none_of_it() {
    const ROUTES: u16 = 40;
    let bed = Arc::new(Bed::new().await);
    let mut primary = bed.agent.primary(1).await;
    // Each batch has every route of both tables lead to the same next.
    let batch = |kind, next, backwards: bool| {
        let tables = if backwards { [V6, V4] } else { [V4, V6] };
        let routes = tables
            .into_iter()
            .flat_map(|table| (0..ROUTES).map(move |n| (table, n)));
        let updates = routes.map(|(table, n)| update(kind, bed.route(table, n, next)));
        updates.collect::<Vec<_>>()
    };
    primary.write(batch(Insert, 1, false)).await.expect("new");
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for writer in 0..2u8 {
        let batches: Vec<_> = (0..30)
            .map(|round| batch(Modify, 2 + 2 * round + writer, writer == 1))
            .collect();
        let (client, id) = (primary.client.clone(), primary.election_id);
        tasks.push(tokio::spawn(async move {
            for batch in batches {
                write(client.clone(), id, batch)
                    .await
                    .expect("they are there");
            }
        }));
    }
    let (reader, finished) = (bed.clone(), done.clone());
    let reads = tokio::spawn(async move {
        let mut client = reader.agent.p4runtime().await;
        let mut reads = 0;
        while !finished.load(Relaxed) || reads == 0 {
            let request = p4::ReadRequest {
                device_id: DEVICE,
                entities: [reader.all(V6), reader.all(V4)]
                    .map(|filter| p4::Entity {
                        entity: Some(filter),
                    })
                    .to_vec(),
                ..Default::default()
            };
            let mut stream = client.read(request).await.expect("readable").into_inner();
            let mut entities = Vec::new();
            while let Some(response) = stream.message().await.expect("readable") {
                entities.extend(response.entities);
            }
            assert_eq!(entities.len(), 2 * usize::from(ROUTES));
            let mut found: Vec<_> = nexts(&entities).into_values().collect();
            found.dedup();
            assert_eq!(found.len(), 1, "parts of several batches: {found:?}");
            reads += 1;
        }
    });
    for task in tasks {
        soon(task).await.expect("the writes go well");
    }
    done.store(true, Relaxed);
    soon(reads).await.expect("each read is of one moment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_nobody_up_and_reads_what_there_was() {
    const ROUTES: u16 = 16_000;
    let bed = Bed::new().await;
    let mut primary = bed.agent.primary(1).await;
    let routes = |kind| {
        let routes = (0..ROUTES).map(|n| update(kind, bed.route(V4, n, 1)));
        routes.collect::<Vec<_>>()
    };
    soon(primary.write(routes(Insert))).await.expect("new");
    let mut slow = bed.agent.p4runtime().await;
    let request = p4::ReadRequest {
        device_id: DEVICE,
        entities: vec![p4::Entity {
            entity: Some(bed.all(V4)),
        }],
        ..Default::default()
    };
    let mut stream = slow.read(request).await.expect("readable").into_inner();
    let first = stream.message().await.expect("readable").expect("entries");

    soon(primary.write(routes(Delete))).await.expect("there");
    let rest = soon(primary.read(bed.all(V4))).await.expect("readable");
    assert!(rest.is_empty());
    let mut entities = first.entities;
    while let Some(response) = stream.message().await.expect("readable") {
        entities.extend(response.entities);
    }
    assert_eq!(nexts(&entities).len(), usize::from(ROUTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_packets_leaves_room_for_those_of_others() {
    let bed = Bed::new().await;
    let _silent = bed.agent.primary(1).await;
    let mut reader = bed.agent.controller_in_role("reader", Some(1)).await;
    reader.arbitration().await;
    let packet = vec![0; 60_000];
    // Far more than all queues may hold together.
    for _ in 0..4000 {
        bed.agent.agent.packet_in(packet.clone());
        match soon(reader.next()).await.expect("the stream goes on") {
            FromAgent::Packet(_) => {}
            other => panic!("not a packet: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_packets_loses_them_and_keeps_its_place() {
    let bed = Bed::new().await;
    let mut primary = bed.agent.primary(1).await;
    let header = bed.schema.packet_in.as_ref().expect("leaf_spine has one");
    let bits: u32 = header.fields.iter().map(|field| field.width).sum();
    let packet = vec![0; bits as usize / 8 + 1400];
    let mut missed = 0;
    for _ in 0..20_000 {
        missed += bed.agent.agent.packet_in(packet.clone());
    }
    assert!(missed > 0, "there is an end to what waits for a client");
    // It still may write, and hears of mastership as soon as it reads.
    let route = update(Insert, bed.route(V4, 1, 1));
    soon(primary.write(vec![route]))
        .await
        .expect("it is primary");
    let _second = bed.agent.primary(2).await;
    let told = async {
        loop {
            if let FromAgent::Arbitration(update) = primary.next().await.expect("no error") {
                return update;
            }
        }
    };
    let notice = soon(told).await;
    let code = notice.status.expect("a status").code;
    assert_eq!(code, Code::AlreadyExists as i32);
}
