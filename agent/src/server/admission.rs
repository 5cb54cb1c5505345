//! On which terms clients are let in, and the files behind those terms.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, AuditError};
use crate::authorization::{Gate, Policy, PolicyError, PolicyFile};
use crate::config::{Serving, Transport};
use crate::limits::Limits;
use crate::reload::{ReloadError, Reloaded, Source};
use crate::tls::{Credentials, TlsError, TlsFiles};

/// How often files are looked at; SIGHUP is quicker.
const LOOK: Duration = Duration::from_secs(2);

/// Why nobody can be let in.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// The files of TLS.
    #[error("tls: {0}")]
    Tls(#[from] ReloadError<TlsError>),
    /// The policy.
    #[error("authorization: {0}")]
    Policy(#[from] ReloadError<PolicyError>),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// The terms.
#[derive(Debug)]
pub struct Admission {
    pub(super) tls: Option<Arc<Reloaded<TlsFiles>>>,
    policy: Option<Arc<Reloaded<PolicyFile>>>,
    audit: Option<Arc<Audit>>,
    pub(super) limits: Limits,
}

impl Admission {
    /// Reads the files that the configuration names.
    pub fn load(serving: &Serving) -> Result<Admission, AdmissionError> {
        let tls = match &serving.transport {
            Transport::Insecure => {
                tracing::warn!(
                    "serving without TLS: everybody who reaches the port is let in, and can be read on the way"
                );
                None
            }
            Transport::Tls(files) => {
                let tls = Reloaded::load(files.clone())?;
                say(&tls.get(), "serving with TLS");
                Some(Arc::new(tls))
            }
        };
        let policy = serving.authorization.clone().map(PolicyFile);
        let policy = policy.map(Reloaded::load).transpose()?.map(Arc::new);
        if let Some(policy) = &policy {
            let rules = policy.get().rules.len();
            tracing::info!(file = %policy.source().0.display(), rules, "authorizing by a policy");
        }
        let audit = serving.audit.clone().map(Audit::start);
        Ok(Admission {
            tls,
            policy,
            audit: audit.transpose()?.map(Arc::new),
            limits: serving.limits.clone(),
        })
    }

    /// Who goes through to the services.
    pub(super) fn gate(&self) -> Gate {
        let tls = self.tls.as_ref().map(|tls| tls.source());
        let needs_identity = tls.is_some_and(|files| files.client_ca.is_some());
        Gate::new(needs_identity, self.policy.clone(), self.audit.clone())
    }

    /// Reads files again when they change, and at once on SIGHUP, until it is cancelled.
    /// Connections that there are stay as they are.
    pub async fn watch(&self, cancel: CancellationToken) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
                () = received(&mut hangup) => tracing::info!("SIGHUP: reading files again"),
            }
            if let Some(tls) = &self.tls {
                refresh(tls, |credentials| say(credentials, "new certificates")).await;
            }
            if let Some(policy) = &self.policy {
                let news =
                    |policy: &Policy| tracing::info!(rules = policy.rules.len(), "new policy");
                refresh(policy, news).await;
            }
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        // It ends with the runtime.
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn refresh<S>(value: &Arc<Reloaded<S>>, news: impl FnOnce(&S::Value))
where
    S: Source + Send + Sync + 'static,
    S::Value: Send + Sync,
    S::Error: Send + 'static,
{
    let reloaded = value.clone();
    match tokio::task::spawn_blocking(move || reloaded.refresh()).await {
        Ok(Ok(true)) => news(&value.get()),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!(%error, "what was read before stays in force"),
        Err(error) => tracing::error!(%error, "files were not read again"),
    }
}

fn say(credentials: &Credentials, what: &str) {
    let certificate = &credentials.certificate;
    tracing::info!(
        subject = certificate.subject,
        not_after = certificate.not_after,
        "{what}"
    );
    if !certificate.is_valid {
        tracing::error!(
            not_after = certificate.not_after,
            "the certificate is not valid now; clients will refuse it"
        );
    }
}
