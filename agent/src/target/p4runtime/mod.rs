//! The `p4runtime` target: a switch that already speaks P4Runtime (BMv2's `simple_switch_grpc`, Stratum).
//!
//! The agent is the one client of that server, always its primary, and serves the whole front end to clients of its
//! own. What is stored here is the authority. Every update meets all checks against a *model*, which is the
//! reference interpreter without packets, and is then sent with the others of its batch ([`Relay`]). So clients
//! get roles, filters, metadata, rollback and one error for each update, whatever the server itself can do. What only the
//! server knows (counters, registers) is fetched when it is asked for.
//!
//! | module | what it does |
//! |---|---|
//! | `mastership` | when to connect and which election id to claim; pure |
//! | `shell`, `link` | the thread that does so, and calls on the server for threads that wait |
//! | `outcome`, `batch`, `lacking` | batches, and what became of each update |
//! | `question`, `survey`, `difference`, `step` | what the server has, how it differs from what is stored, and putting that right |
//! | `live` | counters, registers and last hits |
//! | `failover` | groups whose first live member takes all, which servers do not know |
//! | `packet` | packet-ins and packet-outs |
//! | `notice` | digests and idle entries |
//!
//! After every connection the server is compared with what is stored before the first write. While it is away,
//! what is stored can be read, writes are refused with UNAVAILABLE, and so are reads of what it counts.

mod batch;
mod difference;
mod failover;
mod lacking;
mod link;
mod live;
mod mastership;
mod notice;
mod options;
mod outcome;
mod packet;
mod question;
mod shell;
mod step;
mod survey;

pub use notice::Listed;
pub use options::{Policy, Upstream};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::{DataPlane, EntryKey};
use pointsman_p4::interpreter::{Interpreter, Packet, Trace};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use self::link::Link;
use self::notice::Notice;
use self::outcome::Outcome;
use self::shell::News;
use super::relay::{Compared, Differences, Relay, RelayError};
use super::{
    Attachment, DeviceConfig, Fill, Interface, MulticastLimits, PacketOut, Target, TargetError,
};
use crate::entity::{Entity, Operation, Update};
use crate::schema::Schema;
use crate::switch::{Pipeline, UpdateError};

/// Notices of the server that wait for the agent; more are lost, and the server may send them again.
const NOTICES: usize = 1024;

/// Who is told what the server does of itself. Called on threads that may wait.
pub trait Front: Send + Sync + 'static {
    /// The server has made us its primary, and may hold anything.
    fn bring_in_step(&self);

    /// Packets have learnt something there.
    fn learnt(&self, listed: Listed);

    /// The server says that no packet has hit these entries for their timeout.
    fn idle(&self, schema: &Arc<Schema>, keys: &[EntryKey]);
}

/// A switch behind a P4Runtime server.
pub struct P4RuntimeTarget {
    server: Arc<Server>,
    model: Option<Arc<Interpreter>>,
}

/// The connection, to be run.
pub struct UpstreamTask {
    link: Arc<Link>,
}

/// What the target and its relay share.
struct Server {
    link: Arc<Link>,
    model: Mutex<Option<Arc<Interpreter>>>,
    /// The ports of the switch that are known to be down.
    down: Mutex<BTreeSet<u32>>,
}

impl P4RuntimeTarget {
    /// A target for a server, which is not connected to until the task runs. Packets for the
    /// controller go to `packet_in`, and are dropped when that is full.
    pub fn new(
        upstream: Upstream,
        packet_in: mpsc::Sender<Vec<u8>>,
    ) -> (P4RuntimeTarget, UpstreamTask) {
        let link = Arc::new(Link::new(upstream, packet_in));
        let server = Server {
            link: link.clone(),
            model: Mutex::default(),
            down: Mutex::default(),
        };
        let target = P4RuntimeTarget {
            server: Arc::new(server),
            model: None,
        };
        (target, UpstreamTask { link })
    }

    fn set_model(&mut self, model: Option<Arc<Interpreter>>) {
        let shared = &self.server.model;
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = model.clone();
        self.model = model;
    }
}

