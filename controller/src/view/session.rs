//! The shell around [`device::step`] for one device: its stream and its timer. Owned by the supervisor; ends when
//! cancelled.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::reach;
use tonic::Streaming;

use super::device::{self, Command, Event, Freshness, Position};
use super::{Shared, wire};
use crate::agents::{AgentError, CA, client_on};
use crate::clock::spread;
use crate::dial::Dialer;
use crate::state::DeviceSpec;

/// How long an agent may take to take the request.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

struct Session {
    shared: Arc<Shared>,
    dialer: Dialer,
    spec: DeviceSpec,
    batches: Option<Streaming<pb::InventoryBatch>>,
    retry_at: Option<tokio::time::Instant>,
}

/// Runs until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, dialer: Dialer, spec: DeviceSpec) {
    let mut session = Session {
        shared,
        dialer,
        spec,
        batches: None,
        retry_at: None,
    };
    session.handle(Event::Start).await;
    loop {
        let event = tokio::select! {
            event = next_batch(&mut session.batches) => session.translate(event),
            () = wait_until(session.retry_at) => {
                session.retry_at = None;
                Event::RetryDue
            }
        };
        session.handle(event).await;
    }
}

impl Session {
    /// Feeds an event to the core, does what it says, and feeds back what comes of that.
    async fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for command in self.step(event) {
                match command {
                    Command::Open(known) => {
                        next = Some(match self.open(known).await {
                            Ok(batches) => {
                                self.batches = Some(batches);
                                Event::Opened
                            }
                            Err(error) => Event::Lost(error.to_string()),
                        });
                    }
                    Command::Close => self.batches = None,
                    Command::Wait(delay) => {
                        self.retry_at = Some(tokio::time::Instant::now() + spread(delay));
                    }
                }
            }
        }
    }

    fn step(&self, event: Event) -> Vec<Command> {
        let now = Instant::now();
        self.shared.change(|fabric| {
            let Some(view) = fabric.view_mut(&self.spec) else {
                // The device has gone a moment ago, and this session goes with it.
                return vec![];
            };
            let before = view.generation();
            let commands = device::step(view, event, now);
            if view.generation() != before {
                log(&self.spec, view.freshness());
            }
            commands
        })
    }

    async fn open(
        &self,
        known: Option<Position>,
    ) -> Result<Streaming<pb::InventoryBatch>, AgentError> {
        let address = &self.spec.address;
        let open = async {
            let channel = self.dialer.endpoint(address)?.connect().await;
            let channel = channel.map_err(|error| AgentError::Unreachable {
                address: address.clone(),
                cause: reach::cause(&error, self.dialer.spoken(), CA),
            })?;
            let answer = client_on(channel)
                .watch_inventory(wire::request(known))
                .await;
            let answer = answer.map_err(|status| self.error(&status))?;
            Ok(answer.into_inner())
        };
        let timed_out = |_| AgentError::TimedOut {
            address: address.clone(),
            limit: OPEN_TIMEOUT,
        };
        tokio::time::timeout(OPEN_TIMEOUT, open)
            .await
            .map_err(timed_out)?
    }

    fn error(&self, status: &tonic::Status) -> AgentError {
        AgentError::from_status(&self.spec.address, status, self.dialer.spoken())
    }

    fn translate(&self, batch: Result<Option<pb::InventoryBatch>, tonic::Status>) -> Event {
        match batch {
            Ok(Some(batch)) => match wire::batch(batch) {
                Ok(batch) => Event::Batch(batch),
                Err(error) => Event::Lost(format!("its agent sent what makes no sense: {error}")),
            },
            Ok(None) => Event::Lost("its agent has ended the stream".to_owned()),
            Err(status) => Event::Lost(self.error(&status).to_string()),
        }
    }
}

fn log(spec: &DeviceSpec, freshness: &Freshness) {
    let device = &spec.name;
    match freshness {
        Freshness::Fresh { .. } => tracing::info!(device, "sees the device"),
        Freshness::Loading { reason, .. } => {
            tracing::info!(device, reason, "does not see the device yet");
        }
        Freshness::Stale { reason, .. } => {
            tracing::warn!(device, reason, "the view of the device is stale");
        }
    }
}

async fn next_batch(
    batches: &mut Option<Streaming<pb::InventoryBatch>>,
) -> Result<Option<pb::InventoryBatch>, tonic::Status> {
    match batches {
        Some(batches) => batches.message().await,
        None => pending().await,
    }
}

async fn wait_until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
