//! The shell around [`sync::step`] for one device: its connection, its timer,
//! its view of the store. Owned by the supervisor; ends when cancelled.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_model::holdings::Digests;
use pointsman_proto::pointsman::agent::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::sync::{
    self, Beginning, Command, DeviceSync, Event, Fault, MAX_BATCH_CHANGES, MAX_BATCHES_IN_FLIGHT,
};
use super::walk::{self, Difference};
use super::{Device, Shared, wire};
use crate::agents::{AgentError, MAX_ANSWER_BYTES};
use crate::clock::seconds_now;
use crate::encoded::{SyncRequest, sync_objectives};
use crate::state::{
    Command as StoreCommand, DeviceState, Expired, MastershipCommand, Report, Revision, Said,
    State, Term,
};

/// Messages that may wait for the transport. More than can be in flight, so that it is never
/// full; were it full all the same, the session would begin anew.
const OUTGOING_CAPACITY: usize = MAX_BATCHES_IN_FLIGHT * 2;

/// How long an agent may take to answer the hello.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an agent may leave batches or questions without an answer. Large batches take switches a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Objectives that are hashed at a time, so that the store is not kept from being written for long.
const HASHED_AT_A_TIME: usize = 4096;

/// An open stream.
struct Connection {
    outgoing: mpsc::Sender<SyncRequest>,
    incoming: Streaming<pb::SyncResponse>,
    /// Until when the agent must have said hello; `None` once it has.
    greeting_deadline: Option<tokio::time::Instant>,
    /// Until when it must have answered, if it has been sent something.
    answer_deadline: Option<tokio::time::Instant>,
    /// What it was asked last.
    asked: Option<Asked>,
}

/// A question to the agent.
enum Asked {
    Digests,
    Holdings { at: Revision, bits: u32 },
}

struct Session {
    shared: Arc<Shared>,
    device: Arc<Device>,
    sync: DeviceSync,
    /// The term in which the connection was made, or was to be.
    term: Option<Term>,
    connection: Option<Connection>,
    retry_at: Option<tokio::time::Instant>,
    /// When what the agent holds is compared with what is wanted.
    check_at: Option<tokio::time::Instant>,
    /// When the store is told again what has expired.
    expire_at: Option<tokio::time::Instant>,
}

