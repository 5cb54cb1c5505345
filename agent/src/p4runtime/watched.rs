//! Watched ports: a member of a group may watch a port that the switch has, and no other (P4Runtime,
//! "Action Profile Group Programming").
//!
//! [`super::write`] asks when a client writes. Nobody asks for what is there already: when a port is
//! removed, or is missing after a restart, its members stay and count as down until it comes back.
//! Objectives name their ports, so they are held to them where they are compiled, and a switch in
//! another process knows its own ports.

use super::decode::DecodeError;
use crate::entity::{Entity, TableAction, Update};
use crate::ports::Ports;
use crate::schema::Schema;

/// Checks that an update of a client watches only ports that there are.
pub fn check(schema: &Schema, ports: &Ports, update: &Update) -> Result<(), DecodeError> {
    let one_shot = |action: &Option<TableAction>| match action {
        Some(TableAction::OneShot(set)) => {
            let watched = set.actions.iter().filter_map(|action| action.watch_port);
            missing(ports, watched)
        }
        _ => None,
    };
    let missing = match &update.entity {
        Entity::Group(group) => missing(ports, group.members.iter().filter_map(|m| m.watch_port)),
        Entity::TableEntry(entry) => one_shot(&entry.action),
        Entity::DefaultAction(default) => one_shot(&default.action),
        _ => None,
    };
    match missing {
        None => Ok(()),
        Some(port) => Err(DecodeError::Invalid {
            place: format!("{}, watch_port", schema.describe(&update.entity)),
            what: format!(
                "there is no port {}; there are {}",
                schema.describe_port(port),
                known(schema, ports)
            ),
        }),
    }
}

fn missing(ports: &Ports, mut watched: impl Iterator<Item = u32>) -> Option<u32> {
    watched.find(|port| *port != ports.cpu_port() && ports.by_number(*port).is_err())
}

/// The ports there are, as controllers see them.
fn known(schema: &Schema, ports: &Ports) -> String {
    let named = ports.iter().map(|port| {
        let number = schema.describe_port(port.number);
        format!("{number} ({})", port.name)
    });
    let cpu_port = schema.describe_port(ports.cpu_port());
    let all: Vec<_> = named.chain([format!("{cpu_port} (CPU)")]).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Group, GroupMember, PortForm};
    use crate::ports::Origin;
    use pointsman_p4::ir::ActionProfileId;

    fn group(watched: &[Option<u32>]) -> Update {
        let members = (1..).zip(watched).map(|(member, &watch_port)| GroupMember {
            member,
            weight: 1,
            watch_port,
        });
        Update::insert(Entity::Group(Group {
            profile: ActionProfileId(0),
            id: 4,
            members: members.collect(),
            max_size: 0,
            ports: PortForm::Bytes,
        }))
    }

    #[test]
    fn a_member_watches_a_port_that_there_is_and_is_told_which_there_are() {
        let mut ports = Ports::new(255);
        let spec = "7=uplink".parse().expect("it is a port");
        ports.add(spec, Origin::Configured).expect("it is free");
        let schema = Schema::default();
        let checked = |watched: &[Option<u32>]| check(&schema, &ports, &group(watched));
        assert_eq!(checked(&[Some(7), None, Some(255)]), Ok(()));
        let refused = checked(&[Some(7), Some(8)]).expect_err("there is no port 8");
        let says = "there is no port 8; there are 7 (uplink), 255 (CPU)";
        assert!(refused.to_string().contains(says), "{refused}");
    }
}
