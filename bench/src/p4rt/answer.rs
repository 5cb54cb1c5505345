//! What a server answered to a Write or a Read, and what tests say about it.

use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use prost::Message;
use tonic::{Code, Status};

use super::failure::{Failure, Outcome, code_name, refused, same, show_codes, show_status};

/// The answer to a Write.
#[must_use = "say what the answer has to be"]
#[derive(Debug)]
pub struct Written {
    /// What was asked, for messages.
    pub doing: String,
    /// How many updates there were.
    pub updates: usize,
    /// What came back.
    pub result: Result<(), Status>,
}

impl Written {
    /// Everything was done.
    pub fn ok(self) -> Outcome {
        match &self.result {
            Ok(()) => Ok(()),
            Err(_) => Err(Failure::differs(&self.doing, "OK", self.seen())),
        }
    }

    /// Everything was done, unless the server does not offer it.
    pub fn ok_if_offered(self) -> Outcome {
        self.offered()?.ok()
    }

    /// The answer, unless it is that the server does not offer this.
    pub fn offered(self) -> Outcome<Written> {
        let codes = errors_of(&self.result);
        let unimplemented = match &self.result {
            Err(status) if status.code() == Code::Unimplemented => true,
            _ => codes
                .iter()
                .any(|e| e.canonical_code == Code::Unimplemented as i32),
        };
        if unimplemented {
            return Err(Failure::NotOffered(self.doing));
        }
        Ok(self)
    }

    /// The only update was refused, with one of these codes.
    pub fn refused_with(self, codes: &[Code]) -> Outcome {
        let seen = self.codes()?;
        match seen[..] {
            [code] if codes.contains(&code) => Ok(()),
            _ => Err(Failure::differs(
                &self.doing,
                show_codes(codes),
                self.seen(),
            )),
        }
    }

    /// The only update was refused with this code.
    pub fn refused(self, code: Code) -> Outcome {
        self.refused_with(&[code])
    }

    /// Each update got its code.
    pub fn each(self, codes: &[Code]) -> Outcome {
        let seen = self.codes()?;
        if seen == codes {
            return Ok(());
        }
        let expected: Vec<_> = codes.iter().map(|&code| code_name(code)).collect();
        Err(Failure::differs(
            &self.doing,
            expected.join(", "),
            self.seen(),
        ))
    }

    /// The request as a whole was refused, before any update was tried.
    pub fn rpc_refused(self, codes: &[Code]) -> Outcome {
        let details = self
            .result
            .as_ref()
            .err()
            .map(|status| status.details().is_empty());
        refused(&self.doing, self.result, codes)?;
        same(
            "error details of an RPC-wide error are empty",
            details,
            Some(true),
        )
    }

    /// One error for each update, as the specification demands of a Write that failed.
    pub fn errors(&self) -> Outcome<Vec<p4::Error>> {
        match &self.result {
            Err(status) if status.code() == Code::Unknown => {
                let errors = errors_of(&self.result);
                if errors.len() == self.updates {
                    return Ok(errors);
                }
                Err(Failure::differs(
                    &self.doing,
                    format!("{} p4.Error messages", self.updates),
                    format!("{} in {}", errors.len(), show_status(status)),
                ))
            }
            _ => Err(Failure::differs(
                &self.doing,
                "UNKNOWN with a p4.Error for each update",
                self.seen(),
            )),
        }
    }

    fn codes(&self) -> Outcome<Vec<Code>> {
        let codes = self.errors()?;
        Ok(codes
            .iter()
            .map(|e| Code::from_i32(e.canonical_code))
            .collect())
    }

