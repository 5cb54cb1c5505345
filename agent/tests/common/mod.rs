//! An agent in this process, over the interpreter with ports in memory, and clients of it.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod certificates;
pub mod leaf_spine;
pub mod master;

use std::path::Path;
use std::sync::Arc;

use pointsman_agent::agent::Agent;
use pointsman_agent::config::{Config, Pins, PipelineChoice, Serving, TargetKind};
use pointsman_agent::reactive;
use pointsman_agent::schema::ByteStrings;
use pointsman_agent::server::{self, Admission};
use pointsman_agent::start::{TargetTask, forward_packet_ins, run_target, start_with};
use pointsman_agent::target::interpreter::{Engine, InterpreterTarget};
use pointsman_agent::target::p4runtime::{P4RuntimeTarget, Upstream};
use pointsman_agent::target::{Learnt, Target};
use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as ToAgent;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

pub const DEVICE: u64 = 1;
pub const CPU_PORT: u32 = 255;

/// A running agent. Dropping it stops the agent, and its state directory stays.
pub struct TestAgent {
    pub agent: Arc<Agent>,
    pub engine: Arc<Engine>,
    pub address: String,
    cancel: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

pub fn config(state_dir: &Path) -> Config {
    Config {
        name: "switch".to_owned(),
        device_id: DEVICE,
        listen: "127.0.0.1:0".parse().expect("an address"),
        serving: Serving::insecure(),
        state_dir: state_dir.to_owned(),
        target: TargetKind::Interpreter,
        pins: Pins::None,
        upstream: None,
        pipeline: PipelineChoice::Embedded("leaf_spine".to_owned()),
        ports: ["1=swp1", "2=swp2", "49=swp49", "50=swp50"]
            .map(|port| port.parse().expect("a port"))
            .to_vec(),
        cpu_port: CPU_PORT,
        byte_strings: ByteStrings::Canonical,
        translations: Default::default(),
        discovery: Default::default(),
        reactive: Default::default(),
        drift: Default::default(),
    }
}

impl TestAgent {
    pub async fn start(config: &Config) -> TestAgent {
        TestAgent::start_on(config, |target| Box::new(target)).await
    }

    /// The same, over another target that has the interpreter behind it.
    pub async fn start_on(
        config: &Config,
        target: impl FnOnce(InterpreterTarget) -> Box<dyn Target>,
    ) -> TestAgent {
        let (packets, packet_in) = mpsc::channel(64);
        let (learner, learnt) = mpsc::channel(64);
        let interpreter = InterpreterTarget::new(CPU_PORT, packets, learner);
        let engine = interpreter.engine();
        let (target, task) = (target(interpreter), TargetTask::None);
        TestAgent::serve(config, target, engine, (packet_in, learnt), task).await
    }

    /// In front of another P4Runtime server.
    pub async fn start_proxy(config: &Config, upstream: Upstream) -> TestAgent {
        let (packets, packet_in) = mpsc::channel(64);
        let (learner, learnt) = mpsc::channel(64);
        let engine = InterpreterTarget::new(CPU_PORT, packets.clone(), learner).engine();
        let (target, task) = P4RuntimeTarget::new(upstream, packets);
        let task = TargetTask::P4Runtime(task);
        let from = (packet_in, learnt);
        TestAgent::serve(config, Box::new(target), engine, from, task).await
    }

    async fn serve(
        config: &Config,
        target: Box<dyn Target>,
        engine: Arc<Engine>,
        (packet_in, learnt): (mpsc::Receiver<Vec<u8>>, mpsc::Receiver<Learnt>),
        task: TargetTask,
    ) -> TestAgent {
        let agent = start_with(config, target).expect("the agent starts");
        let agent = Arc::new(agent);
        let listener = server::bind(config.listen).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let cancel = CancellationToken::new();
        tokio::spawn(run_target(task, agent.clone(), cancel.clone()));
        tokio::spawn(forward_packet_ins(agent.clone(), packet_in, cancel.clone()));
        tokio::spawn(agent.clone().run_notices(learnt, cancel.clone()));
        tokio::spawn(agent.clone().run_lives(cancel.clone()));
        tokio::spawn(agent.clone().watch_tables(cancel.clone()));
        tokio::spawn(agent.clone().run_repairs(cancel.clone()));
        let policies = config.reactive.clone();
        tokio::spawn(reactive::shell::run(
            policies,
            agent.clone(),
            cancel.clone(),
        ));
        let stop = cancel.clone();
        let served = agent.clone();
        let admission = Admission::load(&config.serving).expect("nothing has to be read");
        let admission = Arc::new(admission);
        let (files, stop_files) = (admission.clone(), cancel.clone());
        tokio::spawn(async move { files.watch(stop_files).await });
        let server = tokio::spawn(async move {
            server::serve(served, listener, &admission, async move {
                stop.cancelled().await
            })
            .await
            .expect("the server serves");
        });
        TestAgent {
            agent,
            engine,
            address: format!("http://{address}"),
            cancel,
            server,
        }
    }

