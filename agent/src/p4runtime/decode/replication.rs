//! Multicast groups and clone sessions.

use std::collections::HashSet;

use pointsman_p4::dataplane::BackupReplica;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type;
use pointsman_proto::p4::v1::{self as p4, replica::PortKind};

use super::error::{DecodeError, invalid};
use super::value::port;
use crate::entity::{CloneSession, Entity, MulticastGroup, Operation, PortForm, Replica};
use crate::schema::Schema;

/// The highest multicast group: `mcast_grp` has 16 bits.
const HIGHEST_GROUP: u32 = 0xffff;
/// The highest clone session: programs name it with 15 bits.
const HIGHEST_SESSION: u32 = 0x7fff;
/// The highest instance: `egress_rid` has 16 bits.
const HIGHEST_INSTANCE: u32 = 0xffff;
/// The highest class of service: `priority` has 3 bits.
const HIGHEST_CLASS: u32 = 7;

pub(super) fn entry(
    schema: &Schema,
    operation: Operation,
    entry: &p4::PacketReplicationEngineEntry,
) -> Result<Entity, DecodeError> {
    let keep = operation != Operation::Delete;
    match &entry.r#type {
        Some(Type::MulticastGroupEntry(group)) => {
            let id = group.multicast_group_id;
            let place = format!("multicast group {id}");
            if !(1..=HIGHEST_GROUP).contains(&id) {
                let what = format!("ids are in 1..={HIGHEST_GROUP}");
                return Err(invalid(place, what));
            }
            Ok(Entity::MulticastGroup(MulticastGroup {
                id,
                replicas: if keep {
                    replicas(schema, &place, &group.replicas)?
                } else {
                    Vec::new()
                },
                ports: port_form(&group.replicas),
                metadata: group.metadata.clone(),
            }))
        }
        Some(Type::CloneSessionEntry(session)) => {
            let place = format!("clone session {}", session.session_id);
            if !(1..=HIGHEST_SESSION).contains(&session.session_id) {
                let what = format!("ids are in 1..={HIGHEST_SESSION}");
                return Err(invalid(place, what));
            }
            let mut decoded = CloneSession {
                id: session.session_id,
                replicas: Vec::new(),
                ports: port_form(&session.replicas),
                class_of_service: session.class_of_service,
                packet_length_bytes: 0,
            };
            if keep {
                decoded.replicas = replicas(schema, &place, &session.replicas)?;
                decoded.packet_length_bytes =
                    u32::try_from(session.packet_length_bytes).map_err(|_| {
                        invalid(&place, "packet_length_bytes is negative; 0 does not cut")
                    })?;
                if session.class_of_service > HIGHEST_CLASS {
                    let class = session.class_of_service;
                    let what = format!("class_of_service {class} is not in 0..={HIGHEST_CLASS}");
                    return Err(invalid(place, what));
                }
            }
            Ok(Entity::CloneSession(decoded))
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

fn replicas(
    schema: &Schema,
    place: &str,
    given: &[p4::Replica],
) -> Result<Vec<Replica>, DecodeError> {
    let mut replicas = Vec::with_capacity(given.len());
    let mut seen = HashSet::with_capacity(given.len());
    let mut distinct = |port: u32, instance: u32| {
        if instance > HIGHEST_INSTANCE {
            let what = format!("instance {instance} is not in 0..={HIGHEST_INSTANCE}");
            return Err(invalid(place, what));
        }
        match seen.insert((port, instance)) {
            true => Ok(()),
            false => Err(DecodeError::Duplicate {
                place: place.to_owned(),
                what: format!("port {port} with instance {instance}"),
            }),
        }
    };
    for replica in given {
        let port = match &replica.port_kind {
            Some(PortKind::Port(bytes)) => {
                port(schema, bytes, || format!("{place}, replica port"))?
            }
            #[allow(deprecated)]
            Some(PortKind::EgressPort(number)) => port(schema, &number.to_be_bytes(), || {
                format!("{place}, replica egress_port")
            })?,
            None => {
                return Err(DecodeError::Missing {
                    place: place.to_owned(),
                    what: "the port of a replica",
                });
            }
        };
        distinct(port, replica.instance)?;
        let mut decoded = Replica::new(port, replica.instance);
        for backup in &replica.backup_replicas {
            let instance = backup.instance;
            let port = self::port(schema, &backup.port, || {
                format!("{place}, backup replica port")
            })?;
            if port == decoded.port {
                let what = format!("port {port} cannot be the backup of itself");
                return Err(invalid(place, what));
            }
            distinct(port, instance)?;
            decoded.backups.push(BackupReplica { port, instance });
        }
        replicas.push(decoded);
    }
    Ok(replicas)
}
