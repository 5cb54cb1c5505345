//! The gate that every request goes through before a byte of it is decoded.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::Status;
use tonic::codegen::http;
use tower::{Layer, Service};

use super::{Caller, Permission, PolicyFile};
use crate::audit::Audit;
use crate::reload::Reloaded;
use crate::server::Peer;

/// Makes services that are asked only by those who may.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Clients have to say who they are (mutual TLS).
    needs_identity: bool,
    policy: Option<Arc<Reloaded<PolicyFile>>>,
    /// Where what those who come change is recorded.
    audit: Option<Arc<Audit>>,
}

impl Gate {
    /// A gate with a policy and a log, if there are.
    pub fn new(
        needs_identity: bool,
        policy: Option<Arc<Reloaded<PolicyFile>>>,
        audit: Option<Arc<Audit>>,
    ) -> Gate {
        Gate {
            needs_identity,
            policy,
            audit,
        }
    }

    /// Who comes, if they may.
    fn admit(&self, peer: Peer, path: &str) -> Result<Caller, Status> {
        if self.needs_identity && peer.identity.is_none() {
            return Err(Status::unauthenticated(
                "this switch asks clients for certificates: show one that its client authority (tls.client_ca) \
                 vouches for and that has a name (URI, DNS name or common name)",
            ));
        }
        let caller = Caller::new(peer, self.policy.clone(), self.audit.clone());
        // Whoever asks for another is told that there is no such method.
        if let Some(permissions) = Permission::of_method(path) {
            caller.may_one(permissions, None)?;
        }
        Ok(caller)
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, service: S) -> Gated<S> {
        Gated {
            gate: self.clone(),
            service,
        }
    }
}

/// A service behind a [`Gate`].
#[derive(Debug, Clone)]
pub struct Gated<S> {
    gate: Gate,
    service: S,
}

impl<S, Q, A> Service<http::Request<Q>> for Gated<S>
where
    S: Service<http::Request<Q>, Response = http::Response<A>>,
    A: Default,
{
    type Response = http::Response<A>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<http::Response<A>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Q>) -> Self::Future {
        let path = request.uri().path();
        let admitted = match request.extensions().get::<Peer>() {
            Some(peer) => self.gate.admit(peer.clone(), path),
            None => Err(Status::internal("the connection does not say who it is")),
        };
        match admitted {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.service.call(request))
            }
            Err(status) => {
                let peer = request.extensions().get::<Peer>();
                tracing::warn!(?peer, path, reason = status.message(), "request refused");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}