impl UpstreamTask {
    /// Keeps the connection until it is cancelled.
    pub async fn run<F: Front>(
        self,
        front: Arc<F>,
        cancel: CancellationToken,
    ) -> std::io::Result<()> {
        let (news, heard) = mpsc::channel(1);
        let (notices, noticed) = mpsc::channel(NOTICES);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Nobody else starts it.
        let _ = self.link.runtime.set(runtime.handle().clone());
        let link = self.link.clone();
        let to = shell::Heard { news, notices };
        let thread = std::thread::Builder::new().name("upstream".to_owned());
        let thread = thread.spawn(move || runtime.block_on(shell::run(link, to, cancel)))?;
        tokio::join!(
            bring_in_step(Arc::clone(&front), heard),
            notify(front, noticed)
        );
        self.link.end("the agent is stopping".to_owned());
        // It has ended: it held the senders.
        let _ = thread.join();
        Ok(())
    }
}

/// Has the server compared whenever it makes us its primary.
async fn bring_in_step<F: Front>(front: Arc<F>, mut heard: mpsc::Receiver<News>) {
    while let Some(News::Primary) = heard.recv().await {
        let front = Arc::clone(&front);
        if let Err(error) = tokio::task::spawn_blocking(move || front.bring_in_step()).await {
            tracing::error!(%error, "comparing the switch with what is stored ended early");
        }
    }
}

/// Passes on what the server notices.
async fn notify<F: Front>(front: Arc<F>, mut noticed: mpsc::Receiver<Notice>) {
    while let Some(notice) = noticed.recv().await {
        let front = Arc::clone(&front);
        let told = tokio::task::spawn_blocking(move || match notice {
            Notice::Learnt(listed) => front.learnt(listed),
            Notice::Idle { schema, keys } => front.idle(&schema, &keys),
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "a notice of the switch was not passed on");
        }
    }
}

impl Target for P4RuntimeTarget {
    fn kind(&self) -> &'static str {
        "p4runtime"
    }

    fn device_config(&self) -> DeviceConfig {
        DeviceConfig::Opaque
    }

    fn multicast_limits(&self) -> Option<MulticastLimits> {
        // The server sees the p4info, too, and knows.
        None
    }

    fn relay(&self) -> Option<Arc<dyn Relay>> {
        Some(self.server.clone())
    }

    fn verify(&self, pipeline: &Pipeline) -> Result<(), TargetError> {
        check_json(&pipeline.source.device_config)?;
        if !self.server.link.is_started() {
            return Ok(());
        }
        match survey::set_pipeline(&self.server.link, pipeline, Action::Verify) {
            Err(status) if status.code() == Code::Unimplemented => Ok(()),
            result => result.map_err(|status| load_error(&self.server.link, &status)),
        }
    }

    fn load(&mut self, pipeline: &Pipeline, fill: &mut Fill<'_>) -> Result<(), TargetError> {
        check_json(&pipeline.source.device_config)?;
        let model = Interpreter::new(pipeline.program.clone());
        fill(&model)?;
        // At the start of the agent the server is not asked: it is brought in step when it is there.
        if self.server.link.is_started() {
            survey::set_pipeline(&self.server.link, pipeline, Action::VerifyAndCommit)
                .map_err(|status| load_error(&self.server.link, &status))?;
        }
        self.server.link.set_schema(Some(pipeline.schema.clone()));
        self.set_model(Some(Arc::new(model)));
        Ok(())
    }

    fn unload(&mut self) -> Result<(), TargetError> {
        self.server.link.set_schema(None);
        self.set_model(None);
        Ok(())
    }

    fn plane(&self) -> Option<&dyn DataPlane> {
        let model: &Interpreter = self.model.as_ref()?;
        Some(model)
    }

    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError> {
        Err(TargetError::Attach {
            port,
            interface: interface.name.clone(),
            reason: "the ports of this switch are its own; here they have only names".to_owned(),
        })
    }

    fn detach(&mut self, _port: u32) {}

    fn packet_out(&self) -> Arc<dyn PacketOut> {
        self.server.clone()
    }

    fn trace(&self, packet: &Packet) -> Result<Trace, TargetError> {
        let model = self.model.as_ref().ok_or(TargetError::NoPipeline)?;
        Ok(model.trace(packet, monotonic_clock()))
    }

    fn slow_path_packets(&self) -> u64 {
        0
    }
}

