//! Spoiling updates: each way makes a valid update wrong by itself, and knows the code of it.
//!
//! One way only leaves the update valid: longer byte strings than necessary.

use pointsman_p4::dataplane::Bits;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::FieldMatchType;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use pointsman_proto::p4::v1::table_action::Type as Action;
use pointsman_proto::p4::v1::update::Type;
use tonic::Code;

use crate::fuzz::Random;

/// A number that no port has.
const NO_PORT: u32 = 496;
/// An id that no object has.
const NOTHING: u32 = 0x02ff_fff1;

/// What was done to an update, and the codes of which it has to fail with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoil {
    /// In words.
    pub what: &'static str,
    /// Any of them.
    pub codes: Vec<Code>,
}

/// Makes an update wrong in one way; `None` if this one cannot be made wrong so.
pub fn spoil(update: &mut p4::Update, random: &mut Random) -> Option<Spoil> {
    let operation = update.r#type();
    if random.one_in(12) {
        update.r#type = Type::Unspecified.into();
        return invalid("no update type");
    }
    if random.one_in(20) {
        update.entity = None;
        return invalid("no entity");
    }
    let entity = update.entity.as_mut()?.entity.as_mut()?;
    match entity {
        Entity::TableEntry(entry) if entry.is_default_action => {
            if random.one_in(2) {
                update.r#type = Type::Insert.into();
                return invalid("a default entry that is inserted");
            }
            let action = entry.action.as_mut()?.r#type.as_mut()?;
            spoil_action(action, random)
        }
        Entity::TableEntry(entry) if operation == Type::Delete || random.one_in(2) => {
            spoil_key(entry, random)
        }
        Entity::TableEntry(entry) => spoil_action(entry.action.as_mut()?.r#type.as_mut()?, random),
        Entity::ActionProfileMember(member) => {
            if random.one_in(4) {
                member.action_profile_id = NOTHING;
                return unknown("an unknown action profile");
            }
            match operation {
                Type::Delete => None,
                _ => spoil_call(member.action.as_mut()?, random),
            }
        }
        Entity::ActionProfileGroup(group) => {
            if operation == Type::Delete {
                return None;
            }
            let first = group.members.first_mut()?;
            match random.below(4) {
                0 => {
                    first.weight = 0;
                    invalid("a weight of 0")
                }
                1 => {
                    first.weight = -1;
                    invalid("a negative weight")
                }
                2 => {
                    use p4::action_profile_group::member::WatchKind;
                    first.watch_kind = Some(WatchKind::WatchPort(no_port()));
                    invalid("a watched port that is not there")
                }
                _ => {
                    let twice = first.clone();
                    group.members.push(twice);
                    invalid("a member twice")
                }
            }
        }
        Entity::PacketReplicationEngineEntry(entry) => {
            spoil_replication(entry.r#type.as_mut()?, operation, random)
        }
        Entity::CounterEntry(counter) => match random.below(3) {
            0 => {
                update.r#type = Type::Insert.into();
                invalid("a counter that is inserted")
            }
            _ => spoil_index(counter.index.as_mut()?, random),
        },
        Entity::MeterEntry(meter) => match random.below(3) {
            0 => {
                update.r#type = Type::Delete.into();
                invalid("a meter that is deleted")
            }
            _ => spoil_index(meter.index.as_mut()?, random),
        },
        Entity::RegisterEntry(register) => match random.below(3) {
            0 => {
                let Some(p4::p4_data::Data::Bitstring(bytes)) = &mut register.data.as_mut()?.data
                else {
                    return None;
                };
                *bytes = vec![0xff; 40];
                too_large("a register's value that is too large")
            }
            _ => spoil_index(register.index.as_mut()?, random),
        },
        _ => None,
    }
}

fn invalid(what: &'static str) -> Option<Spoil> {
    codes(what, &[Code::InvalidArgument])
}

fn unknown(what: &'static str) -> Option<Spoil> {
    codes(what, &[Code::InvalidArgument, Code::NotFound])
}

fn too_large(what: &'static str) -> Option<Spoil> {
    codes(what, &[Code::OutOfRange])
}

fn codes(what: &'static str, codes: &[Code]) -> Option<Spoil> {
    Some(Spoil {
        what,
        codes: codes.to_vec(),
    })
}

fn no_port() -> Vec<u8> {
    Bits::from(u64::from(NO_PORT)).to_p4runtime()
}

fn spoil_index(index: &mut p4::Index, random: &mut Random) -> Option<Spoil> {
    match random.one_in(2) {
        true => {
            index.index = -1;
            invalid("a negative index")
        }
        false => {
            index.index = 1 << 33;
            too_large("an index beyond the array")
        }
    }
}

fn spoil_key(entry: &mut p4::TableEntry, random: &mut Random) -> Option<Spoil> {
    let at = random.below(entry.r#match.len());
    match random.below(7) {
        0 => {
            entry.table_id = NOTHING;
            unknown("an unknown table")
        }
        1 => {
            entry.priority = match entry.priority {
                0 => 5,
                _ => 0,
            };
            invalid("a priority where there is none, or none")
        }
        2 => {
            let twice = entry.r#match.get(at)?.clone();
            entry.r#match.push(twice);
            invalid("a field twice")
        }
        3 => {
            entry.r#match.get_mut(at)?.field_id = 77;
            unknown("an unknown field")
        }
        4 => {
            let exact =
                |m: &p4::FieldMatch| matches!(m.field_match_type, Some(FieldMatchType::Exact(_)));
            let at = entry.r#match.iter().position(exact)?;
            entry.r#match.remove(at);
            invalid("an exact field that is missing")
        }
        5 => {
            let value = value_of(entry.r#match.get_mut(at)?)?;
            *value = vec![0xff; 40];
            codes(
                "a value that is too large",
                &[Code::OutOfRange, Code::InvalidArgument],
            )
        }
        _ => {
            let value = value_of(entry.r#match.get_mut(at)?)?;
            value.clear();
            codes("an empty value", &[Code::OutOfRange, Code::InvalidArgument])
        }
    }
}

fn value_of(field: &mut p4::FieldMatch) -> Option<&mut Vec<u8>> {
    match field.field_match_type.as_mut()? {
        FieldMatchType::Exact(m) => Some(&mut m.value),
        FieldMatchType::Lpm(m) => Some(&mut m.value),
        FieldMatchType::Ternary(m) => Some(&mut m.value),
        FieldMatchType::Range(m) => Some(&mut m.high),
        FieldMatchType::Optional(m) => Some(&mut m.value),
        FieldMatchType::Other(_) => None,
    }
}

fn spoil_action(action: &mut Action, random: &mut Random) -> Option<Spoil> {
    match action {
        Action::Action(call) => spoil_call(call, random),
        Action::ActionProfileActionSet(set) => {
            let first = set.action_profile_actions.first_mut()?;
            match random.below(4) {
                0 => {
                    first.weight = 0;
                    invalid("a weight of 0")
                }
                1 => {
                    use p4::action_profile_action::WatchKind;
                    first.watch_kind = Some(WatchKind::WatchPort(no_port()));
                    invalid("a watched port that is not there")
                }
                _ => spoil_call(first.action.as_mut()?, random),
            }
        }
        Action::ActionProfileMemberId(id) | Action::ActionProfileGroupId(id) => {
            *id = NOTHING;
            codes("a member or group that is not there", &[Code::NotFound])
        }
    }
}

fn spoil_call(call: &mut p4::Action, random: &mut Random) -> Option<Spoil> {
    match random.below(5) {
        0 => {
            call.action_id = NOTHING;
            unknown("an unknown action")
        }
        1 => {
            call.params.pop()?;
            invalid("a parameter that is missing")
        }
        2 => {
            let twice = call.params.first()?.clone();
            call.params.push(twice);
            invalid("a parameter twice")
        }
        3 => {
            call.params.first_mut()?.param_id = 77;
            unknown("an unknown parameter")
        }
        _ => {
            call.params.first_mut()?.value = vec![0xff; 40];
            too_large("an argument that is too large")
        }
    }
}

fn spoil_replication(
    entry: &mut Replication,
    operation: Type,
    random: &mut Random,
) -> Option<Spoil> {
    let (id, replicas) = match entry {
        Replication::MulticastGroupEntry(group) => {
            (&mut group.multicast_group_id, &mut group.replicas)
        }
        Replication::CloneSessionEntry(session) => (&mut session.session_id, &mut session.replicas),
    };
    match random.one_in(2) {
        true => {
            *id = 0;
            invalid("the id 0")
        }
        false if operation == Type::Delete => None,
        false => {
            let twice = replicas.first()?.clone();
            replicas.push(twice);
            invalid("a replica twice")
        }
    }
}

/// Writes byte strings with more zeros in front than necessary, which changes nothing.
pub fn pad(update: &mut p4::Update, random: &mut Random) {
    let Some(Entity::TableEntry(entry)) = update.entity.as_mut().and_then(|e| e.entity.as_mut())
    else {
        return;
    };
    for field in &mut entry.r#match {
        if let Some(value) = value_of(field).filter(|_| random.one_in(2)) {
            value.insert(0, 0);
        }
    }
    if let Some(Action::Action(call)) = entry.action.as_mut().and_then(|a| a.r#type.as_mut()) {
        for param in &mut call.params {
            if random.one_in(2) {
                param.value.insert(0, 0);
            }
        }
    }
}
