//! A P4Runtime server that keeps to none of the finer points of the specification: it promotes backups, drops
//! metadata, pads byte strings, stops a Read at the first error, says UNKNOWN of a whole batch and no more, takes no
//! modification without an action, has no registers and no atomicity, and forgets everything when it is started again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::FieldMatchType;
use pointsman_proto::p4::v1::p4_runtime_server::{P4Runtime, P4RuntimeServer};
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Answer;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Response, Status, Streaming};

type Messages = mpsc::Sender<Result<p4::StreamMessageResponse, Status>>;

/// What the server counts for each entry.
pub const COUNT: p4::CounterData = p4::CounterData {
    byte_count: 640,
    packet_count: 10,
};

/// The server's state, for tests to look at and to meddle with.
#[derive(Default)]
pub struct Poor {
    pub pipeline: Option<p4::ForwardingPipelineConfig>,
    pub entities: BTreeMap<String, Entity>,
    /// Requests so far, with the number of updates in each.
    pub writes: Vec<usize>,
    /// Keys that it refuses to hold.
    pub refuses: Option<Vec<u8>>,
    /// The key at which it dies: what comes before is applied, and nobody hears of it.
    pub dies_at: Option<Vec<u8>>,
    /// Says UNIMPLEMENTED of digests.
    pub lacks_digests: bool,
    pub packets: Vec<p4::PacketOut>,
    streams: Vec<(u64, u128, Messages)>,
    primary: Option<u64>,
    last_stream: u64,
}

#[derive(Clone, Default)]
pub struct PoorServer(Arc<Mutex<Poor>>);

/// A running one. Dropping it ends it, streams and all.
pub struct RunningPoor {
    pub server: PoorServer,
    pub address: SocketAddr,
    /// Its own, so that it can end in the middle of everything.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for RunningPoor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl RunningPoor {
    pub async fn start(address: &str) -> RunningPoor {
        RunningPoor::start_with(address, Poor::default()).await
    }

    async fn start_with(address: &str, state: Poor) -> RunningPoor {
        let server = PoorServer(Arc::new(Mutex::new(state)));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let bound = bind(address).await;
        let address = bound.local_addr().expect("it is bound");
        let service = P4RuntimeServer::new(server.clone());
        runtime.spawn(async move {
            let listener = TcpListener::from_std(bound).expect("it is bound");
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
        });
        RunningPoor {
            server,
            address,
            runtime: Some(runtime),
        }
    }

    /// Ends it as a crash would, and starts another at the same address.
    pub async fn restart(self) -> RunningPoor {
        self.restart_with(Poor::default()).await
    }

    /// The same, with this state.
    pub async fn restart_with(self, state: Poor) -> RunningPoor {
        let address = self.address.to_string();
        drop(self);
        RunningPoor::start_with(&address, state).await
    }
}