    /// Ends the agent and waits until it has let go of its state directory.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.agent.streams.close_all();
        self.server.await.expect("the server ends");
        let mut agent = self.agent;
        // The last stream's task may hold it for a moment longer.
        while Arc::get_mut(&mut agent).is_none() {
            tokio::task::yield_now().await;
        }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.address.clone())
            .expect("an address")
            .connect()
            .await
            .expect("the agent listens")
    }

    pub async fn p4runtime(&self) -> P4RuntimeClient<Channel> {
        P4RuntimeClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    pub async fn service(&self) -> AgentClient<Channel> {
        AgentClient::new(self.channel().await)
    }

    /// A client that is primary with this election id.
    pub async fn primary(&self, election_id: u64) -> Controller {
        let mut controller = self.controller(Some(election_id)).await;
        let update = controller.arbitration().await;
        assert_eq!(update.status.expect("a status").code, Code::Ok as i32);
        controller
    }

    /// A client that has sent its first arbitration message.
    pub async fn controller(&self, election_id: Option<u64>) -> Controller {
        self.controller_in_role("", election_id).await
    }

    /// The same, in a role.
    pub async fn controller_in_role(&self, role: &str, election_id: Option<u64>) -> Controller {
        Controller::open(self.p4runtime().await, hello(role, election_id)).await
    }
}

/// A first arbitration message.
pub fn hello(role: &str, election_id: Option<u64>) -> p4::MasterArbitrationUpdate {
    p4::MasterArbitrationUpdate {
        device_id: DEVICE,
        election_id: election_id.map(|low| p4::Uint128 { high: 0, low }),
        role: (!role.is_empty()).then(|| p4::Role {
            name: role.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A P4Runtime client with a stream.
pub struct Controller {
    pub client: P4RuntimeClient<Channel>,
    pub requests: mpsc::Sender<p4::StreamMessageRequest>,
    pub responses: Streaming<p4::StreamMessageResponse>,
    pub election_id: Option<p4::Uint128>,
}

impl Controller {
    /// Opens a stream and sends its first message.
    pub async fn open(
        mut client: P4RuntimeClient<Channel>,
        hello: p4::MasterArbitrationUpdate,
    ) -> Controller {
        let (requests, stream) = mpsc::channel(16);
        let election_id = hello.election_id;
        let controller = async {
            requests
                .send(p4::StreamMessageRequest {
                    update: Some(ToAgent::Arbitration(hello)),
                })
                .await
                .expect("there is room");
            client.stream_channel(ReceiverStream::new(stream)).await
        };
        let responses = controller.await.expect("the stream opens").into_inner();
        Controller {
            client,
            requests,
            responses,
            election_id,
        }
    }

    /// Sends an arbitration message.
    pub async fn arbitrate(&self, update: p4::MasterArbitrationUpdate) {
        let message = p4::StreamMessageRequest {
            update: Some(ToAgent::Arbitration(update)),
        };
        self.requests.send(message).await.expect("there is room");
    }

    pub async fn next(&mut self) -> Result<FromAgent, Status> {
        let message = self.responses.message().await?;
        Ok(message
            .expect("the stream goes on")
            .update
            .expect("it says something"))
    }

    pub async fn arbitration(&mut self) -> p4::MasterArbitrationUpdate {
        match self.next().await.expect("no error") {
            FromAgent::Arbitration(update) => update,
            other => panic!("not an arbitration update: {other:?}"),
        }
    }

    pub async fn write(&mut self, updates: Vec<p4::Update>) -> Result<(), Status> {
        self.write_with(updates, p4::write_request::Atomicity::ContinueOnError)
            .await
    }

    pub async fn write_with(
        &mut self,
        updates: Vec<p4::Update>,
        atomicity: p4::write_request::Atomicity,
    ) -> Result<(), Status> {
        let request = p4::WriteRequest {
            device_id: DEVICE,
            election_id: self.election_id,
            updates,
            atomicity: atomicity.into(),
            ..Default::default()
        };
        self.client.write(request).await.map(|_| ())
    }

    pub async fn read(&mut self, filter: p4::entity::Entity) -> Result<Vec<p4::Entity>, Status> {
        read(&mut self.client, filter).await
    }
}

pub async fn read(
    client: &mut P4RuntimeClient<Channel>,
    filter: p4::entity::Entity,
) -> Result<Vec<p4::Entity>, Status> {
    let request = p4::ReadRequest {
        device_id: DEVICE,
        entities: vec![p4::Entity {
            entity: Some(filter),
        }],
        ..Default::default()
    };
    let mut stream = client.read(request).await?.into_inner();
    let mut entities = Vec::new();
    while let Some(response) = stream.message().await? {
        entities.extend(response.entities);
    }
    Ok(entities)
}

/// The canonical codes of the errors in a status, one for each update.
pub fn codes(status: &Status) -> Vec<Code> {
    let errors = errors(status).into_iter();
    errors
        .map(|error| Code::from_i32(error.canonical_code))
        .collect()
}

/// The errors in a status, one for each update.
pub fn errors(status: &Status) -> Vec<p4::Error> {
    assert_eq!(status.code(), Code::Unknown, "{status:?}");
    let details = rpc::Status::decode(status.details()).expect("there are details");
    let errors = details.details.iter();
    errors
        .map(|any| p4::Error::decode(any.value.as_slice()).expect("a p4.Error"))
        .collect()
}

pub fn update(kind: p4::update::Type, entity: p4::entity::Entity) -> p4::Update {
    p4::Update {
        r#type: kind.into(),
        entity: Some(p4::Entity {
            entity: Some(entity),
        }),
    }
}