    fn seen(&self) -> String {
        let errors = errors_of(&self.result);
        match &self.result {
            Ok(()) => "OK".to_owned(),
            Err(status) if errors.is_empty() => show_status(status),
            Err(_) => {
                let errors = errors.iter().map(|error| {
                    let message: String = error.message.chars().take(160).collect();
                    format!(
                        "{} ({message})",
                        code_name(Code::from_i32(error.canonical_code))
                    )
                });
                errors.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// The errors in the details of a status; none if there are none, or something else is in there.
fn errors_of<T>(result: &Result<T, Status>) -> Vec<p4::Error> {
    let Err(status) = result else {
        return Vec::new();
    };
    let details = rpc::Status::decode(status.details()).unwrap_or_default();
    let errors = details.details.iter();
    errors
        .filter_map(|any| p4::Error::decode(any.value.as_slice()).ok())
        .collect()
}

/// The answer to a Read: what came, and how it ended.
#[must_use = "say what the answer has to be"]
#[derive(Debug)]
pub struct Answered {
    /// What was asked, for messages.
    pub doing: String,
    /// What came before the end.
    pub entities: Vec<Entity>,
    /// The end.
    pub end: Result<(), Status>,
}

impl Answered {
    /// All that was asked for.
    pub fn ok(self) -> Outcome<Vec<Entity>> {
        match self.end {
            Ok(()) => Ok(self.entities),
            Err(status) => Err(Failure::differs(self.doing, "OK", show_status(&status))),
        }
    }

    /// The same, unless the server does not offer it.
    pub fn ok_if_offered(self) -> Outcome<Vec<Entity>> {
        let unimplemented = Code::Unimplemented as i32;
        match &self.end {
            Err(status)
                if status.code() == Code::Unimplemented
                    || errors_of(&self.end)
                        .iter()
                        .any(|e| e.canonical_code == unimplemented) =>
            {
                Err(Failure::NotOffered(self.doing))
            }
            _ => self.ok(),
        }
    }

    /// Exactly one entity.
    pub fn one(self) -> Outcome<Entity> {
        let doing = self.doing.clone();
        let mut entities = self.ok()?;
        match entities.len() {
            1 => Ok(entities.remove(0)),
            n => Err(Failure::differs(doing, "one entity", format!("{n}"))),
        }
    }

    /// Exactly one table entry.
    pub fn entry(self) -> Outcome<p4::TableEntry> {
        let doing = self.doing.clone();
        match self.one()? {
            Entity::TableEntry(entry) => Ok(entry),
            other => Err(Failure::differs(
                doing,
                "a TableEntry",
                format!("{other:?}"),
            )),
        }
    }

    /// Table entries and nothing else.
    pub fn entries(self) -> Outcome<Vec<p4::TableEntry>> {
        let doing = self.doing.clone();
        let entries = self.ok()?.into_iter().map(|entity| match entity {
            Entity::TableEntry(entry) => Ok(entry),
            other => Err(Failure::differs(
                &doing,
                "a TableEntry",
                format!("{other:?}"),
            )),
        });
        entries.collect()
    }

    /// Exactly these entities, in any order; fields of keys and parameters may come in any order, too.
    pub fn is<I: IntoIterator<Item = E>, E: Into<Entity>>(self, expected: I) -> Outcome {
        let doing = self.doing.clone();
        let seen = in_order(self.ok()?);
        same(&doing, seen, in_order(expected.into_iter().map(Into::into)))
    }

    /// Nothing.
    pub fn is_nothing(self) -> Outcome {
        self.is::<[Entity; 0], Entity>([])
    }

    /// Refused with an error of one of these codes for the only request, or as a whole.
    pub fn refused_with(self, codes: &[Code]) -> Outcome {
        let errors = errors_of(&self.end);
        if let [error] = &errors[..]
            && codes.contains(&Code::from_i32(error.canonical_code))
        {
            return Ok(());
        }
        refused(&self.doing, self.end, codes)
    }

    /// One error for each request, as of a Write.
    pub fn each(self, codes: &[Code]) -> Outcome {
        let written = Written {
            doing: self.doing,
            updates: codes.len(),
            result: self.end,
        };
        written.each(codes)
    }
}

/// Entities in an order that does not depend on the server's.
fn in_order(entities: impl IntoIterator<Item = Entity>) -> Vec<Entity> {
    let mut entities: Vec<Entity> = entities.into_iter().map(sorted).collect();
    entities.sort_by_key(|entity| format!("{entity:?}"));
    entities
}

fn sorted(mut entity: Entity) -> Entity {
    match &mut entity {
        Entity::TableEntry(entry) => sort_entry(entry),
        Entity::DirectCounterEntry(p4::DirectCounterEntry { table_entry, .. })
        | Entity::DirectMeterEntry(p4::DirectMeterEntry { table_entry, .. }) => {
            table_entry.iter_mut().for_each(sort_entry);
        }
        Entity::ActionProfileMember(member) => {
            member.action.iter_mut().for_each(sort_action);
        }
        Entity::ActionProfileGroup(group) => group.members.sort_by_key(|m| m.member_id),
        Entity::ValueSetEntry(set) => set.members.sort_by_key(|m| format!("{m:?}")),
        _ => {}
    }
    entity
}

fn sort_entry(entry: &mut p4::TableEntry) {
    entry.r#match.sort_by_key(|field| field.field_id);
    match entry.action.as_mut().and_then(|a| a.r#type.as_mut()) {
        Some(p4::table_action::Type::Action(action)) => sort_action(action),
        Some(p4::table_action::Type::ActionProfileActionSet(set)) => {
            set.group_action.iter_mut().for_each(sort_action);
            let actions = set.action_profile_actions.iter_mut();
            actions
                .filter_map(|a| a.action.as_mut())
                .for_each(sort_action);
        }
        _ => {}
    }
}

fn sort_action(action: &mut p4::Action) {
    action.params.sort_by_key(|param| param.param_id);
}
