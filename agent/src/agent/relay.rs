//! A switch in another process: what has to be done when it has come, or come back, and what it notices.

use std::sync::Arc;

use pointsman_p4::dataplane::EntryKey;
use pointsman_proto::pointsman::objective::v1 as pb;

use super::Agent;
use crate::objectives::Wanted;
use crate::schema::Schema;
use crate::target::p4runtime::{Front, Listed};
use crate::target::relay::Differences;

impl Front for Agent {
    /// Compares the switch with what is stored, and puts right what differs. Nobody writes meanwhile.
    fn bring_in_step(&self) {
        let mut state = self.exclusive();
        match state.switch.bring_in_step(Differences::AsConfigured) {
            Ok(compared) => {
                state.look_beneath(compared);
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

    fn learnt(&self, listed: Listed) {
        self.pass_on(listed);
    }

    fn idle(&self, schema: &Arc<Schema>, keys: &[EntryKey]) {
        self.report_idle_elsewhere(schema, keys);
    }
}