/// Runs until the device's token is cancelled.
pub async fn run(shared: Arc<Shared>, device: Arc<Device>) {
    let cancel = device.cancel.clone();
    let mut session = Session {
        shared,
        device,
        sync: DeviceSync::default(),
        term: None,
        connection: None,
        retry_at: None,
        check_at: None,
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
                () = wait_until(self.check_at) => {
                    self.check_at = None;
                    Event::CheckDue
                }
                () = wait_until(self.expire_at) => {
                    self.expire_at = None;
                    let expired = self.device.with_acknowledged(|known| known.expired());
                    match self.expire(expired).await {
                        Some(event) => event,
                        None => continue,
                    }
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
            for command in sync::step(&mut self.sync, event, Instant::now()) {
                events.extend(self.execute(command).await);
            }
        }
        let is_expected = self.sync.expects_answer();
        if let Some(connection) = &mut self.connection {
            match (is_expected, connection.answer_deadline) {
                (true, None) => {
                    connection.answer_deadline = Some(tokio::time::Instant::now() + ANSWER_TIMEOUT);
                }
                (false, Some(_)) => connection.answer_deadline = None,
                (true, Some(_)) | (false, None) => {}
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
            Command::SendSnapshot => Some(self.send_snapshot()),
            Command::SendTail(after) => Some(self.send_tail(after)),
            Command::SendDifferences(differences, revision) => {
                Some(self.send_differences(&differences, revision))
            }
            Command::AskDigests => {
                let count = self.read(|device| device.objectives().len());
                let bits = Digests::for_objectives(count.unwrap_or_default()).bits();
                self.ask(Asked::Digests, wire::query(bits, vec![]))
            }
            Command::AskHoldings { at, bits, buckets } => {
                self.ask(Asked::Holdings { at, bits }, wire::query(bits, buckets))
            }
            Command::Disconnect => {
                self.connection = None;
                self.check_at = None;
                None
            }
            Command::Renew => {
                self.renew().await;
                None
            }
            Command::Wait(delay) => {
                // What has failed is not tried again on the same connection.
                self.shared.agents.forget(&self.device.spec.address);
                self.retry_at = Some(tokio::time::Instant::now() + delay);
                None
            }
            Command::Expire(expired) => self.expire(expired).await,
            Command::ExpireLater(delay) => {
                self.expire_at = Some(tokio::time::Instant::now() + delay);
                None
            }
            Command::WaitToCheck(delay) => {
                self.check_at = Some(tokio::time::Instant::now() + delay);
                None
            }
            Command::Report(said) => {
                self.report(said);
                None
            }
        }
    }

    /// Tells whoever asks this node, and everybody else through the store.
    fn report(&self, said: Option<Said>) {
        // Of a device that is another's nobody here knows anything.
        let Some(term) = self.term else { return };
        let report = Report {
            spec: self.device.spec.clone(),
            term,
            number: self.shared.reports.next_number(),
            fault: self.sync.fault(),
            said,
        };
        self.device.record(report.clone());
        self.shared.announce();
        self.shared.reports.add(report);
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
        if expired.is_empty() {
            return None;
        }
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
        let hello = self.hello()?;
        let address = &self.device.spec.address;
        let unreachable = |error: AgentError| Fault::Unreachable(error.to_string());
        // It is there already, if this node was a standby.
        let channel = self.shared.agents.channel(address).map_err(unreachable)?;
        let (outgoing, messages) = mpsc::channel(OUTGOING_CAPACITY);
        // Before the call: an agent may answer only once it has read the hello.
        outgoing.try_send(hello).expect("a new channel has room");
        let call = sync_objectives(channel, MAX_ANSWER_BYTES, ReceiverStream::new(messages));
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
            answer_deadline: None,
            asked: None,
        })
    }

    /// The hello for the term this node held when it began to connect.
    fn hello(&self) -> Result<SyncRequest, Fault> {
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

    /// Looks at the device; `None` if it was removed or has moved. Then it is not this switch any more, what is wanted of
    /// it is not for here, and the supervisor is about to end this session.
    fn read<T>(&self, look: impl FnOnce(&DeviceState) -> T) -> Option<T> {
        self.shared.store.read(|state: &State| {
            let device = state.device(&self.device.spec.name);
            device
                .filter(|device| *device.spec() == self.device.spec)
                .map(look)
        })
    }

    /// Puts everything that is wanted on the stream.
    fn send_snapshot(&self) -> Event {
        let Some(tail) = self.read(DeviceState::snapshot) else {
            return Event::Sent(None);
        };
        self.put(wire::batch(&tail, true), tail.revision)
    }

    /// Puts the changes after a revision on the stream.
    fn send_tail(&self, after: Revision) -> Event {
        let tail = self.read(|device| {
            let has_tail = device.has_tail_after(after);
            has_tail.then(|| device.tail_after(after, MAX_BATCH_CHANGES))
        });
        match tail {
            None => Event::Sent(None),
            Some(None) => Event::TailForgotten,
            Some(Some(tail)) if tail.changes.is_empty() => Event::Sent(None),
            Some(Some(tail)) => self.put(wire::batch(&tail, false), tail.revision),
        }
    }

    fn send_differences(&self, differences: &[Difference], revision: Revision) -> Event {
        let batch = self.read(|device| wire::differences(device, differences, revision));
        match batch {
            Some(batch) => self.put(batch, revision),
            None => Event::Sent(None),
        }
    }

    fn put(&self, batch: SyncRequest, revision: Revision) -> Event {
        let device = &self.device.spec.name;
        tracing::debug!(device, revision = revision.0, "sending a batch");
        let is_put = self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.outgoing.try_send(batch).is_ok());
        match is_put {
            true => Event::Sent(Some(revision)),
            false => lost(stream_closed()),
        }
    }

    fn ask(&mut self, asked: Asked, question: SyncRequest) -> Option<Event> {
        let connection = self.connection.as_mut()?;
        connection.asked = Some(asked);
        match connection.outgoing.try_send(question) {
            Ok(()) => None,
            Err(_) => Some(lost(stream_closed())),
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
            Incoming::Stuck => {
                return lost(Fault::Unreachable(format!(
                    "the agent at {} answers nothing since {} s, though its connection is open; look at its log, and restart it",
                    self.device.spec.address,
                    ANSWER_TIMEOUT.as_secs()
                )));
            }
        };
        let Some(connection) = &mut self.connection else {
            return Event::Sent(None);
        };
        connection.answer_deadline = None;
        match (message.message, connection.greeting_deadline) {
            (Some(Message::Hello(hello)), Some(_)) => {
                connection.greeting_deadline = None;
                self.greeted(hello)
            }
            (Some(Message::Acks(acks)), None) => Event::Acked {
                taken: Revision(acks.revision),
                acks: wire::acks(acks.acks),
                batches: acks.batches,
            },
            (Some(Message::Holdings(holdings)), None) => match connection.asked.take() {
                Some(Asked::Digests) => self.compare(holdings),
                Some(Asked::Holdings { at, bits }) => self.list(at, bits, holdings),
                None => lost(Fault::Protocol(
                    "the agent answered a question that nobody asked".to_owned(),
                )),
            },
            _ => lost(Fault::Protocol(
                "the agent's stream must be one hello and then acknowledgements".to_owned(),
            )),
        }
    }

    fn greeted(&self, hello: pb::AgentHello) -> Event {
        let revision = Revision(hello.revision);
        let spec = &self.device.spec;
        let mut statuses = wire::acks(hello.statuses);
        let can_continue = self.shared.store.read(|state| {
            // Of other histories are those of other revisions.
            statuses.retain(|ack| {
                let said = ack.status.as_ref().map(|status| status.revision);
                said == Some(state.revision_of(&spec.name, &ack.key))
            });
            let device = state.device(&spec.name);
            let has_tail = device.is_some_and(|device| device.has_tail_after(revision));
            has_tail && hello.cluster_id == state.cluster().id
        });
        let can_be_asked = hello.answers_queries;
        let beginning = match (can_continue, can_be_asked) {
            (true, _) => Beginning::Tail(revision),
            (false, true) => Beginning::Walk,
            (false, false) => Beginning::Snapshot,
        };
        tracing::info!(
            device = spec.name,
            address = spec.address,
            boot_id = hello.boot_id,
            revision = revision.0,
            ?beginning,
            "the agent is connected"
        );
        Event::AgentGreeted {
            beginning,
            can_be_asked,
            statuses,
        }
    }

    /// Compares the agent's digests with those of what is wanted.
    fn compare(&self, theirs: pb::Holdings) -> Event {
        let bits = theirs.bits;
        let agent = Revision(theirs.revision);
        let Some(theirs) = Digests::from_parts(bits, theirs.digests) else {
            return lost(Fault::Protocol(format!(
                "the agent's digests are not those of {bits} bits that were asked for"
            )));
        };
        let at = self.read(DeviceState::revision).unwrap_or_default();
        let mut ours = Digests::new(bits);
        let mut last = None;
        loop {
            let next = self.read(|device| {
                let after = device.objectives_after(last.as_ref());
                let some = after.take(HASHED_AT_A_TIME);
                walk::add_wanted(&mut ours, some)
            });
            match next.flatten() {
                Some(key) => last = Some(key),
                None => break,
            }
        }
        let is_current = self.read(DeviceState::revision) == Some(at) && agent == at;
        let differing = ours.differing(&theirs);
        if is_current && !differing.is_empty() {
            let device = &self.device.spec.name;
            tracing::warn!(
                device,
                revision = at.0,
                buckets = differing.len(),
                "the agent does not hold what it has acknowledged; it is sent what differs"
            );
        }
        Event::Compared {
            at,
            is_current,
            bits,
            differing,
        }
    }

    /// Finds what differs in the buckets that were asked for.
    fn list(&self, at: Revision, bits: u32, theirs: pb::Holdings) -> Event {
        let held = wire::held(theirs.objectives);
        let found = self.read(|device| walk::differences(device, at, bits, &theirs.buckets, held));
        Event::Listed(found.unwrap_or_default())
    }

    /// The first failure and every new kind of failure; not each retry.
    fn log_loss(&self, fault: &Fault) {
        let spec = &self.device.spec;
        if self.sync.is_news(fault) {
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
    /// An answer did not.
    Stuck,
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
        () = wait_until(connection.answer_deadline) => Incoming::Stuck,
    }
}

fn stream_closed() -> Fault {
    Fault::Unreachable("the stream to the agent is closed".to_owned())
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
