//! Pipelines of any size, as p4c would have written them: BMv2 JSON from a few numbers.
//!
//! What a real program of that size would look like to the compiler, not what it would do: a parser that
//! branches, tables of every match kind under conditions on the headers, actions that compute,
//! counters, an egress and a checksum. The same numbers give the same program. Used by tests and by the
//! bench of compile times.

mod controls;
mod headers;

use serde_json::{Value, json};

/// How big a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Tables, an eighth of them in egress.
    pub tables: usize,
    /// Headers behind Ethernet.
    pub headers: usize,
    /// Statements of all actions together.
    pub primitives: usize,
    /// Actions of a table, at least two.
    pub actions: usize,
    /// Entries of a table.
    pub entries: u32,
}

impl Size {
    /// A pipeline with that many tables and what usually comes with them.
    pub fn of(tables: usize) -> Size {
        Size {
            tables,
            headers: (tables / 2).clamp(4, 40),
            primitives: tables * 6,
            actions: 4,
            entries: 64,
        }
    }
}

/// A pipeline's BMv2 JSON.
pub fn bmv2_json(size: Size) -> String {
    let headers = headers::shapes(size.headers);
    let controls = controls::Controls::new(size, &headers);
    let errors = ["NoError", "PacketTooShort", "NoMatch", "StackOutOfBounds"];
    let errors: Vec<Value> = (1..)
        .zip(errors)
        .map(|(code, name)| json!([name, code]))
        .collect();
    let program = json!({
        "header_types": headers::types(&headers),
        "headers": headers::instances(&headers),
        "header_stacks": [],
        "header_union_types": [],
        "header_unions": [],
        "header_union_stacks": [],
        "field_lists": [],
        "errors": errors,
        "enums": [],
        "parsers": [headers::parser(&headers)],
        "parse_vsets": [],
        "deparsers": [headers::deparser(&headers)],
        "meter_arrays": [],
        "counter_arrays": controls.counters,
        "register_arrays": [],
        "calculations": [headers::calculation(&headers)],
        "learn_lists": [],
        "actions": controls.actions,
        "pipelines": controls.pipelines,
        "checksums": [headers::checksum(&headers)],
        "force_arith": [],
        "extern_instances": [],
        "field_aliases": [],
        "program": format!("synthetic_{}.p4", size.tables),
        "__meta__": { "version": [2, 23], "compiler": "none" },
    });
    program.to_string()
}

/// A field.
fn field(header: &str, name: &str) -> Value {
    json!({ "type": "field", "value": [header, name] })
}

/// A number.
fn number(value: usize) -> Value {
    json!({ "type": "hexstr", "value": format!("{value:#x}") })
}

/// An expression with two operands.
fn binary(op: &str, left: Value, right: Value) -> Value {
    json!({ "type": "expression", "value": { "op": op, "left": left, "right": right } })
}

/// An expression as the argument of a primitive.
fn expression(value: Value) -> Value {
    json!({ "type": "expression", "value": value })
}
