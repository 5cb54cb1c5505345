//! The shell around [`sync::step`] for one device: its connection, its timer,
//! its view of the store. Owned by the supervisor; ends when cancelled.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::reach;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::sync::{self, Command, Event, Fault, MAX_BATCHES_IN_FLIGHT};
use super::{Device, Shared, wire};
use crate::agents::{AgentError, CA, client_on};
use crate::clock::seconds_now;
use crate::state::{Command as StoreCommand, Expired, MastershipCommand, Revision, State, Term};

/// Changes in a batch: enough to make messages cheap, few enough to keep acknowledgements flowing.
const MAX_BATCH_CHANGES: usize = 512;

/// Messages that may wait for the transport. More than can be in flight, so that it is never
/// full; were it full all the same, the session would begin anew.
const OUTGOING_CAPACITY: usize = MAX_BATCHES_IN_FLIGHT * 2;

/// How long an agent may take to answer the hello.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// An open stream.
struct Connection {
    outgoing: mpsc::Sender<pb::SyncRequest>,
    incoming: Streaming<pb::SyncResponse>,
    /// Until when the agent must have said hello; `None` once it has.
    greeting_deadline: Option<tokio::time::Instant>,
}

struct Session {
    shared: Arc<Shared>,
    device: Arc<Device>,
    connection: Option<Connection>,
    /// The term in which the connection was made, or was to be.
    term: Option<Term>,
    retry_at: Option<tokio::time::Instant>,
    /// When the store is told again what has expired.
    expire_at: Option<tokio::time::Instant>,
}

/// Runs until the device's token is cancelled.
pub async fn run(shared: Arc<Shared>, device: Arc<Device>) {
    let cancel = device.cancel.clone();
    let mut session = Session {
        shared,
        device,
        connection: None,
        term: None,
        retry_at: None,
        expire_at: None,
    };
    cancel.run_until_cancelled_owned(session.drive()).await;
}

impl Session {
    async fn drive(&mut self) {
        let mut changed = self.shared.store.watch();
        self.handle(Event::Start).await;
        loop {
            let event = tokio::select! {
                event = next_message(&mut self.connection) => self.translate(event),
                () = wait_until(self.retry_at) => {
                    self.retry_at = None;
                    Event::RetryDue
                }
                () = wait_until(self.expire_at) => {
                    self.expire_at = None;
                    Event::ExpiryDue
                }
                result = changed.changed() => match result {
                    Ok(()) if self.connection.is_some() && self.term != self.held_term() => {
                        Event::TermChanged
                    }
                    Ok(()) => Event::DesiredChanged,
                    // The store is gone: the process is shutting down.
                    Err(_) => return,
                },
            };
            self.handle(event).await;
        }
    }

