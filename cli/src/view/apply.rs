//! What applying did, or would do.

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use serde::Serialize;

use super::devices::Counts;
use super::objectives::why;
use crate::table::{Cell, Table};
use crate::words;

/// More lines than this hide the rest of the answer.
pub const MOST_SHOWN: usize = 20;

/// The outcome of a request that was not refused.
#[derive(Debug, Serialize)]
pub struct ApplyView {
    pub dry_run: bool,
    pub revision: u64,
    pub elapsed_milliseconds: u64,
    pub objectives: Tally,
    pub devices: Tally,
    /// How the objectives of the request fare, by device.
    pub by_device: BTreeMap<String, Counts>,
    /// Everything that changed.
    pub changes: Vec<ChangeView>,
    /// Everything that is not in the data plane as of the end of the wait.
    pub unapplied: Vec<UnappliedView>,
}

/// How much changed.
#[derive(Debug, Serialize)]
pub struct Tally {
    pub created: u32,
    pub changed: u32,
    pub unchanged: u32,
    pub deleted: u32,
}

/// One objective that changed.
#[derive(Debug, Serialize)]
pub struct ChangeView {
    pub device: String,
    pub kind: &'static str,
    pub name: String,
    pub effect: &'static str,
}

/// One objective that is not applied.
#[derive(Debug, Serialize)]
pub struct UnappliedView {
    pub device: String,
    pub kind: &'static str,
    pub name: String,
    pub state: &'static str,
    pub reason: &'static str,
    pub message: String,
    #[serde(skip)]
    style: anstyle::Style,
}

/// An objective that a request names.
#[derive(Debug, Clone)]
pub struct Subject {
    pub device: String,
    pub kind: &'static str,
    pub name: String,
}

impl ApplyView {
    /// Takes the answer to a request that named these objectives, in order.
    pub fn new(
        subjects: &[Subject],
        answer: pb::ApplyResponse,
        elapsed: Duration,
        dry_run: bool,
    ) -> Self {
        let effects = subjects.iter().zip(answer.effects());
        let mut changes: Vec<_> = effects
            .filter_map(|(subject, effect)| {
                let effect = effect_word(effect)?;
                let Subject { device, kind, name } = subject.clone();
                Some(ChangeView {
                    device,
                    kind,
                    name,
                    effect,
                })
            })
            .collect();
        changes.extend(answer.pruned.iter().map(|pruned| ChangeView {
            device: pruned.device.clone(),
            kind: words::kind(pruned.kind()),
            name: pruned.name.clone(),
            effect: "deleted",
        }));
        let mut by_device: BTreeMap<String, Counts> = BTreeMap::new();
        let mut unapplied = Vec::new();
        for (subject, status) in subjects.iter().zip(answer.statuses) {
            let counts = by_device.entry(subject.device.clone()).or_default();
            match status.state() {
                objective_pb::State::Applied => {
                    counts.applied += 1;
                    continue;
                }
                objective_pb::State::Failed => counts.failed += 1,
                objective_pb::State::Pending | objective_pb::State::Unspecified => {
                    counts.pending += 1;
                }
            }
            let Subject { device, kind, name } = subject.clone();
            let (state, style) = words::state(&status);
            unapplied.push(UnappliedView {
                device,
                kind,
                name,
                state,
                style,
                reason: words::reason(status.reason()),
                message: status.message,
            });
        }
        Self {
            dry_run,
            revision: answer.revision,
            elapsed_milliseconds: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            objectives: Tally {
                created: answer.created,
                changed: answer.changed,
                unchanged: answer.unchanged,
                deleted: answer.deleted,
            },
            devices: Tally {
                created: answer.devices_created,
                changed: answer.devices_changed,
                unchanged: answer.devices_unchanged,
                deleted: answer.devices_removed,
            },
            by_device,
            changes,
            unapplied,
        }
    }

    /// The outcome for people.
    pub fn text(&self, is_coloured: bool) -> String {
        let mut text = if self.dry_run {
            self.changes_table().render(is_coloured)
        } else {
            let statuses = self.by_device_table().render(is_coloured);
            statuses + &self.unapplied_table().render(is_coloured)
        };
        let head = if self.dry_run { "would apply " } else { "" };
        for (noun, tally) in [("device", &self.devices), ("objective", &self.objectives)] {
            if let Some(line) = tally.line(noun) {
                text += &format!("{head}{line}\n");
            }
        }
        if self.dry_run {
            text += "nothing was changed (dry run)\n";
        } else {
            let seconds = Duration::from_millis(self.elapsed_milliseconds).as_secs_f64();
            text += &format!("revision {} after {seconds:.2} s\n", self.revision);
        }
        text
    }

    fn by_device_table(&self) -> Table {
        let mut table = Table::new(["DEVICE", "APPLIED", "PENDING", "FAILED"]);
        for (device, counts) in &self.by_device {
            let number = |count: u32, style| match count {
                0 => Cell::number(0),
                count => Cell::styled_number(count, style),
            };
            table.row([
                device.as_str().into(),
                number(counts.applied, words::GOOD),
                number(counts.pending, words::WAITING),
                number(counts.failed, words::BAD),
            ]);
        }
        table
    }

