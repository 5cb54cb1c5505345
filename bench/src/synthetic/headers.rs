//! Ethernet and a chain of headers behind it; each says which of the next three follows.

use serde_json::{Value, json};

use super::field;

/// A header.
pub(super) struct Header {
    pub(super) name: String,
    /// Name and bits.
    pub(super) fields: Vec<(String, usize)>,
}

/// How far ahead the header behind this one can be.
const REACH: usize = 3;

/// Metadata that actions compute with: name and bits.
pub(super) const METADATA: [(&str, usize); 8] = [
    ("small", 3),
    ("port", 9),
    ("vlan", 12),
    ("class", 16),
    ("label", 20),
    ("next_id", 32),
    ("address", 48),
    ("tunnel", 64),
];

/// Ethernet, then headers of changing shapes.
pub(super) fn shapes(count: usize) -> Vec<Header> {
    let ethernet = [("dst", 48), ("src", 48), ("next", 16)];
    let mut headers = vec![Header {
        name: "ethernet".to_owned(),
        fields: ethernet
            .map(|(name, bits)| (name.to_owned(), bits))
            .to_vec(),
    }];
    let widths: [&[usize]; 5] = [
        &[3, 1, 12, 16],
        &[4, 4, 8, 16, 32, 32],
        &[20, 3, 1, 8],
        &[16, 16, 32, 48],
        &[4, 28, 64, 64],
    ];
    headers.extend((0..count).map(|number| {
        let widths = widths[number % widths.len()];
        let fields = widths.iter().enumerate();
        let mut fields: Vec<_> = fields.map(|(i, bits)| (format!("f{i}"), *bits)).collect();
        fields.push(("next".to_owned(), 16));
        Header {
            name: format!("h{number}"),
            fields,
        }
    }));
    headers
}

pub(super) fn types(headers: &[Header]) -> Vec<Value> {
    let standard = [
        ("ingress_port", 9),
        ("egress_spec", 9),
        ("egress_port", 9),
        ("instance_type", 32),
        ("packet_length", 32),
        ("enq_timestamp", 32),
        ("enq_qdepth", 19),
        ("deq_timedelta", 32),
        ("deq_qdepth", 19),
        ("ingress_global_timestamp", 48),
        ("egress_global_timestamp", 48),
        ("mcast_grp", 16),
        ("egress_rid", 16),
        ("checksum_error", 1),
        ("parser_error", 32),
        ("priority", 3),
        ("_padding", 3),
    ];
    let shape = |name: &str, fields: Vec<(&str, usize)>| {
        let fields = fields.iter().map(|(name, bits)| json!([name, bits, false]));
        json!({ "name": name, "fields": fields.collect::<Vec<_>>() })
    };
    let mut types = vec![
        shape("scalars_t", METADATA.to_vec()),
        shape("standard_metadata", standard.to_vec()),
    ];
    types.extend(headers.iter().map(|header| {
        let fields = header
            .fields
            .iter()
            .map(|(name, bits)| (name.as_str(), *bits));
        shape(&format!("{}_t", header.name), fields.collect())
    }));
    numbered(types)
}

pub(super) fn instances(headers: &[Header]) -> Vec<Value> {
    let instance = |name: &str, header_type: &str, metadata: bool| json!({ "name": name, "header_type": header_type, "metadata": metadata, "pi_omit": true });
    let mut instances = vec![
        instance("scalars", "scalars_t", true),
        instance("standard_metadata", "standard_metadata", true),
    ];
    let on_wire = headers.iter();
    instances.extend(on_wire.map(|h| instance(&h.name, &format!("{}_t", h.name), false)));
    numbered(instances)
}

pub(super) fn parser(headers: &[Header]) -> Value {
    let states = headers.iter().enumerate().map(|(number, header)| {
        let name = if number == 0 { "start" } else { &header.name };
        let mut transitions: Vec<Value> = (number + 1..headers.len().min(number + 1 + REACH))
            .map(|next| {
                json!({
                    "type": "hexstr",
                    "value": format!("{:#06x}", next - number),
                    "mask": null,
                    "next_state": headers[next].name,
                })
            })
            .collect();
        transitions
            .push(json!({ "type": "default", "value": null, "mask": null, "next_state": null }));
        json!({
            "name": name,
            "parser_ops": [{
                "op": "extract",
                "parameters": [{ "type": "regular", "value": header.name }],
            }],
            "transitions": transitions,
            "transition_key": [field(&header.name, "next")],
        })
    });
    json!({
        "name": "parser",
        "id": 0,
        "init_state": "start",
        "parse_states": numbered(states.collect()),
    })
}

pub(super) fn deparser(headers: &[Header]) -> Value {
    let order: Vec<&str> = headers.iter().map(|h| h.name.as_str()).collect();
    json!({ "name": "deparser", "id": 0, "order": order, "primitives": [] })
}

/// Of all fields of the second header but its first.
pub(super) fn calculation(headers: &[Header]) -> Value {
    let header = &headers[1];
    let fields = header
        .fields
        .iter()
        .skip(1)
        .filter(|(_, bits)| bits % 8 == 0);
    let input: Vec<Value> = fields.map(|(name, _)| field(&header.name, name)).collect();
    json!({ "name": "calc", "id": 0, "algo": "csum16", "input": input })
}

/// Into Ethernet's source: what it says is not the point.
pub(super) fn checksum(headers: &[Header]) -> Value {
    json!({
        "name": "cksum",
        "id": 0,
        "target": ["ethernet", "src"],
        "type": "generic",
        "calculation": "calc",
        "verify": false,
        "update": true,
        "if_cond": is_valid(&headers[1].name),
    })
}

/// Whether a header is valid.
pub(super) fn is_valid(header: &str) -> Value {
    json!({
        "type": "expression",
        "value": { "op": "d2b", "left": null, "right": field(header, "$valid$") },
    })
}

/// With an `id` each, as p4c counts them.
pub(super) fn numbered(mut values: Vec<Value>) -> Vec<Value> {
    for (id, value) in values.iter_mut().enumerate() {
        value["id"] = json!(id);
    }
    values
}
