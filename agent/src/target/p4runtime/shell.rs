//! The thread of the connection: sockets and the clock around [`super::mastership`].

use std::sync::Arc;
use std::time::Duration;

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Response;
use pointsman_proto::reach::{self, Spoken};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::link::{Connection, Link};
use super::mastership::{Command, Event, Mastership};
use super::notice::Notice;
use crate::arbitration::ElectionId;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// How soon a peer that is gone without a word is noticed. HTTP/2 pings would be more usual, but servers
/// made with gRPC's C++ library take those of an idle client for an attack.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Messages on their way to the server, and from it; more packets than that are dropped.
const QUEUE: usize = 1024;

/// By which the operator says whom to believe.
const CA: &str = "--upstream-ca";

/// What the connection tells the rest of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The server has made us its primary; what it holds has to be looked at.
    Primary,
}

/// Where what the server says goes.
pub(super) struct Heard {
    pub news: mpsc::Sender<News>,
    /// What does not fit is lost.
    pub notices: mpsc::Sender<Notice>,
}

type Message = Result<p4::StreamMessageResponse, Status>;

/// Runs the connection until it is cancelled.
pub(super) async fn run(link: Arc<Link>, heard: Heard, cancel: CancellationToken) {
    let mut shell = Shell {
        mastership: Mastership::new(link.options.election_id),
        link: link.clone(),
        heard,
        started: Instant::now(),
        due: None,
        stream: None,
    };
    shell.carry_out(vec![Command::Connect]).await;
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return,
            () = link.doubted() => Happening::Doubt,
            event = next_event(&mut shell.stream, shell.due) => event,
        };
        if let Some(event) = shell.event(event) {
            shell.take(event).await;
        }
    }
}

enum Happening {
    Message(Option<Message>),
    Due,
    Doubt,
}

async fn next_event(stream: &mut Option<Stream>, due: Option<Instant>) -> Happening {
    let message = async {
        match stream {
            Some(stream) => stream.messages.recv().await,
            None => std::future::pending().await,
        }
    };
    let pause = async {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        message = message => Happening::Message(message),
        () = pause => Happening::Due,
    }
}

struct Shell {
    link: Arc<Link>,
    mastership: Mastership,
    heard: Heard,
    started: Instant,
    due: Option<Instant>,
    stream: Option<Stream>,
}

/// An open stream, and the task that reads it.
struct Stream {
    channel: Channel,
    requests: mpsc::Sender<p4::StreamMessageRequest>,
    messages: mpsc::Receiver<Message>,
    _reader: JoinSet<()>,
}

impl Shell {
    /// What a happening means for mastership, if anything.
    fn event(&mut self, happening: Happening) -> Option<Event> {
        match happening {
            Happening::Due => {
                self.due = None;
                Some(Event::Due)
            }
            Happening::Doubt => self
                .stream
                .as_ref()
                .map(|_| Event::Denied { highest: None }),
            Happening::Message(Some(Ok(message))) => self.message(message.update?),
            Happening::Message(Some(Err(status))) => {
                // Who speaks another protocol finds out only now.
                if std::error::Error::source(&status).is_some() {
                    let why = reach::cause(&status, self.spoken(), CA);
                    self.link.end(format!("cannot be talked to ({why})"));
                }
                tracing::warn!(switch = %self.link.options.address, %status, "the stream is broken");
                self.stream = None;
                match status.code() {
                    Code::InvalidArgument | Code::AlreadyExists => Some(Event::Duplicate),
                    _ => Some(Event::Broken),
                }
            }
            Happening::Message(None) => {
                tracing::warn!(switch = %self.link.options.address, "the switch ended the stream");
                self.stream = None;
                Some(Event::Broken)
            }
        }
    }

    fn message(&mut self, message: Response) -> Option<Event> {
        match message {
            Response::Arbitration(update) => {
                let code = update.status.map_or(0, |status| status.code);
                if code == Code::Ok as i32 {
                    return Some(Event::Granted);
                }
                let highest = update.election_id;
                let highest = highest.map(|id| ElectionId::new(id.high, id.low));
                tracing::warn!(
                    switch = %self.link.options.address,
                    ours = %self.mastership.id,
                    highest = highest.map(|id| id.to_string()),
                    "another client controls the switch; it will be overtaken"
                );
                Some(Event::Denied { highest })
            }
            Response::Packet(packet) => {
                self.link.packet_in(packet);
                None
            }
            Response::Error(error) => {
                tracing::debug!(
                    code = error.canonical_code,
                    message = error.message,
                    "the switch did not take a message"
                );
                None
            }
            Response::Digest(list) => {
                self.notice(self.link.learnt(&list));
                None
            }
            Response::IdleTimeoutNotification(idle) => {
                self.notice(self.link.idle(&idle));
                None
            }
            Response::Other(_) => None,
        }
    }

