//! One item of `devices:`.

use crate::model::Device;
use crate::reader::Reader;
use crate::yaml::Node;

pub(crate) const DEVICE_FIELDS: &[&str] = &["name", "address", "device_id", "pipeline"];
/// Those that must be there.
pub(crate) const NEEDED_OF_DEVICE: &[&str] = &["name", "address", "device_id"];

/// Reads one device; `None` when a mistake was reported.
pub(crate) fn read_device(reader: &mut Reader<'_>, node: &Node) -> Option<Device> {
    let entries = reader.map(node, "a device", DEVICE_FIELDS)?;
    let mut field = |key| reader.required(&entries, key, "a device", node.span);
    let (name, address, device_id) = (field("name"), field("address"), field("device_id"));
    let name = name.and_then(|node| read_device_name(reader, node));
    let address = address.and_then(|node| read_address(reader, node));
    let device_id = device_id.and_then(|node| reader.number(node, "device_id", 1..=u64::MAX));
    Some(Device {
        name: name?,
        address: address?,
        device_id: device_id?,
    })
}

/// The pipeline that a device is said to run. It is for whoever checks files, and no part of the device.
pub(crate) fn read_pipeline(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let pipeline = reader.text(node.get("pipeline")?, "the name of a pipeline")?;
    Some(pipeline.to_owned())
}

/// A device's name: like that of a host, so that it fits into paths and metrics.
pub(crate) fn read_device_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "the name of a device")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && text.len() <= 64 && text.chars().all(fits) {
        return Some(text.to_owned());
    }
    let help = "a device's name starts with a letter or digit and goes on with these or - _ ., at most 64 characters";
    reader.error_with_help(
        node.span,
        format!("`{text}` is not a device's name"),
        "not a name",
        help,
    );
    None
}

fn read_address(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "address")?;
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let host_fits = bracketed || (!host.is_empty() && !host.contains([':', '/', ' ']));
        host_fits && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !valid {
        let message = format!("`{text}` is not the address of an agent");
        reader.error_with_help(
            node.span,
            message,
            "not host:port",
            "write host:port, like 192.0.2.11:9559 or [2001:db8::11]:9559",
        );
    }
    valid.then(|| text.to_owned())
}
