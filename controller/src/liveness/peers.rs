//! Beats over the peer port: every node listens to every other one on a stream that it has opened, and beats on those
//! that the others have. A stream that breaks is opened again at once, so that a process which was killed is known to
//! be gone as soon as its host refuses the connection. Nothing is decided here.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::liveness_client::LivenessClient;
use pointsman_proto::pointsman::peer::v1::liveness_server::{self, LivenessServer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{IntervalStream, ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status, Streaming};

use super::core::{BEAT_INTERVAL, Event};
use crate::raft::Store;
use crate::raft::peer_service::MembersOnly;
use crate::state::{BootId, NodeId};

/// How long to wait before a node that could not be reached is dialled again.
const REDIAL: Duration = BEAT_INTERVAL;

/// What beats on streams that other nodes open; for the peer port.
pub type BeatService = InterceptedService<LivenessServer<Beats>, MembersOnly>;

/// A process' beats.
#[derive(Debug, Clone)]
pub struct Beats {
    /// The node.
    pub node: NodeId,
    /// The process.
    pub boot: BootId,
    /// Ends all streams.
    pub cancel: CancellationToken,
}

impl Beats {
    /// The service, for members of the cluster only.
    pub fn service(self, members_only: MembersOnly) -> BeatService {
        InterceptedService::new(LivenessServer::new(self), members_only)
    }
}

#[tonic::async_trait]
impl liveness_server::Liveness for Beats {
    type BeatStream = Pin<Box<dyn Stream<Item = Result<pb::BeatResponse, Status>> + Send>>;

    async fn beat(
        &self,
        _request: Request<Streaming<pb::BeatRequest>>,
    ) -> Result<Response<Self::BeatStream>, Status> {
        let (node, boot_id) = (self.node, self.boot.0);
        let mut ticks = tokio::time::interval(BEAT_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let beats = IntervalStream::new(ticks).enumerate();
        let beats = beats.map(move |(sequence, _)| {
            Ok(pb::BeatResponse {
                node,
                boot_id,
                sequence: sequence as u64,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..pb::BeatResponse::default()
            })
        });
        let beats = beats.take_until(self.cancel.clone().cancelled_owned());
        Ok(Response::new(Box::pin(beats)))
    }
}

/// Listens to a node for good, and reports what it hears.
pub async fn listen(store: Store, node: NodeId, boot: BootId, events: mpsc::Sender<Event>) {
    let mut was_heard = false;
    loop {
        let heard = hear(&store, node, boot, &events).await;
        // A stream that broke may have been the last of that process: dial at once, to find out.
        let is_fresh = std::mem::replace(&mut was_heard, heard.beats > 0);
        if heard.beats == 0 {
            if heard.is_refused {
                store.is_gone(node);
            }
            if heard.is_refused && events.send(Event::Refused { node }).await.is_err() {
                return;
            }
            if !is_fresh || heard.is_refused {
                tokio::time::sleep(REDIAL).await;
            }
        }
        if events.is_closed() {
            return;
        }
    }
}

/// How a stream went.
#[derive(Debug, Default)]
struct Heard {
    beats: u64,
    /// It ended because the host refuses connections.
    is_refused: bool,
}

async fn hear(store: &Store, node: NodeId, boot: BootId, events: &mpsc::Sender<Event>) -> Heard {
    let mut heard = Heard::default();
    let Some(channel) = store.peer_channel(node) else {
        return heard;
    };
    let (introduction, requests) = mpsc::channel(1);
    let hello = pb::BeatRequest {
        node: store.node_id(),
        boot_id: boot.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..pb::BeatRequest::default()
    };
    introduction
        .try_send(hello)
        .expect("a new channel has room");
    let mut client = LivenessClient::new(channel);
    let opened = client.beat(ReceiverStream::new(requests)).await;
    let mut beats = match opened {
        Ok(beats) => beats.into_inner(),
        Err(status) => {
            heard.is_refused = is_refused(&status);
            return heard;
        }
    };
    while let Ok(Some(beat)) = beats.message().await {
        if beat.node != node {
            // Another node has its address.
            return heard;
        }
        heard.beats += 1;
        let boot = BootId(beat.boot_id);
        if events.send(Event::Beat { node, boot }).await.is_err() {
            return heard;
        }
    }
    heard
}

/// Nobody listens there: the process is gone, while its host is well.
fn is_refused(status: &Status) -> bool {
    let chain = std::iter::successors(status.source(), |error| (*error).source());
    let mut causes = chain.filter_map(|error| error.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}