    fn spoken(&self) -> Spoken {
        match self.link.options.tls {
            Some(_) => Spoken::Tls,
            None => Spoken::Plainly,
        }
    }

    fn notice(&self, notice: Option<Notice>) {
        let Some(notice) = notice else { return };
        if self.heard.notices.try_send(notice).is_err() {
            tracing::debug!("too many notices of the switch wait; one is lost");
        }
    }

    async fn take(&mut self, event: Event) {
        let commands = self.mastership.step(event, self.started.elapsed());
        self.carry_out(commands).await;
    }

    async fn carry_out(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Pause(pause) => self.due = Some(Instant::now() + pause),
                Command::Claim(id) => self.claim(id),
                Command::Begin => self.begin(),
                Command::End => self.link.end("the connection is lost".to_owned()),
                Command::Connect => {
                    let event = match self.connect().await {
                        Ok(stream) => {
                            self.stream = Some(stream);
                            Event::Opened
                        }
                        Err(error) => {
                            let error = reach::cause(&error, self.spoken(), CA);
                            self.link.end(format!("cannot be reached ({error})"));
                            tracing::warn!(switch = %self.link.options.address, error, "not connected");
                            Event::Broken
                        }
                    };
                    // Opening claims, and a failure pauses: neither connects again at once.
                    Box::pin(self.take(event)).await;
                }
            }
        }
    }

    fn claim(&self, id: ElectionId) {
        let Some(stream) = &self.stream else { return };
        let (high, low) = id.halves();
        let claim = p4::MasterArbitrationUpdate {
            device_id: self.link.options.device_id,
            election_id: Some(p4::Uint128 { high, low }),
            ..p4::MasterArbitrationUpdate::default()
        };
        let message = p4::StreamMessageRequest {
            update: Some(Request::Arbitration(claim)),
        };
        if stream.requests.try_send(message).is_err() {
            tracing::warn!("the switch does not read its stream");
        }
    }

    fn begin(&self) {
        let Some(stream) = &self.stream else { return };
        tracing::info!(
            switch = %self.link.options.address, device_id = self.link.options.device_id,
            election_id = %self.mastership.id, "primary of the switch"
        );
        self.link.begin(Connection {
            client: Link::client(stream.channel.clone()),
            requests: stream.requests.clone(),
            election_id: self.mastership.id,
            in_step: false,
        });
        // One that waits already says the same.
        let _ = self.heard.news.try_send(News::Primary);
    }

    async fn connect(&self) -> Result<Stream, tonic::transport::Error> {
        let endpoint = self.link.options.endpoint()?;
        let endpoint = endpoint.connect_timeout(CONNECT);
        let endpoint = endpoint.tcp_nodelay(true).tcp_keepalive(Some(KEEPALIVE));
        let channel = endpoint.connect().await?;
        let (requests, outgoing) = mpsc::channel(QUEUE);
        let (incoming, messages) = mpsc::channel(QUEUE);
        let mut reader = JoinSet::new();
        let mut client = Link::client(channel.clone());
        reader.spawn(async move {
            // Some servers answer only after the first message.
            let stream = client.stream_channel(ReceiverStream::new(outgoing)).await;
            let mut stream = match stream {
                Ok(stream) => stream.into_inner(),
                Err(status) => return forward(&incoming, Err(status)).await,
            };
            loop {
                match stream.message().await {
                    Ok(Some(message)) => forward(&incoming, Ok(message)).await,
                    Ok(None) => return,
                    Err(status) => return forward(&incoming, Err(status)).await,
                }
            }
        });
        Ok(Stream {
            channel,
            requests,
            messages,
            _reader: reader,
        })
    }
}

async fn forward(incoming: &mpsc::Sender<Message>, message: Message) {
    // The shell has let go of the stream if it does not take it.
    let _ = incoming.send(message).await;
}