impl Server {
    fn model(&self) -> Option<Arc<Interpreter>> {
        let model = self.model.lock();
        model.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn down(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        // It is replaced as a whole.
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PacketOut for Server {
    fn send(&self, packet: &[u8]) -> Result<(), TargetError> {
        self.link.packet_out(packet).map_err(TargetError::Away)
    }
}

impl Relay for Server {
    fn check(&self) -> Result<(), RelayError> {
        let connection = self.link.connection_in_step();
        connection.map(drop).map_err(RelayError::Away)
    }

    fn write(
        &self,
        schema: &Schema,
        updates: &[Update],
    ) -> Result<Vec<Result<(), UpdateError>>, RelayError> {
        let sent = failover::as_sent(updates, &self.down());
        let outcomes = lacking::write(&self.link, schema, &sent)?;
        let results = outcomes.into_iter().zip(updates).map(|(outcome, update)| {
            let refused = |code, message| UpdateError::Upstream {
                what: schema.describe(&update.entity),
                code,
                message,
            };
            match outcome {
                Outcome::Done => Ok(()),
                // Somebody else has deleted it there.
                Outcome::Refused {
                    code: Code::NotFound,
                    ..
                } if update.operation == Operation::Delete => Ok(()),
                Outcome::Refused { code, message } => Err(refused(code, message)),
                Outcome::NotTried => Err(refused(Code::Aborted, "it was not come to".to_owned())),
            }
        });
        Ok(results.collect())
    }

    fn write_atomically(&self, schema: &Schema, updates: &[Update]) -> Result<(), RelayError> {
        let sent = failover::as_sent(updates, &self.down());
        batch::write_atomically(&self.link, batch::messages(schema, &sent))
    }

    fn refresh(&self, schema: &Schema, filters: &[p4::Entity]) -> Vec<Result<(), RelayError>> {
        match self.model() {
            Some(model) => live::refresh(&self.link, schema, &model, filters),
            None => vec![Ok(()); filters.len()],
        }
    }

    fn acknowledge(&self, digest_id: u32, list_id: u64) {
        self.link.acknowledge(digest_id, list_id);
    }

    fn ports_turned(
        &self,
        schema: &Schema,
        down: BTreeSet<u32>,
        held: &[Entity],
    ) -> Result<(), RelayError> {
        let before = std::mem::replace(&mut *self.down(), down.clone());
        let moved = failover::moved(held, &before, &down);
        // One that is away gets them when it is back.
        if moved.is_empty() || self.link.connection_in_step().is_err() {
            return Ok(());
        }
        let refused = self.write(schema, &moved)?.into_iter();
        for error in refused.filter_map(Result::err) {
            tracing::error!(%error, "packets do not leave a port that is down");
        }
        Ok(())
    }

    fn bring_in_step(
        &self,
        pipeline: &Pipeline,
        updates: &[Update],
        differences: Differences,
    ) -> Result<Compared, RelayError> {
        if !self.link.is_started() {
            return Ok(Compared::default());
        }
        let sent = failover::as_sent(updates, &self.down());
        let result = step::bring_in_step(&self.link, pipeline, &sent, differences);
        match &result {
            // What it refuses is said; all else is as it should be.
            Ok(_) | Err(RelayError::NotInStep { .. }) => self.link.set_in_step(true),
            // It is tried again.
            Err(error) => self.link.doubt(&error.to_string()),
        }
        result
    }
}

/// What begins as JSON has to be JSON: BMv2 takes no other pipeline after one that it cannot read.
fn check_json(device_config: &[u8]) -> Result<(), TargetError> {
    if !device_config.starts_with(b"{") {
        return Ok(());
    }
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(device_config);
    read.map(drop).map_err(|error| {
        TargetError::Unsupported(format!(
            "the device config begins as JSON and is none: {error}"
        ))
    })
}

fn load_error(link: &Link, status: &tonic::Status) -> TargetError {
    match step::refused(link, status) {
        RelayError::Refused { code, message } if code != Code::Internal => {
            TargetError::Unsupported(format!("the switch refuses the pipeline: {message}"))
        }
        error @ RelayError::Away(_) => TargetError::Away(error.to_string()),
        error => TargetError::System {
            what: "setting the pipeline on the switch".to_owned(),
            error: error.to_string(),
        },
    }
}