/// Binds an address that another may hold for a moment longer.
async fn bind(address: &str) -> std::net::TcpListener {
    loop {
        if let Ok(listener) = std::net::TcpListener::bind(address) {
            listener.set_nonblocking(true).expect("it can be");
            return listener;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

impl PoorServer {
    pub fn lock(&self) -> MutexGuard<'_, Poor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it dies of a request, having applied what comes before.
    fn applied_before_death(&self, request: &p4::WriteRequest) -> bool {
        let mut poor = self.lock();
        let Some(deadly) = poor.dies_at.clone() else {
            return false;
        };
        let deadly = format!("{deadly:?}");
        let mut updates = request.updates.iter();
        let died = updates.position(|update| format!("{update:?}").contains(&deadly));
        for update in request.updates.iter().take(died.unwrap_or(0)) {
            // What it would have said is of no interest to anybody.
            let _ = poor.apply(update);
        }
        died.is_some()
    }

    fn closed(&self, stream: u64) {
        let mut poor = self.lock();
        poor.streams.retain(|(id, ..)| *id != stream);
        if poor.primary == Some(stream) {
            // It should not promote anybody.
            poor.primary = poor.streams.first().map(|(id, ..)| *id);
            poor.tell();
        }
    }
}

impl Poor {
    /// What would survive its end: pipeline and entities.
    pub fn crash(&self) -> Poor {
        Poor {
            pipeline: self.pipeline.clone(),
            entities: self.entities.clone(),
            ..Poor::default()
        }
    }

    fn tell(&self) {
        let highest = self
            .streams
            .iter()
            .find(|(id, ..)| Some(*id) == self.primary);
        let highest = highest.map_or(0, |(_, election_id, _)| *election_id);
        for (id, _, messages) in &self.streams {
            let code = if Some(*id) == self.primary { 0 } else { 6 };
            let update = p4::MasterArbitrationUpdate {
                election_id: Some(p4::Uint128 {
                    high: (highest >> 64) as u64,
                    low: highest as u64,
                }),
                status: Some(pointsman_proto::google::rpc::Status {
                    code,
                    ..Default::default()
                }),
                ..Default::default()
            };
            let message = p4::StreamMessageResponse {
                update: Some(Answer::Arbitration(update)),
            };
            let _ = messages.try_send(Ok(message));
        }
    }

    fn arbitrate(&mut self, stream: u64, election_id: u128, messages: &Messages) {
        self.streams.retain(|(id, ..)| *id != stream);
        self.streams.push((stream, election_id, messages.clone()));
        let held = self
            .streams
            .iter()
            .find(|(id, ..)| Some(*id) == self.primary);
        if held.is_none_or(|(_, held, _)| election_id >= *held) {
            self.primary = Some(stream);
        }
        self.tell();
    }

    fn apply(&mut self, update: &p4::Update) -> Result<(), ()> {
        let entity = update.entity.as_ref().and_then(|e| e.entity.clone());
        let mut entity = entity.ok_or(())?;
        if let Some(refused) = &self.refuses
            && format!("{entity:?}").contains(&format!("{refused:?}"))
        {
            return Err(());
        }
        if let Entity::TableEntry(entry) = &entity
            && update.r#type() == Type::Modify
            && entry.action.is_none()
            && !entry.is_default_action
        {
            return Err(());
        }
        let key = key(&entity);
        drop_metadata(&mut entity);
        match update.r#type() {
            Type::Insert if !self.entities.contains_key(&key) => {
                self.entities.insert(key, entity);
            }
            Type::Modify if self.entities.contains_key(&key) || key.contains("default") => {
                self.entities.insert(key, entity);
            }
            Type::Delete if self.entities.remove(&key).is_some() => {}
            _ => return Err(()),
        }
        Ok(())
    }

    fn read(&self, filter: &Entity) -> Result<Vec<Entity>, Status> {
        let all = self.entities.values();
        match filter {
            Entity::TableEntry(wanted) if wanted.is_default_action => Ok(Vec::new()),
            Entity::TableEntry(wanted) => Ok(all
                .filter(|e| matches!(e, Entity::TableEntry(e) if e.table_id == wanted.table_id))
                .map(|e| padded(e.clone()))
                .collect()),
            Entity::DirectCounterEntry(wanted) => {
                let table = wanted.table_entry.as_ref().map_or(0, |e| e.table_id);
                let counted = all.filter_map(|e| match padded(e.clone()) {
                    Entity::TableEntry(e) if e.table_id == table && !e.is_default_action => {
                        Some(Entity::DirectCounterEntry(p4::DirectCounterEntry {
                            table_entry: Some(e),
                            data: Some(COUNT),
                        }))
                    }
                    _ => None,
                });
                Ok(counted.collect())
            }
            Entity::ActionProfileMember(_)
            | Entity::ActionProfileGroup(_)
            | Entity::PacketReplicationEngineEntry(_) => Ok(all
                .filter(|e| std::mem::discriminant(*e) == std::mem::discriminant(filter))
                .cloned()
                .collect()),
            Entity::CounterEntry(_) | Entity::MeterEntry(_) => Ok(Vec::new()),
            _ => Err(Status::unimplemented("not here")),
        }
    }
}

pub fn key(entity: &Entity) -> String {
    match entity {
        Entity::TableEntry(e) if e.is_default_action => format!("default {}", e.table_id),
        Entity::TableEntry(e) => format!("{} {:?} {}", e.table_id, e.r#match, e.priority),
        Entity::ActionProfileMember(m) => format!("m {} {}", m.action_profile_id, m.member_id),
        Entity::ActionProfileGroup(g) => format!("g {} {}", g.action_profile_id, g.group_id),
        other => format!("{other:?}"),
    }
}

#[allow(deprecated)]
fn drop_metadata(entity: &mut Entity) {
    if let Entity::TableEntry(entry) = entity {
        entry.metadata.clear();
        entry.controller_metadata = 0;
    }
}

fn padded(mut entity: Entity) -> Entity {
    if let Entity::TableEntry(entry) = &mut entity {
        for field in &mut entry.r#match {
            if let Some(FieldMatchType::Lpm(lpm)) = &mut field.field_match_type {
                lpm.value.insert(0, 0);
            }
        }
    }
    entity
}

#[tonic::async_trait]
impl P4Runtime for PoorServer {
    type ReadStream = ReceiverStream<Result<p4::ReadResponse, Status>>;
    type StreamChannelStream = ReceiverStream<Result<p4::StreamMessageResponse, Status>>;

    async fn write(
        &self,
        request: tonic::Request<p4::WriteRequest>,
    ) -> Result<Response<p4::WriteResponse>, Status> {
        let request = request.into_inner();
        if self.applied_before_death(&request) {
            std::future::pending::<()>().await;
        }
        let mut poor = self.lock();
        if request.atomicity() != Atomicity::ContinueOnError {
            return Err(Status::unimplemented("only CONTINUE_ON_ERROR"));
        }
        let id = request.election_id.unwrap_or_default();
        let id = u128::from(id.high) << 64 | u128::from(id.low);
        let is_primary = |(stream, election_id, _): &&(u64, u128, Messages)| {
            Some(*stream) == poor.primary && *election_id == id
        };
        if !poor.streams.iter().any(|stream| is_primary(&stream)) {
            return Err(Status::permission_denied("not the primary"));
        }
        let is_digest = |update: &p4::Update| {
            let entity = update.entity.as_ref().and_then(|e| e.entity.as_ref());
            matches!(entity, Some(Entity::DigestEntry(_)))
        };
        if poor.lacks_digests && request.updates.iter().any(is_digest) {
            return Err(Status::unimplemented("no digests here"));
        }
        poor.writes.push(request.updates.len());
        let mut failed = false;
        for update in &request.updates {
            failed |= poor.apply(update).is_err();
        }
        match failed {
            true => Err(Status::unknown("something went wrong")),
            false => Ok(Response::new(p4::WriteResponse {})),
        }
    }

    async fn read(
        &self,
        request: tonic::Request<p4::ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let mut entities = Vec::new();
        for filter in request.into_inner().entities {
            let filter = filter.entity.ok_or_else(|| Status::unknown("no entity"))?;
            entities.extend(self.lock().read(&filter)?);
        }
        let (sender, stream) = mpsc::channel(1);
        let entities = entities.into_iter().map(|entity| p4::Entity {
            entity: Some(entity),
        });
        let response = p4::ReadResponse {
            entities: entities.collect(),
        };
        let _ = sender.try_send(Ok(response));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn set_forwarding_pipeline_config(
        &self,
        request: tonic::Request<p4::SetForwardingPipelineConfigRequest>,
    ) -> Result<Response<p4::SetForwardingPipelineConfigResponse>, Status> {
        use p4::set_forwarding_pipeline_config_request::Action;
        let request = request.into_inner();
        let mut poor = self.lock();
        match request.action() {
            Action::VerifyAndCommit => {
                poor.pipeline = request.config;
                poor.entities.clear();
            }
            Action::Verify => {}
            _ => return Err(Status::unimplemented("not here")),
        }
        Ok(Response::new(p4::SetForwardingPipelineConfigResponse {}))
    }

    async fn get_forwarding_pipeline_config(
        &self,
        _: tonic::Request<p4::GetForwardingPipelineConfigRequest>,
    ) -> Result<Response<p4::GetForwardingPipelineConfigResponse>, Status> {
        let config = self.lock().pipeline.clone();
        match config {
            None => Err(Status::failed_precondition("no pipeline")),
            config => Ok(Response::new(p4::GetForwardingPipelineConfigResponse {
                config,
            })),
        }
    }

    async fn stream_channel(
        &self,
        request: tonic::Request<Streaming<p4::StreamMessageRequest>>,
    ) -> Result<Response<Self::StreamChannelStream>, Status> {
        let mut requests = request.into_inner();
        let (messages, stream) = mpsc::channel(64);
        let id = {
            let mut poor = self.lock();
            poor.last_stream += 1;
            poor.last_stream
        };
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = requests.message().await {
                match message.update {
                    Some(Request::Arbitration(update)) => {
                        let election = update.election_id.unwrap_or_default();
                        let election = u128::from(election.high) << 64 | u128::from(election.low);
                        server.lock().arbitrate(id, election, &messages);
                    }
                    Some(Request::Packet(packet)) => {
                        server.lock().packets.push(packet);
                    }
                    _ => {}
                }
            }
            server.closed(id);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn capabilities(
        &self,
        _: tonic::Request<p4::CapabilitiesRequest>,
    ) -> Result<Response<p4::CapabilitiesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
