//! Where a stream can go on: the id of an event, and what it means when a client comes back with it.
//!
//! A browser sends the id of the last event that it got as Last-Event-ID. Of streams that are not known here events have no
//! ids, and such a stream begins anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};

use super::error::HttpError;

/// How often the id of a stream with a position for each device is said: it is long.
const POSITIONS_INTERVAL: Duration = Duration::from_secs(1);

/// How far one stream is.
pub enum Resume {
    /// Nowhere: it begins anew.
    Never,
    /// Up to a revision.
    Revision,
    /// Up to a boot and sequence number of each device.
    Positions {
        /// By device.
        at: BTreeMap<String, (String, u64)>,
        /// When they were said last.
        said: Option<Instant>,
    },
}

impl Resume {
    /// How a method goes on.
    pub fn of(method: &MethodDescriptor) -> Self {
        match method.full_name() {
            "pointsman.controller.v1.Kv.Watch" => Resume::Revision,
            "pointsman.controller.v1.Topology.Watch" => Resume::Positions {
                at: BTreeMap::new(),
                said: None,
            },
            _ => Resume::Never,
        }
    }

    /// Asks for what came after the event of this id.
    pub fn go_on(&mut self, request: &mut DynamicMessage, id: &str) -> Result<(), HttpError> {
        let fault = || HttpError::bad_event_id(id);
        match self {
            Resume::Never => {}
            Resume::Revision => {
                let revision = id.parse().map_err(|_| fault())?;
                request.set_field_by_name("after_revision", Value::U64(revision));
            }
            Resume::Positions { at, .. } => {
                let positions = id.split(' ').map(position).collect::<Option<_>>();
                *at = positions.ok_or_else(fault)?;
                let field = request.descriptor().get_field_by_name("known");
                let field = field.ok_or_else(fault)?;
                let kind = field.kind();
                let kind = kind.as_message().ok_or_else(fault)?;
                let known = at.iter().map(|(device, (boot_id, sequence))| {
                    let mut position = DynamicMessage::new(kind.clone());
                    position.set_field_by_name("device", Value::String(device.clone()));
                    position.set_field_by_name("boot_id", Value::String(boot_id.clone()));
                    position.set_field_by_name("sequence", Value::U64(*sequence));
                    Value::Message(position)
                });
                request.set_field(&field, Value::List(known.collect()));
            }
        }
        Ok(())
    }

    /// The id of an event, if a client can go on after it.
    pub fn id_after(&mut self, message: &DynamicMessage) -> Option<String> {
        let text = |name| {
            let value = message.get_field_by_name(name)?;
            value.as_str().map(str::to_owned)
        };
        let number = |name| message.get_field_by_name(name)?.as_u64();
        let flag = |name| message.get_field_by_name(name)?.as_bool();
        match self {
            Resume::Never => None,
            Resume::Revision => number("revision").map(|revision| revision.to_string()),
            Resume::Positions { at, said } => {
                let device = text("device")?;
                if flag("removed")? {
                    at.remove(&device);
                } else if flag("more")? {
                    // Half a snapshot is nothing to go on from.
                    at.remove(&device);
                    return None;
                } else if !device.is_empty() {
                    at.insert(device, (text("boot_id")?, number("sequence")?));
                }
                let now = Instant::now();
                let is_due = said.is_none_or(|said| now.duration_since(said) >= POSITIONS_INTERVAL);
                if !is_due && !flag("complete")? {
                    return None;
                }
                *said = Some(now);
                let positions = at.iter().map(|(device, (boot_id, sequence))| {
                    format!("{}:{boot_id}:{sequence}", escaped(device))
                });
                Some(positions.collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Names of devices may have any character but control characters.
fn escaped(text: &str) -> String {
    let text = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
    text.to_string()
}

fn position(text: &str) -> Option<(String, (String, u64))> {
    let mut parts = text.split(':');
    let device = percent_encoding::percent_decode_str(parts.next()?);
    let device = device.decode_utf8().ok()?.into_owned();
    let boot_id = parts.next()?.to_owned();
    let sequence = parts.next()?.parse().ok()?;
    parts
        .next()
        .is_none()
        .then_some((device, (boot_id, sequence)))
}

#[cfg(test)]
mod tests {
    use super::super::methods::Methods;
    use super::*;

    #[test]
    fn a_stream_of_a_topology_goes_on_at_the_position_of_each_device() {
        let method = Methods::new()
            .find("Topology", "Watch")
            .expect("there is one");
        let mut resume = Resume::of(&method);
        let batch = |device: &str, sequence| {
            let mut batch = DynamicMessage::new(method.output());
            batch.set_field_by_name("device", Value::String(device.to_owned()));
            batch.set_field_by_name("boot_id", Value::String("b1".to_owned()));
            batch.set_field_by_name("sequence", Value::U64(sequence));
            batch
        };
        assert_eq!(
            resume.id_after(&batch("leaf 1", 7)).as_deref(),
            Some("leaf%201:b1:7")
        );
        // The next one comes soon after, and says nothing.
        assert_eq!(resume.id_after(&batch("leaf:2", 9)), None);
        let mut complete = DynamicMessage::new(method.output());
        complete.set_field_by_name("complete", Value::Bool(true));
        let id = resume.id_after(&complete).expect("an id");
        assert_eq!(id, "leaf%201:b1:7 leaf%3A2:b1:9");

        let mut request = DynamicMessage::new(method.input());
        let mut again = Resume::of(&method);
        again.go_on(&mut request, &id).expect("its own id");
        let known = request
            .get_field_by_name("known")
            .expect("there is such a field");
        assert_eq!(known.as_list().map(<[_]>::len), Some(2));
        assert!(again.go_on(&mut request, "leaf1").is_err());
    }

    #[test]
    fn a_stream_of_keys_goes_on_after_a_revision() {
        let method = Methods::new().find("Kv", "Watch").expect("there is one");
        let mut request = DynamicMessage::new(method.input());
        let mut resume = Resume::of(&method);
        resume.go_on(&mut request, "12").expect("a revision");
        let after = request
            .get_field_by_name("after_revision")
            .expect("there is such a field");
        assert_eq!(after.as_u64(), Some(12));
        assert!(resume.go_on(&mut request, "soon").is_err());
    }
}
