//! The JSON schema of the YAML format, for editors (draft-07).
//!
//! Made from the tables that the reader follows, so that the two accept the same
//! keys. The committed copy is `model/schema/pointsman.schema.json`.

use serde_json::{Map, Value, json};

use crate::field::{Field, ValueKind};
use crate::objective::{FilterType, ForwardFlag, NextType, Operation};
use crate::read::{
    BUCKET_FIELDS, DEVICE_FIELDS, FILTER_FIELDS, FORWARD_FIELDS, INSTRUCTIONS, NEEDED_OF_DEVICE,
    NEXT_FIELDS, OBJECTIVE_FIELDS, P4, TIMEOUT_FIELDS,
};
use crate::variables;

/// The schema of one document.
pub fn json_schema() -> Value {
    let kinds: Vec<Value> = OBJECTIVE_FIELDS
        .iter()
        .map(|(_, key)| reference(key))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Pointsman model",
        "description": "Flow objectives of one device, or an inventory of devices.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "device": { "type": "string", "description": "The device that the objectives are for." },
            "owner": owner_schema("The application that the objectives belong to which say nothing else."),
            "objectives": { "type": "array", "items": { "oneOf": kinds } },
            "devices": { "type": "array", "items": reference("device") },
            variables::KEY: {
                "type": "object",
                "propertyNames": { "pattern": format!("^{}$", variables::NAME_PATTERN) },
                "description": "Values by name, for all documents that are read together: `$name` in the place of a value, `${name}` also as a part of a text.",
            },
        },
        "dependencies": { "device": ["objectives"], "objectives": ["device"], "owner": ["objectives"] },
        "definitions": {
            "variable": {
                "type": "string",
                "pattern": format!("\\$({0}$|\\{{{0}\\}})", variables::NAME_PATTERN),
                "description": "A variable of `vars:`.",
            },
            "name": name_schema(),
            "port": port_schema(),
            "priority": number("Higher wins; 32768 if it is left out.", 1, 65535),
            "owner": owner_schema("The application that it belongs to."),
            "group": owner_schema("Objectives of one owner and group are applied together or not at all."),
            "timeout": timeout_schema(),
            "selector": with_p4(selector_schema("Criteria that all must match.", |_| true, criterion_schema)),
            "set": selector_schema("Fields to rewrite.", Field::settable, value_schema),
            "treatment": treatment_schema(),
            "bucket": bucket_schema(),
            "device": object(DEVICE_FIELDS, NEEDED_OF_DEVICE, device_field),
            "filter": object(FILTER_FIELDS, &["filter", "key"], objective_field),
            "forward": object(FORWARD_FIELDS, &["forward", "flag"], objective_field),
            "next": object(NEXT_FIELDS, &["next", "type", "buckets"], next_field),
        },
    })
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{definition}") })
}

/// A value, or a variable in its place.
fn or_variable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, reference("variable")] })
}

fn object(fields: &[&str], required: &[&str], schema_of: fn(&str) -> Value) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| ((*field).to_owned(), or_variable(&schema_of(field))))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn number(description: &str, minimum: u64, maximum: u64) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum, "description": description })
}

fn name_schema() -> Value {
    json!({
        "type": ["string", "integer"],
        "pattern": "^[A-Za-z0-9][-A-Za-z0-9_.:/@+]{0,127}$",
        "description": "Unique among the objectives of its kind on the device.",
    })
}

fn owner_schema(description: &str) -> Value {
    json!({
        "type": ["string", "integer"],
        "pattern": "^[A-Za-z0-9][-A-Za-z0-9_.:/@+]{0,127}$",
        "description": description,
    })
}

fn timeout_schema() -> Value {
    let mut timeout = object(TIMEOUT_FIELDS, &[], |field| {
        let counts = match field {
            "idle" => "After no packet has met it for so long.",
            _ => "So long after it was first applied.",
        };
        json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": counts, "examples": ["30s", "5m"] })
    });
    timeout["description"] = json!("When it goes by itself; filters and forwards only.");
    timeout["minProperties"] = json!(1);
    timeout
}

fn port_schema() -> Value {
    json!({
        "description": "A port by its P4 number or by the name that the agent knows it by.",
        "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "minLength": 1 }],
    })
}

fn device_field(field: &str) -> Value {
    match field {
        "device_id" => number("The P4Runtime device id.", 1, u64::MAX),
        "address" => json!({ "type": "string", "description": "host:port of the agent." }),
        "pipeline" => {
            json!({ "type": "string", "description": "The pipeline that it runs, for `pointsman check`: leaf_spine.", "examples": ["leaf_spine"] })
        }
        _ => json!({ "type": "string", "pattern": "^[A-Za-z0-9][-A-Za-z0-9_.]{0,63}$" }),
    }
}

fn objective_field(field: &str) -> Value {
    match field {
        "priority" | "treatment" | "owner" | "group" | "timeout" => reference(field),
        "key" | "conditions" | "selector" | "meta" => reference("selector"),
        "flag" => json!({ "enum": ForwardFlag::WORDS }),
        "type" => json!({ "enum": FilterType::WORDS, "default": "permit" }),
        _ => reference("name"),
    }
}

