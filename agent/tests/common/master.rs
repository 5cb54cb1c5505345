//! A controller that gives objectives to an agent.

use pointsman_model::{Kind, Model, Name, Objective};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::agent::v1::sync_request::Message as ToAgent;
use pointsman_proto::pointsman::agent::v1::sync_response::Message as FromAgent;
use pointsman_proto::pointsman::objective::v1 as objective;
use pointsman_proto::pointsman::objective::v1::State;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::{DEVICE, TestAgent};

/// A controller's stream.
pub struct Master {
    requests: mpsc::Sender<pb::SyncRequest>,
    pub responses: Streaming<pb::SyncResponse>,
    pub hello: pb::AgentHello,
    revision: u64,
}

impl Master {
    /// Of an agent in this process.
    pub async fn open(agent: &TestAgent, election_id: u64) -> Result<Master, Status> {
        Master::open_with(agent.service().await, election_id).await
    }

    /// Of an agent anywhere.
    pub async fn open_with(
        mut client: AgentClient<Channel>,
        election_id: u64,
    ) -> Result<Master, Status> {
        let (requests, stream) = mpsc::channel(4);
        let hello = ToAgent::Hello(pb::SyncHello {
            device_id: DEVICE,
            election_id: Some(pb::ElectionId {
                high: 0,
                low: election_id,
            }),
            controller: format!("c{election_id}"),
            cluster_id: "cluster".to_owned(),
            ..pb::SyncHello::default()
        });
        let first = pb::SyncRequest {
            message: Some(hello),
        };
        requests.send(first).await.expect("there is room");
        let stream = ReceiverStream::new(stream);
        let mut responses = client.sync_objectives(stream).await?.into_inner();
        let first = responses.message().await?.and_then(|m| m.message);
        let Some(FromAgent::Hello(hello)) = first else {
            panic!("not a hello: {first:?}");
        };
        let is_new = hello.cluster_id != "cluster";
        let mut master = Master {
            requests,
            responses,
            revision: hello.revision,
            hello,
        };
        if is_new {
            // What an agent of no cluster is sent first is everything, here nothing.
            assert!(master.send(Vec::new(), true).await.is_empty());
        }
        Ok(master)
    }

    /// The next change has the revision after this one.
    pub fn at(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Sends changes in one batch and returns their statuses by `kind name`.
    pub async fn send(&mut self, changes: Vec<objective::Change>, snapshot: bool) -> Vec<String> {
        let revised = changes.into_iter().map(|change| {
            self.revision += 1;
            pb::RevisedChange {
                change: Some(change),
                revision: self.revision,
                ..pb::RevisedChange::default()
            }
        });
        let batch = pb::ChangeBatch {
            changes: revised.collect(),
            snapshot,
            revision: self.revision,
            ..pb::ChangeBatch::default()
        };
        self.tell(ToAgent::Batch(batch)).await;
        let acks = self.acks().await;
        assert_eq!(acks.revision, self.revision);
        acks.acks.iter().map(show).collect()
    }

    /// Sends a message of any kind.
    pub async fn tell(&self, message: ToAgent) {
        let request = pb::SyncRequest {
            message: Some(message),
        };
        self.requests
            .send(request)
            .await
            .expect("the stream is open");
    }

    /// Asks for what is held.
    pub async fn ask(&mut self, query: pb::HoldingsQuery) -> pb::Holdings {
        self.tell(ToAgent::Query(query)).await;
        let message = self.responses.message().await.expect("no error");
        match message.and_then(|m| m.message) {
            Some(FromAgent::Holdings(holdings)) => holdings,
            other => panic!("not holdings: {other:?}"),
        }
    }

    pub async fn put(&mut self, yaml: &str) -> Vec<String> {
        self.send(puts(yaml), false).await
    }

    pub async fn delete(&mut self, ids: &[&str]) -> Vec<String> {
        let changes = ids.iter().map(|id| {
            let (kind, name) = id.split_once(' ').expect("kind and name");
            let kind = match kind {
                "forward" => Kind::Forward,
                "next" => Kind::Next,
                _ => Kind::Filter,
            };
            let objective = Objective::empty(kind, Name::new(name).expect("a name"));
            objective::Change {
                operation: objective::Operation::Delete.into(),
                objective: Some((&objective).into()),
            }
        });
        self.send(changes.collect(), false).await
    }

    pub async fn acks(&mut self) -> pb::AckBatch {
        let message = self.responses.message().await.expect("no error");
        match message.and_then(|m| m.message) {
            Some(FromAgent::Acks(acks)) => acks,
            other => panic!("not acknowledgements: {other:?}"),
        }
    }
}

pub fn show(ack: &pb::Ack) -> String {
    let kind = match ack.kind() {
        objective::Kind::Filter => "filter",
        objective::Kind::Forward => "forward",
        objective::Kind::Next => "next",
        objective::Kind::Unspecified => "?",
    };
    let name = &ack.name;
    match &ack.status {
        _ if !ack.exists => format!("{kind} {name}: gone"),
        Some(status) if status.state() == State::Applied => format!("{kind} {name}: applied"),
        Some(status) => format!("{kind} {name}: {:?} {:?}", status.state(), status.reason()),
        None => format!("{kind} {name}: ?"),
    }
}

pub fn puts(yaml: &str) -> Vec<objective::Change> {
    let text = format!("device: switch\nobjectives:\n{yaml}");
    let model = Model::parse("test.yaml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let changes = model.objectives.iter();
    changes
        .map(|located| (&located.value.change).into())
        .collect()
}
