//! What the tests of a whole controller share: a controller in a temporary
//! directory, a client for it, and objectives to apply.
#![allow(dead_code, clippy::unwrap_used)]

pub mod fake_agent;
pub mod inventory;
pub mod process;

use std::future::Future;
use std::time::Duration;

use pointsman_controller::config::{Config, Settings};
use pointsman_controller::server::Server;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use tempfile::TempDir;
use tonic::transport::Channel;

/// Enough for every switch of a test to answer.
pub const WAIT_MILLISECONDS: u32 = 5000;

/// A running controller and a client of it.
pub struct TestController {
    pub server: Server,
    pub client: ControllerClient<Channel>,
    pub directory: TempDir,
}

impl TestController {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// On a directory that may hold the store of an earlier one.
    pub async fn start_in(directory: TempDir) -> Self {
        let settings = Settings {
            listen: Some("127.0.0.1:0".into()),
            data_dir: Some(directory.path().to_owned()),
            bootstrap: Some(true),
            ..Settings::default()
        };
        let server = Server::start(Config::try_from(settings).unwrap())
            .await
            .unwrap();
        let client = ControllerClient::connect(format!("http://{}", server.address()))
            .await
            .unwrap();
        Self {
            server,
            client,
            directory,
        }
    }

    /// Stops it and starts another one on the same directory.
    pub async fn restart(self) -> Self {
        self.server.shutdown().await;
        Self::start_in(self.directory).await
    }

    pub async fn apply(&mut self, request: pb::ApplyRequest) -> pb::ApplyResponse {
        self.client.apply(request).await.unwrap().into_inner()
    }

    /// Applies, waits for the switches, and insists that nothing was refused.
    pub async fn must_apply(&mut self, mut request: pb::ApplyRequest) -> pb::ApplyResponse {
        request.wait_milliseconds = WAIT_MILLISECONDS;
        let response = self.apply(request).await;
        assert_eq!(response.errors, []);
        response
    }

    /// The last entry of the replicated log.
    pub async fn log_index(&mut self) -> u64 {
        let status = self.client.get_status(pb::GetStatusRequest {});
        status.await.unwrap().into_inner().log_index
    }

    /// The same, once nothing has been written for a moment.
    pub async fn log_index_at_rest(&mut self) -> u64 {
        let mut last = self.log_index().await;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match self.log_index().await {
                now if now == last => return now,
                now => last = now,
            }
        }
    }

    pub async fn objectives(&mut self) -> Vec<pb::DeviceObjectives> {
        let request = pb::GetObjectivesRequest::default();
        self.client
            .get_objectives(request)
            .await
            .unwrap()
            .into_inner()
            .devices
    }
}

pub fn device(name: &str, address: impl ToString, device_id: u64) -> pb::DeviceChange {
    let spec = pb::DeviceSpec {
        name: name.into(),
        address: address.to_string(),
        device_id,
    };
    pb::DeviceChange {
        remove: false,
        device: Some(spec),
    }
}

/// A device without agent and some changes to its objectives.
pub fn request(
    devices: Vec<pb::DeviceChange>,
    changes: impl IntoIterator<Item = objective_pb::Change>,
) -> pb::ApplyRequest {
    let on_leaf1 = |change| pb::ObjectiveChange {
        device: "leaf1".into(),
        change: Some(change),
    };
    let objectives = changes.into_iter().map(on_leaf1).collect();
    pb::ApplyRequest {
        devices,
        objectives,
        ..pb::ApplyRequest::default()
    }
}

pub fn next(name: &str) -> objective_pb::Objective {
    let port = objective_pb::PortRef {
        port: Some(objective_pb::port_ref::Port::Number(1)),
    };
    let output = objective_pb::Instruction {
        instruction: Some(objective_pb::instruction::Instruction::Output(port)),
    };
    let bucket = objective_pb::Bucket {
        treatment: vec![output],
        ..Default::default()
    };
    let next = objective_pb::Next {
        r#type: objective_pb::NextType::Simple.into(),
        buckets: vec![bucket],
        ..Default::default()
    };
    let kind = Some(objective_pb::objective::Kind::Next(next));
    objective_pb::Objective {
        name: name.into(),
        kind,
        ..Default::default()
    }
}

pub fn forward(name: &str, next: &str) -> objective_pb::Objective {
    let criterion = |field: &str, matching| objective_pb::Criterion {
        field: field.into(),
        r#match: Some(matching),
        ..Default::default()
    };
    use objective_pb::criterion::Match;
    let prefix = objective_pb::Prefix {
        value: vec![10, 0, 0, 0],
        length: 24,
    };
    let forward = objective_pb::Forward {
        flag: objective_pb::ForwardFlag::Specific.into(),
        selector: vec![
            criterion("eth_type", Match::Exact(vec![8, 0])),
            criterion("ipv4_dst", Match::Prefix(prefix)),
        ],
        next: next.into(),
        ..Default::default()
    };
    let kind = Some(objective_pb::objective::Kind::Forward(forward));
    objective_pb::Objective {
        name: name.into(),
        kind,
        ..Default::default()
    }
}

/// The same objective with something about it changed.
pub fn with_priority(objective: objective_pb::Objective, priority: u32) -> objective_pb::Objective {
    objective_pb::Objective {
        priority,
        ..objective
    }
}

pub fn put(objective: objective_pb::Objective) -> objective_pb::Change {
    let operation = objective_pb::Operation::Put.into();
    objective_pb::Change {
        operation,
        objective: Some(objective),
    }
}

pub fn delete(objective: objective_pb::Objective) -> objective_pb::Change {
    let operation = objective_pb::Operation::Delete.into();
    objective_pb::Change {
        operation,
        objective: Some(objective),
    }
}

/// Waits until a condition holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
