//! The part of planning that is about devices: their names, addresses and ids.

use std::collections::{BTreeMap, HashMap};

use super::plan::{DeviceEffect, Summary};
use super::{DeviceChange, DeviceSpec, Rejection, State, Subject};
use crate::objective::is_usable_name;
use crate::status::Reason;

/// What the changes to devices do, and what the devices are then.
pub(super) fn plan_devices(
    state: &State,
    changes: &[DeviceChange],
    summary: &mut Summary,
    rejections: &mut Vec<Rejection>,
) -> (Vec<DeviceEffect>, BTreeMap<String, DeviceSpec>) {
    let mut specs: BTreeMap<_, _> = state
        .devices()
        .iter()
        .map(|(name, device)| (name.clone(), device.spec().clone()))
        .collect();
    let mut effects = Vec::new();
    let mut named = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        let mut reject = |reason, message| {
            rejections.push(Rejection::new(Subject::Device(index), reason, message));
        };
        let name = change.name();
        if let Some(earlier) = named.insert(name.to_owned(), index) {
            reject(
                Reason::BadParameters,
                format!(
                    "device {name:?} is changed twice, by changes {earlier} and {index} of this request; name it once"
                ),
            );
            continue;
        }
        match change {
            DeviceChange::Remove(name) => match specs.remove(name) {
                Some(_) => {
                    summary.devices_removed += 1;
                    effects.push(DeviceEffect::Remove(name.clone()));
                }
                None => reject(Reason::BadParameters, no_such_device(name, &specs)),
            },
            DeviceChange::Put(spec) => {
                if let Err(message) = check_spec(spec) {
                    reject(Reason::BadParameters, message);
                    continue;
                }
                match specs.insert(name.to_owned(), spec.clone()) {
                    Some(known) if known == *spec => {
                        summary.devices_unchanged += 1;
                        continue;
                    }
                    Some(_) => summary.devices_changed += 1,
                    None => summary.devices_created += 1,
                }
                effects.push(DeviceEffect::Put(spec.clone()));
            }
        }
    }
    check_agents_are_distinct(changes, &specs, rejections);
    (effects, specs)
}

fn check_spec(spec: &DeviceSpec) -> Result<(), String> {
    let name = &spec.name;
    if !is_usable_name(name) {
        return Err(format!(
            "{name:?} is not usable as a device name: names have 1 to 255 bytes, without control characters or surrounding blanks"
        ));
    }
    if spec.device_id == 0 {
        return Err(format!(
            "device {name:?} has device id 0; P4Runtime device ids start at 1"
        ));
    }
    let port = spec
        .address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty());
    if port
        .and_then(|(_, port)| port.parse::<u16>().ok())
        .is_none_or(|port| port == 0)
    {
        return Err(format!(
            "device {name:?} has the address {:?}; give host:port of its agent, for example 192.0.2.1:9559",
            spec.address
        ));
    }
    Ok(())
}

/// Two devices on one agent would delete each other's objectives, and a device
/// id that two switches answer to names neither.
fn check_agents_are_distinct(
    changes: &[DeviceChange],
    specs: &BTreeMap<String, DeviceSpec>,
    rejections: &mut Vec<Rejection>,
) {
    let mut by_address: HashMap<&str, &str> = HashMap::new();
    let mut by_id: HashMap<u64, &str> = HashMap::new();
    let changed: HashMap<&str, usize> = changes
        .iter()
        .enumerate()
        .map(|(index, change)| (change.name(), index))
        .collect();
    // Those that the request leaves alone first, so that the refusal is about one that it changes.
    let (new, known): (Vec<_>, Vec<_>) = specs
        .values()
        .partition(|spec| changed.contains_key(spec.name.as_str()));
    for spec in known.into_iter().chain(new) {
        let DeviceSpec {
            name,
            address,
            device_id,
        } = spec;
        let other_at_address = by_address.insert(address, name);
        let other_with_id = by_id.insert(*device_id, name);
        let Some(index) = changed.get(name.as_str()) else {
            continue;
        };
        let message = if let Some(other) = other_at_address {
            format!(
                "devices {other:?} and {name:?} have the same agent address {address}; each device needs an agent of its own"
            )
        } else if let Some(other) = other_with_id {
            format!(
                "devices {other:?} and {name:?} have the same device id {device_id}; give each one of its own"
            )
        } else {
            continue;
        };
        let rejection = Rejection::new(Subject::Device(*index), Reason::Conflict, message);
        let field = if other_at_address.is_some() {
            "address"
        } else {
            "device_id"
        };
        rejections.push(rejection.at(field));
    }
}

/// Says that a device does not exist, and which do.
pub(super) fn no_such_device(name: &str, specs: &BTreeMap<String, DeviceSpec>) -> String {
    let known: Vec<_> = specs.keys().take(10).map(String::as_str).collect();
    match known.as_slice() {
        [] => format!(
            "there is no device {name:?}, nor any other yet; add it with its agent's address first"
        ),
        known => format!(
            "there is no device {name:?}; known devices: {}",
            known.join(", ")
        ),
    }
}
