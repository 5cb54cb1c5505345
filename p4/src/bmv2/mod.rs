//! Reads BMv2 JSON (format 2.x), what stock `p4c --target bmv2` emits, into the typed IR.
//!
//! Every name is resolved and every number checked here, so that nothing later has to doubt a
//! [`Program`]. What Pointsman has no meaning for is refused with the path in the JSON, the name
//! of the construct and the line of P4 that it came from. Older spellings are accepted where
//! their meaning is clear. This module runs nothing and knows nothing of p4info.
//!
//! Called by whoever sets a pipeline, with the bytes of `p4_device_config`.

mod action;
mod control;
mod cursor;
mod entry;
mod error;
mod expr;
mod key;
mod objects;
mod parser;
mod shapes;

use std::collections::HashMap;

use serde_json::Value;

use crate::ir::{ActionId, ControlKind, ErrorCode, Program, StandardMetadata};

pub use error::{Place, Problem, ReadError};

use control::{Context, Controls};
use cursor::{Cursor, Read};
use objects::Names;
use shapes::Shapes;

/// Reads a program.
///
/// # Errors
/// The first thing that is wrong or not supported, with where it stands.
pub fn read(json: impl AsRef<[u8]>) -> Result<Program, ReadError> {
    let value: Value = serde_json::from_slice(json.as_ref()).map_err(|e| ReadError::NotJson {
        line: e.line(),
        column: e.column(),
        message: e.to_string(),
    })?;
    let root = Cursor::root(&value);
    if !value.is_object() {
        return Err(root.wrong("an object"));
    }
    refuse_version(&root)?;
    if let Some(extern_instance) = root.get("extern_instances").items()?.first() {
        let kind = extern_instance.get("type").opt_str()?.unwrap_or("unknown");
        return Err(extern_instance.unsupported(format!("an extern of type {kind:?}")));
    }
    read_program(&root)
}

fn read_program(root: &Cursor) -> Read<Program> {
    let shapes = Shapes::read(root)?;
    let names = Names::read(root)?;
    let mut actions = Vec::new();
    let mut action_ids = HashMap::new();
    for (index, item) in root.get("actions").items()?.iter().enumerate() {
        let number = item.get("id").u32()?;
        if action_ids.insert(number, ActionId(index as u32)).is_some() {
            return Err(item.invalid(format!("the id {number} is used twice")));
        }
        actions.push(action::read(item, &shapes, &names)?);
    }
    let mut calculations = objects::calculations(root, &shapes)?;
    let context = Context {
        shapes: &shapes,
        names: &names,
        actions: &actions,
        action_ids: &action_ids,
    };
    let mut controls = Controls::read(root, &context, &mut calculations)?;
    let table_sizes: Vec<u32> = controls.tables.iter().map(|t| t.size).collect();
    let counters = objects::counters(root, &names, &table_sizes)?;
    control::bind_counters(&mut controls.tables, &counters);
    let meters = objects::meters(root, &shapes, &names, &table_sizes)?;
    let (parser_states, parser_start) = parser::read(root, &shapes, &names)?;
    Ok(Program {
        name: root
            .get("program")
            .opt_str()?
            .unwrap_or_default()
            .to_owned(),
        errors: errors(root)?,
        parser_states,
        parser_start,
        value_sets: objects::value_sets(root)?,
        deparser: parser::deparser(root, &shapes, &names)?,
        ingress: controls.control(ControlKind::Ingress),
        egress: controls.control(ControlKind::Egress),
        counters,
        meters,
        registers: objects::registers(root)?,
        checksums: objects::checksums(root, &shapes, &names)?,
        field_lists: objects::field_lists(root, &shapes)?,
        learn_lists: objects::learn_lists(root, &shapes)?,
        standard: standard_metadata(root, &shapes)?,
        calculations,
        actions,
        tables: controls.tables,
        conditionals: controls.conditionals,
        action_profiles: controls.action_profiles,
        headers: shapes.headers,
        stacks: shapes.stacks,
        unions: shapes.unions,
        union_stacks: shapes.union_stacks,
    })
}

fn refuse_version(root: &Cursor) -> Read<()> {
    let version = root.get("__meta__").get("version");
    if version.is_null() {
        return Ok(());
    }
    match version.at(0).u32()? {
        2 => Ok(()),
        other => Err(version.unsupported(format!("version {other} of the format"))),
    }
}

fn errors(root: &Cursor) -> Read<Vec<ErrorCode>> {
    let items = root.get("errors").items()?;
    items
        .iter()
        .map(|item| {
            Ok(ErrorCode {
                name: item.at(0).str()?.to_owned(),
                code: item.at(1).u32()?,
            })
        })
        .collect()
}

/// Where P4-16 and, by alias, P4-14 programs keep what the switch itself reads and writes.
fn standard_metadata(root: &Cursor, shapes: &Shapes) -> Read<StandardMetadata> {
    let optional = |name: &str| {
        let headers = [
            "standard_metadata",
            "intrinsic_metadata",
            "queueing_metadata",
        ];
        shapes.standard(&headers, name)
    };
    let required = |name: &str| {
        optional(name).ok_or_else(|| {
            root.get("headers")
                .unknown("field", format!("standard_metadata.{name}"))
        })
    };
    let ingress_port = required("ingress_port")?;
    Ok(StandardMetadata {
        header: ingress_port.header,
        ingress_port,
        egress_spec: required("egress_spec")?,
        egress_port: required("egress_port")?,
        packet_length: optional("packet_length"),
        instance_type: optional("instance_type"),
        mcast_grp: optional("mcast_grp"),
        egress_rid: optional("egress_rid"),
        checksum_error: optional("checksum_error"),
        parser_error: optional("parser_error"),
        priority: optional("priority"),
        enq_timestamp: optional("enq_timestamp"),
        enq_qdepth: optional("enq_qdepth"),
        deq_timedelta: optional("deq_timedelta"),
        deq_qdepth: optional("deq_qdepth"),
        ingress_global_timestamp: optional("ingress_global_timestamp"),
        egress_global_timestamp: optional("egress_global_timestamp"),
    })
}
