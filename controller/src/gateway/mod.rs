//! The API over HTTP and JSON, for pages and scripts, on the port that serves gRPC.
//!
//! Nothing is implemented twice: a request becomes a message by its descriptor and goes through the same routes as gRPC,
//! in this process. So every service that is registered is there, also those that are added later.
//!
//! ```text
//! POST /v1/<Service>/<Method>           a request as JSON ─► answer as JSON, or events if the method streams
//! GET  /v1/<Service>/<Method>?field=…   the same for methods that change nothing
//! GET  /v1/devices, /v1/kv/NS/KEY, …    readable names of some of them: see `aliases`
//! GET  /v1                              what there is
//! GET  /metrics                         see `crate::metrics`
//! ```
//!
//! `methods` knows what there is, `fields` reads paths and queries, `call` goes through the routes, `events` writes streams,
//! `error` what went wrong.

mod aliases;
mod call;
mod error;
mod events;
mod fields;
mod methods;
mod resume;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, Method, StatusCode, header};
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::raft::Store;
use crate::state::settings::definitions::MAX_REQUEST_BYTES;
use aliases::Target;
use error::HttpError;
use fields::Fields;
use methods::{Methods, Unary};

/// How long a request may take to come in.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What every request needs.
#[derive(Clone)]
struct Gateway {
    methods: Arc<Methods>,
    /// All gRPC services of this process.
    routes: Routes,
    store: Store,
    drain: CancellationToken,
    streams: Arc<AtomicUsize>,
}

/// The same routes, and beside them the gateway to them and other pages. Streams end with `drain`.
pub fn with_gateway(
    routes: Routes,
    others: Router,
    store: Store,
    drain: CancellationToken,
) -> Routes {
    let routes = routes.prepare();
    let gateway = Gateway {
        methods: Arc::new(Methods::new()),
        routes: routes.clone(),
        store,
        drain,
        streams: Arc::default(),
    };
    let pages = Router::new()
        .route("/v1", any(serve))
        .route("/v1/{*path}", any(serve))
        .with_state(gateway);
    routes.into_axum_router().merge(pages).merge(others).into()
}

async fn serve(State(gateway): State<Gateway>, request: Request) -> Response {
    match gateway.answer(request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

impl Gateway {
    async fn answer(&self, request: Request) -> Result<Response, HttpError> {
        let (head, body) = request.into_parts();
        let path = fields::segments(head.uri.path())?;
        // The first segment is the version.
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        if matches!(path.as_slice(), [] | [""]) && head.method == Method::GET {
            return Ok(json(StatusCode::OK, &self.methods.index()));
        }
        let fields = Fields::parse(head.uri.query().unwrap_or_default())?;
        let Target {
            method,
            body: body_field,
            fields,
        } = self.target(&head.method, &path, fields)?;
        let mut message = DynamicMessage::new(method.input());
        if head.method == Method::POST || body_field.is_some() {
            let body = self.read(body).await?;
            match body_field {
                Some(field) => fields::set_bytes(&mut message, field, body),
                None => message = read_json(&method, &head.headers, &body)?,
            }
        }
        fields.put(&mut message)?;
        if method.is_server_streaming() {
            return self.stream(method, message, &head.headers).await;
        }
        let answer = call::unary(self.routes.clone(), &method, message).await?;
        Ok(json(StatusCode::OK, &Canonical(&answer)))
    }

    /// The method that a request means.
    fn target(&self, verb: &Method, path: &[&str], fields: Fields) -> Result<Target, HttpError> {
        if let Some(target) = aliases::find(&self.methods, verb, path, &fields)? {
            return Ok(target);
        }
        let [service, name] = path else {
            return Err(HttpError::no_such_path(&path.join("/")));
        };
        let method = self.methods.find(service, name)?;
        let is_allowed = match *verb {
            Method::POST => true,
            Method::GET => methods::changes_nothing(&method),
            _ => false,
        };
        match is_allowed {
            true => Ok(Target {
                method,
                body: None,
                fields,
            }),
            false => Err(HttpError::wrong_verb(verb, &method)),
        }
    }

    async fn read(&self, body: Body) -> Result<Vec<u8>, HttpError> {
        let limit = self
            .store
            .read(|state| state.settings().get(&MAX_REQUEST_BYTES))
            .0;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await;
        let body = read.map_err(|_| HttpError::slow_request(BODY_TIMEOUT))?;
        Ok(body
            .map_err(|error| HttpError::unread_request(&error, limit))?
            .into())
    }

    async fn stream(
        &self,
        method: Unary,
        mut message: DynamicMessage,
        headers: &HeaderMap,
    ) -> Result<Response, HttpError> {
        let place = events::Place::take(&self.streams, &self.store)?;
        let mut resume = resume::Resume::of(&method);
        if let Some(id) = headers.get("last-event-id") {
            resume.go_on(&mut message, id.to_str().unwrap_or_default())?;
        }
        let messages = call::streaming(self.routes.clone(), &method, message).await?;
        let drain = self.drain.clone();
        Ok(events::response(messages, resume, place, drain))
    }
}

/// A request as JSON; nothing at all is an empty one.
fn read_json(
    method: &Unary,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<DynamicMessage, HttpError> {
    if body.is_empty() {
        return Ok(DynamicMessage::new(method.input()));
    }
    // A page of another site can send a form without asking first, but not this.
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(HttpError::not_json(kind));
    }
    // Through a value, because numbers come out of it as numbers whatever features serde_json was built with.
    let value: Value = serde_json::from_slice(body).map_err(|error| HttpError::bad_json(&error))?;
    DynamicMessage::deserialize(method.input(), value)
        .map_err(|error| HttpError::bad_message(method, &error))
}

/// A message as the canonical JSON of protocol buffers.
struct Canonical<'a>(&'a DynamicMessage);

impl Serialize for Canonical<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new();
        self.0.serialize_with_options(serializer, &options)
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = match serde_json::to_vec(value) {
        Ok(text) => text,
        Err(error) => return HttpError::unwritable(&error).into_response(),
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, text).into_response()
}
