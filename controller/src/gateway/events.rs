//! Streams as server-sent events: a message is an event with its JSON as data, and with an id where the stream can go on
//! after it. The last event of a stream that fails is called `error`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http::header;
use prost_reflect::DynamicMessage;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::Canonical;
use super::error::HttpError;
use super::resume::Resume;
use crate::raft::Store;
use crate::state::settings::definitions::EVENT_STREAMS;

/// How often a quiet stream says that it is there, so that nobody on the way takes it for dead.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A place among the streams that are served at a time.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes one, if there is one left.
    pub fn take(streams: &Arc<AtomicUsize>, store: &Store) -> Result<Self, HttpError> {
        let limit = store.read(|state| state.settings().get(&EVENT_STREAMS));
        let place = Self(streams.clone());
        let before = streams.fetch_add(1, Ordering::Relaxed);
        match u64::try_from(before).is_ok_and(|before| before < limit) {
            true => Ok(place),
            false => Err(HttpError::too_many_streams(limit)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Events {
    messages: Option<Streaming<DynamicMessage>>,
    resume: Resume,
    drain: CancellationToken,
    _place: Place,
}

/// The response that goes on until the stream ends or the client does.
pub fn response(
    messages: Streaming<DynamicMessage>,
    resume: Resume,
    place: Place,
    drain: CancellationToken,
) -> Response {
    let events = Events {
        messages: Some(messages),
        resume,
        drain,
        _place: place,
    };
    let lines = stream::unfold(events, |mut events| async move {
        let lines = events.next().await?;
        Some((Ok::<_, Infallible>(lines), events))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(lines.boxed())).into_response()
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        let messages = self.messages.as_mut()?;
        let message = tokio::select! {
            message = messages.message() => message,
            () = tokio::time::sleep(ALIVE_INTERVAL) => return Some(":\n\n".to_owned()),
            () = self.drain.cancelled() => return None,
        };
        match message {
            Ok(Some(message)) => Some(self.event(&message)),
            Ok(None) => None,
            Err(status) => {
                self.messages = None;
                Some(format!(
                    "event: error\ndata: {}\n\n",
                    HttpError::from(status).to_json()
                ))
            }
        }
    }

    fn event(&mut self, message: &DynamicMessage) -> String {
        let id = self.resume.id_after(message);
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        match serde_json::to_string(&Canonical(message)) {
            // JSON has no line breaks but in strings, where they are escaped.
            Ok(data) => format!("{id}data: {data}\n\n"),
            Err(error) => {
                self.messages = None;
                format!(
                    "event: error\ndata: {}\n\n",
                    HttpError::unwritable(&error).to_json()
                )
            }
        }
    }
}
