//! What is logged: by the node's own configuration, or by the setting `log.filter` of the whole cluster, which can be
//! changed while it runs.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::raft::Store;
use crate::state::settings::definitions::LOG_FILTER;

/// The filter of the process. There is one subscriber in it, so there is one filter.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to log to standard error.
///
/// # Errors
/// When the filter is none.
pub fn init(filter: &str) -> Result<(), ParseError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(filter)?);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    // A second call has panicked in `init`, so there is none yet.
    let _ = FILTER.set(handle);
    Ok(())
}

/// Follows the setting, until it is cancelled. `own` counts while nothing is set.
pub async fn follow(store: Store, own: String, cancel: CancellationToken) {
    let mut changes = store.watch();
    let mut current = String::new();
    loop {
        changes.mark_unchanged();
        let wanted = store.read(|state| state.settings().get(&LOG_FILTER).0);
        if wanted != current {
            let filter = if wanted.is_empty() { &own } else { &wanted };
            set(filter);
            current = wanted;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn set(filter: &str) {
    // Where nobody has begun to log, as in tests, there is nothing to change.
    let Some(handle) = FILTER.get() else { return };
    let Ok(parsed) = EnvFilter::try_new(filter) else {
        tracing::warn!(filter, "the log filter is not usable and is not used");
        return;
    };
    match handle.reload(parsed) {
        Ok(()) => tracing::info!(filter, "logs by another filter"),
        Err(error) => tracing::warn!(%error, "the log filter cannot be changed"),
    }
}