    fn unapplied_table(&self) -> Table {
        let mut table = Table::new(["DEVICE", "OBJECTIVE", "STATE", "WHY"]);
        for objective in self.unapplied.iter().take(MOST_SHOWN) {
            table.row([
                objective.device.as_str().into(),
                format!("{}/{}", objective.kind, objective.name).into(),
                Cell::styled(objective.state, objective.style),
                why(objective.reason, &objective.message).into(),
            ]);
        }
        let more = self.unapplied.len().saturating_sub(MOST_SHOWN);
        table.and_more(more, "pointsman get objectives");
        table
    }

    fn changes_table(&self) -> Table {
        let mut table = Table::new(["DEVICE", "OBJECTIVE", "EFFECT"]);
        for change in &self.changes {
            table.row([
                change.device.as_str().into(),
                format!("{}/{}", change.kind, change.name).into(),
                change.effect.into(),
            ]);
        }
        table
    }
}

impl Tally {
    /// `3 objectives: 1 created, 2 changed`; nothing if there are none.
    pub fn line(&self, noun: &str) -> Option<String> {
        let parts = [
            (self.created, "created"),
            (self.changed, "changed"),
            (self.unchanged, "unchanged"),
            (self.deleted, "deleted"),
        ];
        let total: u32 = parts.iter().map(|(count, _)| count).sum();
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        (total > 0).then(|| format!("{}: {}", words::count(total, noun), parts.join(", ")))
    }
}

fn effect_word(effect: pb::Effect) -> Option<&'static str> {
    match effect {
        pb::Effect::Created => Some("created"),
        pb::Effect::Changed => Some("changed"),
        pb::Effect::Deleted => Some("deleted"),
        pb::Effect::Unchanged | pb::Effect::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use objective_pb::{Reason, State};

    use super::*;

    fn subjects() -> Vec<Subject> {
        [
            ("leaf1", "next", "spines"),
            ("leaf1", "forward", "rack2"),
            ("leaf2", "next", "spines"),
        ]
        .map(|(device, kind, name)| Subject {
            device: device.into(),
            kind,
            name: name.into(),
        })
        .to_vec()
    }

    fn status(state: State, reason: Reason, message: &str) -> objective_pb::Status {
        let (state, reason) = (state.into(), reason.into());
        objective_pb::Status {
            state,
            reason,
            message: message.into(),
            revision: 1,
            ..objective_pb::Status::default()
        }
    }

    fn answer() -> pb::ApplyResponse {
        let effects = [
            pb::Effect::Created,
            pb::Effect::Created,
            pb::Effect::Unchanged,
        ];
        pb::ApplyResponse {
            statuses: vec![
                status(State::Applied, Reason::Unspecified, ""),
                status(
                    State::Failed,
                    Reason::TableFull,
                    "routing_v4 holds 1024 entries",
                ),
                status(
                    State::Pending,
                    Reason::DeviceUnreachable,
                    "no agent answers",
                ),
            ],
            revision: 27,
            created: 2,
            unchanged: 1,
            deleted: 1,
            devices_created: 2,
            effects: effects.map(i32::from).to_vec(),
            pruned: vec![pb::PrunedObjective {
                device: "leaf1".into(),
                kind: objective_pb::Kind::Filter.into(),
                name: "old".into(),
            }],
            ..Default::default()
        }
    }

    #[test]
    fn what_was_applied_is_counted_and_what_was_not_says_why() {
        let view = ApplyView::new(&subjects(), answer(), Duration::from_millis(120), false);
        expect![[r#"
            DEVICE  APPLIED  PENDING  FAILED
            leaf1         1        0       1
            leaf2         0        1       0
            DEVICE  OBJECTIVE      STATE     WHY
            leaf1   forward/rack2  failed    table full: routing_v4 holds 1024 entries
            leaf2   next/spines    accepted  device unreachable: no agent answers
            2 devices: 2 created
            4 objectives: 2 created, 1 unchanged, 1 deleted
            revision 27 after 0.12 s
        "#]]
        .assert_eq(&view.text(false));
    }

    #[test]
    fn a_thousand_failures_do_not_hide_the_summary() {
        let subject = subjects()[0].clone();
        let failed = status(State::Failed, Reason::TableFull, "");
        let answer = pb::ApplyResponse {
            statuses: vec![failed; 1000],
            ..Default::default()
        };
        let view = ApplyView::new(&vec![subject; 1000], answer, Duration::ZERO, false);
        let text = view.text(false);
        assert!(
            text.contains("and 980 more: pointsman get objectives"),
            "{text}"
        );
        assert!(text.lines().count() < 30, "{text}");
    }

    #[test]
    fn a_dry_run_lists_what_would_change() {
        let dry = pb::ApplyResponse {
            statuses: vec![],
            ..answer()
        };
        let view = ApplyView::new(&subjects(), dry, Duration::ZERO, true);
        expect![[r#"
            DEVICE  OBJECTIVE      EFFECT
            leaf1   next/spines    created
            leaf1   forward/rack2  created
            leaf1   filter/old     deleted
            would apply 2 devices: 2 created
            would apply 4 objectives: 2 created, 1 unchanged, 1 deleted
            nothing was changed (dry run)
        "#]]
        .assert_eq(&view.text(false));
    }
}
