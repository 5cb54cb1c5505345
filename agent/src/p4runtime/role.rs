//! Role configurations as messages: `stratum.P4RoleConfig` in `Role.config`.

use std::collections::BTreeSet;
use std::sync::Arc;

use pointsman_p4::dataplane::Bits;
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::pointsman::agent::v1::StateElection;
use pointsman_proto::stratum;
use prost::Message;
use prost_types::Any;

use super::objects;
use crate::arbitration::{ElectionId, Kept, PacketIns, RoleConfig, RoleConfigError, RoleName};
use crate::schema::Schema;

/// The name of the one message that is taken, after the last slash of its type URL.
const TYPE: &str = "stratum.P4RoleConfig";

/// Reads a configuration, and holds its ids to the loaded pipeline. While there is none they are taken
/// as they are: whoever sets the pipeline has to be primary first.
pub fn role_config(
    message: &Any,
    pipeline: Option<(&P4Info, &Schema)>,
) -> Result<Arc<RoleConfig>, RoleConfigError> {
    if message.type_url.rsplit('/').next() != Some(TYPE) {
        return Err(RoleConfigError::UnknownType {
            type_url: message.type_url.clone(),
        });
    }
    let config = stratum::P4RoleConfig::decode(message.value.as_slice())
        .map_err(|error| RoleConfigError::Malformed(error.to_string()))?;
    let exclusive: BTreeSet<u32> = config.exclusive_p4_ids.iter().copied().collect();
    let shared: BTreeSet<u32> = config.shared_p4_ids.iter().copied().collect();
    if let Some(id) = exclusive.intersection(&shared).next() {
        return Err(RoleConfigError::BothWays { id: *id });
    }
    if let Some((p4info, _)) = pipeline {
        let known: BTreeSet<u32> = objects::objects(p4info).map(|object| object.id).collect();
        if let Some(id) = exclusive.union(&shared).find(|id| !known.contains(id)) {
            return Err(RoleConfigError::UnknownId { id: *id });
        }
    }
    let packet_ins = match (config.receives_packet_ins, config.packet_in_filter) {
        (false, None) => PacketIns::None,
        (false, Some(_)) => return Err(RoleConfigError::FilterWithoutPackets),
        (true, None) => PacketIns::All,
        (true, Some(filter)) => packet_filter(&filter, pipeline.map(|(_, schema)| schema))?,
    };
    Ok(Arc::new(RoleConfig {
        message: message.encode_to_vec().into(),
        exclusive,
        shared,
        packet_ins,
        can_push_pipeline: config.can_push_pipeline,
    }))
}

fn packet_filter(
    filter: &stratum::p4_role_config::PacketFilter,
    schema: Option<&Schema>,
) -> Result<PacketIns, RoleConfigError> {
    let refuse = |what: String| Err(RoleConfigError::Filter(what));
    if filter.value.is_empty() {
        return refuse("its value is empty, which no packet has".to_owned());
    }
    let shortest = Bits::from_be_bytes(&filter.value);
    let value = match schema {
        None => shortest.to_p4runtime(),
        Some(schema) => {
            let fields = schema.packet_in.iter().flat_map(|header| &header.fields);
            let mut shown = fields.filter(|field| !field.padding);
            let id = filter.metadata_id;
            match shown.find(|field| field.id == id) {
                None => return refuse(format!("packet_in has no metadata field with id {id}")),
                Some(field) => match &field.translation {
                    // Any string may come to stand for something.
                    Some(translation) if translation.sdn_width().is_none() => filter.value.clone(),
                    Some(translation) => match translation.to_program(&filter.value) {
                        Ok(_) => shortest.to_p4runtime(),
                        Err(error) => return refuse(format!("{}: {error}", field.name)),
                    },
                    None if shortest.bit_length() > field.width => {
                        let (name, width) = (&field.name, field.width);
                        return refuse(format!(
                            "{shortest} does not fit the {width} bits of {name}"
                        ));
                    }
                    None => shortest.to_p4runtime(),
                },
            }
        }
    };
    Ok(PacketIns::With {
        metadata_id: filter.metadata_id,
        value,
    })
}

/// What is kept of a role, as the journal has it.
pub fn to_saved(kept: Kept) -> StateElection {
    let (high, low) = kept.highest.halves();
    StateElection {
        role: kept.role.0,
        high,
        low,
        role_config: kept
            .config
            .map_or_else(Vec::new, |config| config.message.to_vec()),
    }
}

