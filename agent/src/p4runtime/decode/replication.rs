//! Multicast groups and clone sessions.

use std::collections::HashSet;

use pointsman_proto::p4::v1::packet_replication_engine_entry::Type;
use pointsman_proto::p4::v1::{self as p4, replica::PortKind};

use super::error::{DecodeError, invalid};
use super::value::port;
use crate::entity::{CloneSession, Entity, MulticastGroup, Operation, PortForm, Replica};

pub(super) fn entry(
    operation: Operation,
    entry: &p4::PacketReplicationEngineEntry,
) -> Result<Entity, DecodeError> {
    let keep = operation != Operation::Delete;
    match &entry.r#type {
        Some(Type::MulticastGroupEntry(group)) => {
            let id = group.multicast_group_id;
            let place = format!("multicast group {id}");
            if id == 0 {
                return Err(invalid(place, "ids start at 1"));
            }
            Ok(Entity::MulticastGroup(MulticastGroup {
                id,
                replicas: if keep {
                    replicas(&place, &group.replicas)?
                } else {
                    Vec::new()
                },
                ports: port_form(&group.replicas),
                metadata: group.metadata.clone(),
            }))
        }
        Some(Type::CloneSessionEntry(session)) => {
            let place = format!("clone session {}", session.session_id);
            if session.session_id == 0 {
                return Err(invalid(place, "ids start at 1"));
            }
            let packet_length_bytes = u32::try_from(session.packet_length_bytes)
                .map_err(|_| invalid(&place, "packet_length_bytes is negative; 0 does not cut"))?;
            Ok(Entity::CloneSession(CloneSession {
                id: session.session_id,
                replicas: if keep {
                    replicas(&place, &session.replicas)?
                } else {
                    Vec::new()
                },
                ports: port_form(&session.replicas),
                class_of_service: session.class_of_service,
                packet_length_bytes,
            }))
        }
        None => Err(DecodeError::Missing {
            place: "packet replication engine entry".to_owned(),
            what: "the multicast group or clone session",
        }),
    }
}

fn port_form(replicas: &[p4::Replica]) -> PortForm {
    #[allow(deprecated)]
    let is_number =
        |replica: &p4::Replica| matches!(replica.port_kind, Some(PortKind::EgressPort(_)));
    match replicas.iter().any(is_number) {
        true => PortForm::Number,
        false => PortForm::Bytes,
    }
}

fn replicas(place: &str, given: &[p4::Replica]) -> Result<Vec<Replica>, DecodeError> {
    let mut replicas = Vec::with_capacity(given.len());
    let mut seen = HashSet::with_capacity(given.len());
    for replica in given {
        if !replica.backup_replicas.is_empty() {
            return Err(DecodeError::Unsupported {
                what: "a replica with backup_replicas",
            });
        }
        let port = match &replica.port_kind {
            Some(PortKind::Port(bytes)) => port(bytes, || format!("{place}, replica port"))?,
            #[allow(deprecated)]
            Some(PortKind::EgressPort(port)) => *port,
            None => {
                return Err(DecodeError::Missing {
                    place: place.to_owned(),
                    what: "the port of a replica",
                });
            }
        };
        let replica = Replica {
            port,
            instance: replica.instance,
        };
        if !seen.insert(replica) {
            return Err(DecodeError::Duplicate {
                place: place.to_owned(),
                what: format!("port {port} with instance {}", replica.instance),
            });
        }
        replicas.push(replica);
    }
    Ok(replicas)
}
