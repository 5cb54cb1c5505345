//! One StreamChannel: what comes is kept until a test asks for it, by kind and in order.

use std::collections::VecDeque;
use std::time::Duration;

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::failure::{Failure, Outcome, show_codes, show_status};

/// Messages that may wait in either direction.
const QUEUE: usize = 1024;

/// An open stream. Dropping it closes it.
pub struct Stream {
    requests: mpsc::Sender<p4::StreamMessageRequest>,
    events: mpsc::Receiver<Result<Event, Status>>,
    kept: VecDeque<Event>,
    end: Option<Status>,
    patience: Duration,
}

impl Stream {
    /// Opens a stream, which a task of `tasks` serves until either side ends it.
    pub fn open(
        mut rpc: P4RuntimeClient<Channel>,
        tasks: &TaskTracker,
        patience: Duration,
    ) -> Stream {
        let (requests, outgoing) = mpsc::channel(QUEUE);
        let (incoming, events) = mpsc::channel(QUEUE);
        tasks.spawn(async move {
            let end = match rpc.stream_channel(ReceiverStream::new(outgoing)).await {
                Err(status) => status,
                Ok(answer) => {
                    let mut messages = answer.into_inner();
                    loop {
                        match messages.message().await {
                            Err(status) => break status,
                            Ok(None) => break Status::ok("the server closed the stream"),
                            Ok(Some(message)) => {
                                let Some(event) = message.update else {
                                    continue;
                                };
                                if incoming.send(Ok(event)).await.is_err() {
                                    return;
                                }
                            }
                        }
                    }
                }
            };
            // Nobody is left to tell if the test has ended.
            let _ = incoming.send(Err(end)).await;
        });
        Stream {
            requests,
            events,
            kept: VecDeque::new(),
            end: None,
            patience,
        }
    }

    /// Sends a message.
    pub async fn send(&self, update: Request) -> Outcome {
        let message = p4::StreamMessageRequest {
            update: Some(update),
        };
        self.requests.send(message).await.map_err(|_| {
            Failure::differs("sending on the stream", "an open stream", "it has ended")
        })
    }

    /// The next message that `pick` takes; others wait for whoever asks for them.
    pub async fn next<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Outcome<T> {
        let mut waiting = std::mem::take(&mut self.kept).into_iter();
        while let Some(event) = waiting.next() {
            if let Some(found) = pick(&event) {
                self.kept.extend(waiting);
                return Ok(found);
            }
            self.kept.push_back(event);
        }
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            match tokio::time::timeout_at(deadline, self.events.recv()).await {
                Err(_) => {
                    let waited = format!("nothing of the kind in {:?}", self.patience);
                    return Err(Failure::differs("the stream", what, waited));
                }
                Ok(Some(Ok(event))) => match pick(&event) {
                    Some(found) => return Ok(found),
                    None => self.kept.push_back(event),
                },
                Ok(Some(Err(status))) => {
                    let seen = format!("its end: {}", show_status(&status));
                    self.end = Some(status);
                    return Err(Failure::differs("the stream", what, seen));
                }
                Ok(None) => return Err(Failure::differs("the stream", what, "its end")),
            }
        }
    }

    /// Whether a message of a kind is there already, without waiting.
    pub fn has(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> bool {
        while let Ok(Ok(event)) = self.events.try_recv() {
            self.kept.push_back(event);
        }
        self.kept.iter().any(&mut wanted)
    }

    /// Waits until the server ends the stream with one of these codes.
    pub async fn ends_with(&mut self, doing: &str, codes: &[Code]) -> Outcome {
        let ended = self
            .next::<()>(&format!("its end with {}", show_codes(codes)), |_| None)
            .await;
        match &self.end {
            Some(status) if codes.contains(&status.code()) => Ok(()),
            Some(status) => Err(Failure::differs(
                doing,
                show_codes(codes),
                show_status(status),
            )),
            None => ended.map_err(|_| {
                Failure::differs(doing, show_codes(codes), "the stream goes on".to_owned())
            }),
        }
    }
}