fn next_field(field: &str) -> Value {
    match field {
        "type" => json!({
            "enum": NextType::WORDS,
            "description": "simple: its one bucket; hashed: one for each flow, by weight; broadcast: a copy for each; \
                            failover: the first whose port is up gets all.",
        }),
        "operation" => json!({ "enum": Operation::WORDS }),
        "buckets" => json!({
            "type": "array",
            "minItems": 1,
            "items": reference("bucket"),
            "description": "The ways of its packets; those of a failover next in the order of preference.",
        }),
        "timeout" => json!({ "not": {}, "description": "A next does not expire." }),
        other => objective_field(other),
    }
}

fn instruction_schema(name: &str) -> Value {
    match name {
        "output" => reference("port"),
        "set" => reference("set"),
        "push_vlan" => number("Adds a tag with this VLAN.", 1, 4094),
        "push_mpls" => number("Adds this label.", 0, (1 << 20) - 1),
        "queue" => number(
            "The queue of the port that it leaves by.",
            0,
            u32::MAX.into(),
        ),
        "count" | "group" => reference("name"),
        "table" => json!({
            "type": "object",
            "additionalProperties": false,
            "description": "An action of the pipeline, in place of the one that its manifest would choose.",
            "properties": {
                "name": { "type": "string", "description": "The table." },
                "action": { "type": "string" },
                "args": { "type": "object", "additionalProperties": { "type": ["integer", "string"] } },
            },
            "required": ["name", "action"],
        }),
        "meter" => {
            let fields = &[
                "committed_rate",
                "committed_burst",
                "peak_rate",
                "peak_burst",
            ];
            object(fields, fields, |field| {
                number(&format!("{field}, in bytes (a second)"), 1, u64::MAX >> 1)
            })
        }
        _ => json!({ "const": true }),
    }
}

fn treatment_schema() -> Value {
    let steps = object(INSTRUCTIONS, &[], instruction_schema);
    json!({
        "description": "What is done to a packet. The steps of a mapping are applied in a fixed order, those of a list as they stand.",
        "oneOf": [
            { "enum": ["drop", "punt", "copy_to_cpu", "pop_vlan", "pop_mpls", "dec_ttl"] },
            steps.clone(),
            { "type": "array", "items": steps },
        ],
    })
}

fn bucket_schema() -> Value {
    let fields = [BUCKET_FIELDS, INSTRUCTIONS].concat();
    object(&fields, &[], |field| match field {
        "weight" => number(
            "Share of the flows of a hashed next; 1 if it is left out.",
            1,
            65535,
        ),
        "next" => reference("name"),
        "treatment" => reference("treatment"),
        instruction => instruction_schema(instruction),
    })
}

fn selector_schema(
    description: &str,
    wanted: fn(Field) -> bool,
    schema_of: fn(Field) -> Value,
) -> Value {
    let properties: Map<String, Value> = Field::all()
        .filter(|field| wanted(*field))
        .map(|field| (field.name().to_owned(), or_variable(&schema_of(field))))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "description": description, "properties": properties })
}

/// Matches on fields of the pipeline, beside the criteria that every pipeline knows.
fn with_p4(mut selector: Value) -> Value {
    let value = json!({ "type": ["integer", "string"] });
    selector["properties"][P4] = json!({
        "type": "object",
        "description": "Match fields of the pipeline: tables, and in each its fields with a value, value/mask or low-high.",
        "additionalProperties": { "type": "object", "additionalProperties": value },
    });
    selector
}

fn criterion_schema(field: Field) -> Value {
    let mut schema = value_schema(field);
    if field.kind() == ValueKind::Vlan {
        schema["oneOf"] =
            json!([{ "type": "integer", "minimum": 1, "maximum": 4094 }, { "const": "untagged" }]);
    }
    schema
}

fn value_schema(field: Field) -> Value {
    match field.kind() {
        ValueKind::Port => reference("port"),
        ValueKind::Mac => {
            json!({ "type": "string", "description": field.doc(), "examples": ["00:00:5e:00:53:01"] })
        }
        ValueKind::Vlan => {
            json!({ "description": field.doc(), "oneOf": [{ "type": "integer", "minimum": 1, "maximum": 4094 }] })
        }
        ValueKind::Ipv4 => {
            json!({ "type": "string", "description": field.doc(), "examples": ["10.0.2.0/24"] })
        }
        ValueKind::Ipv6 => {
            json!({ "type": "string", "description": field.doc(), "examples": ["2001:db8:2::/64"] })
        }
        ValueKind::Flags(..) => {
            json!({ "type": ["integer", "string"], "description": field.doc(), "examples": ["syn", "syn/syn+ack"] })
        }
        ValueKind::Ranged(_) => {
            json!({ "type": ["integer", "string"], "description": field.doc(), "examples": [443, "8000-8100"] })
        }
        ValueKind::Number(_, names) => {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let mut schema =
                json!({ "type": ["integer", "string", "boolean"], "description": field.doc() });
            if !names.is_empty() {
                schema["examples"] = json!(names);
            }
            schema
        }
    }
}