/// The same, back. A configuration was taken once, so that nothing is wrong with it.
pub fn from_saved(saved: StateElection) -> Kept {
    let message = (!saved.role_config.is_empty()).then(|| Any::decode(&*saved.role_config));
    let config = message.and_then(|message| role_config(&message.ok()?, None).ok());
    Kept {
        role: RoleName(saved.role),
        highest: ElectionId::new(saved.high, saved.low),
        config,
    }
}

/// The message as it came.
pub fn message(config: &RoleConfig) -> Option<Any> {
    Any::decode(&*config.message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use pointsman_p4::programs;

    use crate::switch::{Pipeline, PipelineSource};

    fn pipeline() -> Pipeline {
        let program = programs::embedded("leaf_spine").expect("it is built in");
        Pipeline::read(PipelineSource {
            p4info: pointsman_p4::p4info::parse_p4info(program.p4info).expect("p4info"),
            device_config: program.bmv2_json.as_bytes().to_vec(),
            cookie: None,
            manifest: None,
            configured: true,
        })
        .expect("they fit")
    }

    fn read(config: &stratum::P4RoleConfig) -> Result<Arc<RoleConfig>, RoleConfigError> {
        let pipeline = pipeline();
        let message = Any {
            type_url: "type.googleapis.com/stratum.P4RoleConfig".to_owned(),
            value: config.encode_to_vec(),
        };
        role_config(&message, Some((&pipeline.source.p4info, &pipeline.schema)))
    }

    fn filter(metadata_id: u32, value: &[u8]) -> stratum::P4RoleConfig {
        stratum::P4RoleConfig {
            receives_packet_ins: true,
            packet_in_filter: Some(stratum::p4_role_config::PacketFilter {
                metadata_id,
                value: value.to_vec(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_filter_is_held_to_the_fields_of_packet_in_and_made_canonical() {
        let header = pipeline().schema.packet_in.clone().expect("it has one");
        let port = header.fields.iter().find(|field| field.width == 9);
        let port = port.expect("packets carry their port").id;
        let config = read(&filter(port, &[0, 0, 7])).expect("it is a port");
        let expected = PacketIns::With {
            metadata_id: port,
            value: vec![7],
        };
        assert_eq!(config.packet_ins, expected);
        for bad in [
            filter(port, &[]),
            filter(port, &[0xff, 0xff]),
            filter(4711, &[1]),
            stratum::P4RoleConfig {
                receives_packet_ins: false,
                ..filter(port, &[7])
            },
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_those_of_the_pipeline_and_each_is_exclusive_or_shared() {
        let table = pipeline().schema.tables[0].id;
        let ids = |exclusive: &[u32], shared: &[u32]| {
            read(&stratum::P4RoleConfig {
                exclusive_p4_ids: exclusive.to_vec(),
                shared_p4_ids: shared.to_vec(),
                ..Default::default()
            })
        };
        assert!(ids(&[table], &[]).expect("it is a table").has(table));
        assert_eq!(
            ids(&[table], &[table]),
            Err(RoleConfigError::BothWays { id: table })
        );
        assert_eq!(ids(&[1], &[]), Err(RoleConfigError::UnknownId { id: 1 }));
        let action = pipeline().schema.actions[0].id;
        assert!(ids(&[], &[action]).is_err(), "nothing is written by it");
    }

    #[test]
    fn other_messages_and_bytes_that_are_none_are_refused() {
        let any = |type_url: &str, value: &[u8]| {
            let message = Any {
                type_url: type_url.to_owned(),
                value: value.to_vec(),
            };
            role_config(&message, None)
        };
        assert!(any("type.googleapis.com/stratum.P4RoleConfig", &[]).is_ok());
        assert!(any("stratum.P4RoleConfig", &[]).is_ok());
        assert!(any("type.googleapis.com/google.protobuf.Empty", &[]).is_err());
        assert!(any("type.googleapis.com/stratum.P4RoleConfig", &[0xff]).is_err());
    }

    #[test]
    fn what_is_kept_is_given_back_as_it_came() {
        let config = read(&stratum::P4RoleConfig {
            can_push_pipeline: true,
            ..Default::default()
        });
        let config = config.expect("it is valid");
        let kept = Kept {
            role: RoleName("a".to_owned()),
            highest: ElectionId::new(1, 2),
            config: Some(config.clone()),
        };
        assert_eq!(from_saved(to_saved(kept.clone())), kept);
        let again = config;
        assert_eq!(
            message(&again).expect("an Any").type_url,
            "type.googleapis.com/stratum.P4RoleConfig"
        );
    }
}
