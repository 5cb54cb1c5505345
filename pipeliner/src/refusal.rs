//! Why an objective cannot be realised.

use pointsman_model::ObjectiveId;
use pointsman_proto::pointsman::objective::v1::Reason;

/// An answer for the operator: what was refused, why, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind of reason.
    pub reason: Reason,
    /// One sentence.
    pub message: String,
    /// The field of the objective that it is about, as a name or path in its YAML.
    pub field: Option<String>,
    /// The objective that stands in its way.
    pub rival: Option<ObjectiveId>,
}

impl Refusal {
    /// About the objective as a whole.
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            message: message.into(),
            field: None,
            rival: None,
        }
    }

    /// The pipeline lacks it.
    pub(super) fn unsupported(message: impl Into<String>) -> Refusal {
        Refusal::new(Reason::UnsupportedByPipeline, message)
    }

    /// The same, about this field.
    pub(super) fn at(mut self, field: impl Into<String>) -> Refusal {
        self.field.get_or_insert(field.into());
        self
    }
}
