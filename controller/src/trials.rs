//! Takes changes back that are on trial and that nobody confirms in time.
//!
//! One task on each node. It looks whenever the state changes and when the time of a trial is over, also one that
//! ended while no controller ran. Only the leader's command is taken; the others try again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use crate::raft::{Store, StoreError};
use crate::state::{Command, Response, Trial};

/// After a try that did not work.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs until it is cancelled.
pub async fn run(store: Store, cancel: CancellationToken) {
    let mut changes = store.watch();
    loop {
        changes.mark_unchanged();
        let over = async {
            match store.read(|state| state.trial()) {
                Some(trial) => {
                    tokio::time::sleep(left(trial)).await;
                    trial
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            trial = over => if !take_back(&store, trial).await {
                let _ = cancel.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            },
        }
    }
}

/// How long a trial goes on.
fn left(trial: Trial) -> Duration {
    let until = UNIX_EPOCH + Duration::from_secs(trial.until);
    until.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Says whether the trial is over.
async fn take_back(store: &Store, trial: Trial) -> bool {
    let changes = store.read(|state| match state.trial() == Some(trial) {
        true => state.take_back(trial),
        false => None,
    });
    // Somebody was faster.
    let Some(changes) = changes else { return true };
    match store.submit(Command::Apply(changes)).await {
        Ok(Response::Applied { revision, .. }) => {
            tracing::warn!(
                taken_back = trial.revision.0,
                revision = revision.0,
                "a change on trial was not confirmed in time and is taken back"
            );
            true
        }
        Ok(response) => {
            tracing::warn!(
                revision = trial.revision.0,
                ?response,
                "a change on trial is not taken back"
            );
            false
        }
        // The leader does it.
        Err(StoreError::NotLeader { .. }) => false,
        Err(error) => {
            tracing::warn!(revision = trial.revision.0, %error, "a change on trial is not taken back");
            false
        }
    }
}