    /// Feeds an event to the core, does what it says, and feeds back what comes of that.
    async fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            if let Event::Lost { fault, .. } = &event {
                self.log_loss(fault);
            }
            let commands = self
                .device
                .with_sync(|sync| sync::step(sync, event, Instant::now()));
            for command in commands {
                events.extend(self.execute(command).await);
            }
        }
    }

    async fn execute(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Connect => {
                self.term = self.held_term();
                Some(match self.connect().await {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        Event::Connected
                    }
                    Err(fault) => lost(fault),
                })
            }
            Command::SendSnapshot => Some(self.send(None)),
            Command::SendTail(after) => Some(self.send(Some(after))),
            Command::Disconnect => {
                self.connection = None;
                None
            }
            Command::Renew => {
                self.renew().await;
                None
            }
            Command::Wait(delay) => {
                self.retry_at = Some(tokio::time::Instant::now() + delay);
                None
            }
            Command::Expire(expired) => self.expire(expired).await,
            Command::WaitToExpire(delay) => {
                self.expire_at = Some(tokio::time::Instant::now() + delay);
                None
            }
            Command::Announce => {
                self.shared.announce();
                None
            }
        }
    }

    /// Asks for a later term than the one that the switch has refused.
    async fn renew(&self) {
        let device = self.device.spec.name.clone();
        let node = self.shared.store.node_id();
        let Some(term) = self.term else { return };
        let renew = MastershipCommand::Renew { device, node, term };
        let renewed = self.shared.store.submit(StoreCommand::Mastership(renew));
        if let Err(error) = renewed.await {
            tracing::warn!(device = self.device.spec.name, %error, "there is no later term yet");
        }
    }

    /// The term in which this node is master of the device, if it is.
    fn held_term(&self) -> Option<Term> {
        let node = self.shared.store.node_id();
        self.shared.store.read(|state| {
            let held = state.device(&self.device.spec.name)?.mastership()?;
            (held.node == node).then_some(held.term)
        })
    }

    /// Has the store forget what has expired on the switch.
    async fn expire(&self, expired: Expired) -> Option<Event> {
        let device = &self.device.spec.name;
        let objectives = expired.len();
        let command = StoreCommand::Expire {
            device: device.clone(),
            expired,
            time: seconds_now(),
        };
        match self.shared.store.submit(command).await {
            Ok(_) => {
                tracing::info!(device, objectives, "objectives have expired");
                None
            }
            Err(error) => {
                tracing::warn!(device, objectives, %error, "what has expired is not forgotten yet");
                Some(Event::NotExpired)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let address = &self.device.spec.address;
        let unreachable = |error: AgentError| Fault::Unreachable(error.to_string());
        let hello = self.hello()?;
        let dialer = &self.shared.dialer;
        let channel = dialer
            .endpoint(address)
            .map_err(unreachable)?
            .connect()
            .await
            .map_err(|error| {
                let cause = reach::cause(&error, dialer.spoken(), CA);
                unreachable(AgentError::Unreachable {
                    address: address.clone(),
                    cause,
                })
            })?;
        let (outgoing, messages) = mpsc::channel(OUTGOING_CAPACITY);
        // Before the call: an agent may answer only once it has read the hello.
        outgoing.try_send(hello).expect("a new channel has room");
        let mut client = client_on(channel);
        let call = client.sync_objectives(ReceiverStream::new(messages));
        let answer = tokio::time::timeout(GREETING_TIMEOUT, call)
            .await
            .map_err(|_| {
                let limit = GREETING_TIMEOUT;
                unreachable(AgentError::TimedOut {
                    address: address.clone(),
                    limit,
                })
            })?;
        let incoming = answer
            .map_err(|status| self.fault_of(&status))?
            .into_inner();
        let greeting_deadline = Some(tokio::time::Instant::now() + GREETING_TIMEOUT);
        Ok(Connection {
            outgoing,
            incoming,
            greeting_deadline,
        })
    }

    /// The hello for the term this node held when it began to connect.
    fn hello(&self) -> Result<pb::SyncRequest, Fault> {
        let not_master = || Fault::Fenced("this controller is not the device's master".to_owned());
        let term = self.term.ok_or_else(not_master)?;
        let hello = self.shared.store.read(|state| {
            wire::hello(
                self.device.spec.device_id,
                state.election_id(term),
                &self.shared.node_name,
                &state.cluster().id,
            )
        });
        Ok(hello)
    }

    fn fault_of(&self, status: &tonic::Status) -> Fault {
        let error = AgentError::from_status(
            &self.device.spec.address,
            status,
            self.shared.dialer.spoken(),
        );
        match status.code() {
            Code::PermissionDenied | Code::Aborted => Fault::Fenced(format!(
                "another controller is master of this switch: {}",
                status.message()
            )),
            Code::InvalidArgument | Code::NotFound | Code::Unimplemented => {
                Fault::Protocol(error.to_string())
            }
            _ => Fault::Unreachable(error.to_string()),
        }
    }

    /// Puts the snapshot, or the changes after a revision, on the stream.
    fn send(&self, after: Option<Revision>) -> Event {
        let name = &self.device.spec.name;
        let Some(connection) = &self.connection else {
            return Event::Sent(None);
        };
        let batch = self.shared.store.read(|state: &State| {
            // A device that has moved is not this switch any more: what is wanted of it is not for here.
            let device = state
                .device(name)
                .filter(|device| *device.spec() == self.device.spec)?;
            match after {
                None => Some(Ok((device.snapshot(), true))),
                Some(after) if device.has_tail_after(after) => {
                    Some(Ok((device.tail_after(after, MAX_BATCH_CHANGES), false)))
                }
                Some(_) => Some(Err(())),
            }
        });
        let (tail, is_snapshot) = match batch {
            // The device was removed or has moved: the supervisor is about to end this session.
            None => return Event::Sent(None),
            Some(Err(())) => return Event::TailForgotten,
            Some(Ok(batch)) => batch,
        };
        if !is_snapshot && tail.changes.is_empty() {
            return Event::Sent(None);
        }
        tracing::debug!(
            device = name,
            revision = tail.revision.0,
            changes = tail.changes.len(),
            is_snapshot,
            "sending a batch"
        );
        match connection
            .outgoing
            .try_send(wire::batch(&tail, is_snapshot))
        {
            Ok(()) => Event::Sent(Some(tail.revision)),
            Err(_) => lost(Fault::Unreachable(
                "the stream to the agent is closed".to_owned(),
            )),
        }
    }

    fn translate(&mut self, message: Incoming) -> Event {
        use pb::sync_response::Message;
        let message = match message {
            Incoming::Message(message) => message,
            Incoming::Failed(status) => return lost(self.fault_of(&status)),
            Incoming::Ended => {
                return lost(Fault::Unreachable(
                    "the agent closed the stream; it may be restarting".to_owned(),
                ));
            }
            Incoming::Silent => {
                return lost(Fault::Protocol(
                    "the agent accepted the stream but never said hello".to_owned(),
                ));
            }
        };
        let Some(connection) = &mut self.connection else {
            return Event::Sent(None);
        };
        match (message.message, connection.greeting_deadline) {
            (Some(Message::Hello(hello)), Some(_)) => {
                connection.greeting_deadline = None;
                self.greeted(hello)
            }
            (Some(Message::Acks(acks)), None) => Event::Acked {
                taken: Revision(acks.revision),
                acks: wire::acks(acks.acks),
            },
            _ => lost(Fault::Protocol(
                "the agent's stream must be one hello and then acknowledgements".to_owned(),
            )),
        }
    }

    fn greeted(&self, hello: pb::AgentHello) -> Event {
        let revision = Revision(hello.revision);
        let spec = &self.device.spec;
        let (is_same_cluster, has_tail) = self.shared.store.read(|state| {
            let device = state.device(&spec.name);
            let has_tail = device.is_some_and(|device| device.has_tail_after(revision));
            (hello.cluster_id == state.cluster().id, has_tail)
        });
        let can_continue = is_same_cluster && has_tail;
        let statuses = if is_same_cluster {
            wire::acks(hello.statuses)
        } else {
            Vec::new()
        };
        tracing::info!(
            device = spec.name,
            address = spec.address,
            boot_id = hello.boot_id,
            revision = revision.0,
            can_continue,
            "the agent is connected"
        );
        Event::AgentGreeted {
            can_continue,
            revision,
            statuses,
        }
    }

    /// The first failure and every new kind of failure; not each retry.
    fn log_loss(&self, fault: &Fault) {
        let spec = &self.device.spec;
        let is_news = self.device.with_sync(|sync| sync.is_news(fault));
        if is_news {
            tracing::warn!(
                device = spec.name,
                address = spec.address,
                reason = fault.message(),
                "the agent is not connected; retrying"
            );
        }
    }
}

enum Incoming {
    Message(pb::SyncResponse),
    Failed(tonic::Status),
    Ended,
    /// The hello did not come in time.
    Silent,
}

async fn next_message(connection: &mut Option<Connection>) -> Incoming {
    let Some(connection) = connection else {
        return pending().await;
    };
    tokio::select! {
        message = connection.incoming.message() => match message {
            Ok(Some(message)) => Incoming::Message(message),
            Ok(None) => Incoming::Ended,
            Err(status) => Incoming::Failed(status),
        },
        () = wait_until(connection.greeting_deadline) => Incoming::Silent,
    }
}

async fn wait_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}

fn lost(fault: Fault) -> Event {
    Event::Lost {
        fault,
        jitter: jitter(),
    }
}

/// A number in 0..1 that differs between sessions; the nanoseconds of the clock are enough.
fn jitter() -> f64 {
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    f64::from(nanoseconds % 1000) / 1000.0
}
