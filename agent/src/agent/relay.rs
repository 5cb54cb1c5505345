//! A switch in another process that has come, or come back.

use pointsman_proto::pointsman::objective::v1 as pb;

use super::Agent;
use crate::objectives::Wanted;

impl Agent {
    /// Compares the switch with what is stored, and puts right what differs. Called whenever it has made
    /// us its primary; nobody writes meanwhile.
    pub fn bring_in_step(&self) {
        let mut state = self.exclusive();
        match state.switch.bring_in_step() {
            Ok(()) => {
                // What failed while it was away may be possible now.
                let record = state.change_objectives(|objectives, context, sink| {
                    let unapplied = |wanted: &Wanted| wanted.status.state != pb::State::Applied;
                    objectives.retry(unapplied, context, sink);
                });
                self.objectives_changed(&mut state, record);
            }
            Err(error) => tracing::error!(%error, "the switch does not hold what is stored"),
        }
    }
}
