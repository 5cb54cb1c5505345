//! What an update refers to, and what refers to what it takes away (`@refers_to`).

use super::{Undo, Writer};
use crate::entity::{Entity, Operation, Update};
use crate::switch::UpdateError;

impl Writer<'_> {
    /// Applies one update and notes its inverse, if all that it refers to is there and nothing refers to
    /// what it deletes.
    pub fn apply(&mut self, update: &Update, undo: &mut Undo) -> Result<(), UpdateError> {
        if self.schema.has_no_references() || keeps_its_action(update) {
            return self.apply_alone(update, undo);
        }
        let claimed = match update.operation {
            Operation::Insert | Operation::Modify => self.schema.refers_to(&update.entity),
            Operation::Delete => Vec::new(),
        };
        let is = match update.operation {
            Operation::Insert | Operation::Delete => self.schema.is_referred_as(&update.entity),
            Operation::Modify => Vec::new(),
        };
        if self.is_restoring {
            // Saved entries come in any order, and were checked when they were written.
            self.references.claim_ahead(&claimed);
        } else if let Err(missing) = self.references.claim(&claimed) {
            return Err(UpdateError::RefersToNothing {
                what: self.schema.describe(&update.entity),
                to: self.schema.describe_reference(&missing),
            });
        }
        if update.operation == Operation::Delete
            && let Err(used) = self.references.vanish(&is)
        {
            return Err(UpdateError::InUse {
                what: self.schema.describe_reference(&used.key),
                users: used.users,
            });
        }
        let mut inverse = Undo::new();
        let result = self.apply_alone(update, &mut inverse);
        match (&result, update.operation) {
            (Ok(()), Operation::Insert) => self.references.appear(&is),
            (Ok(()), Operation::Modify | Operation::Delete) => {
                // The inverse holds what was there.
                let old = inverse.last().map(|old| self.schema.refers_to(&old.entity));
                self.references.release(&old.unwrap_or_default());
            }
            (Err(_), Operation::Delete) => self.references.appear(&is),
            (Err(_), Operation::Insert | Operation::Modify) => self.references.release(&claimed),
        }
        undo.append(inverse);
        result
    }
}

/// Whether an update changes only what refers to nothing.
fn keeps_its_action(update: &Update) -> bool {
    match &update.entity {
        Entity::TableEntry(entry) => {
            update.operation == Operation::Modify && entry.action.is_none()
        }
        Entity::DefaultAction(_) | Entity::Member(_) | Entity::MulticastGroup(_) => false,
        _ => true,
    }
}
