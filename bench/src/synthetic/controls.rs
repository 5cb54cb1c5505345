//! Ingress and egress: tables one behind the other, every other one under a condition.

use serde_json::{Value, json};

use super::headers::{Header, METADATA, is_valid, numbered};
use super::{Size, binary, expression, field, number};

/// The controls of a pipeline.
pub(super) struct Controls {
    pub(super) actions: Vec<Value>,
    pub(super) counters: Vec<Value>,
    pub(super) pipelines: Vec<Value>,
}

/// A place that a statement reads or writes: header, field, bits.
type Place<'h> = (&'h str, &'h str, usize);

/// Each table has a condition before it, or leads to two places by its result, or counts.
const SHAPES: usize = 4;

impl Controls {
    pub(super) fn new(size: Size, headers: &[Header]) -> Controls {
        let mut maker = Maker {
            size,
            headers,
            controls: Controls {
                actions: Vec::new(),
                counters: Vec::new(),
                pipelines: Vec::new(),
            },
        };
        let in_egress = size.tables / 8;
        let ingress = maker.pipeline("ingress", 0..size.tables - in_egress);
        let egress = maker.pipeline("egress", size.tables - in_egress..size.tables);
        let mut controls = maker.controls;
        controls.pipelines = numbered(vec![ingress, egress]);
        controls.actions = numbered(controls.actions);
        controls.counters = numbered(controls.counters);
        controls
    }
}

struct Maker<'h> {
    size: Size,
    headers: &'h [Header],
    controls: Controls,
}

impl<'h> Maker<'h> {
    fn pipeline(&mut self, name: &str, tables: std::ops::Range<usize>) -> Value {
        let last = tables.end;
        let entry = |table: usize| match table {
            _ if table >= last => Value::Null,
            _ if table.is_multiple_of(SHAPES) => json!(format!("node_{table}")),
            _ => json!(format!("table_{table}")),
        };
        let mut all_tables = Vec::new();
        let mut conditionals = Vec::new();
        for table in tables.clone() {
            if table.is_multiple_of(SHAPES) {
                conditionals.push(json!({
                    "name": format!("node_{table}"),
                    "expression": is_valid(&self.headers[table % self.headers.len()].name),
                    "true_next": format!("table_{table}"),
                    "false_next": entry(table + 1),
                }));
            }
            all_tables.push(self.table(name, table, entry(table + 1), entry(table + 2)));
        }
        json!({
            "name": name,
            "init_table": entry(tables.start),
            "tables": numbered(all_tables),
            "action_profiles": [],
            "conditionals": numbered(conditionals),
        })
    }

    fn table(&mut self, control: &str, table: usize, next: Value, skip: Value) -> Value {
        let name = format!("table_{table}");
        let kinds: [&[&str]; 6] = [
            &["exact", "exact"],
            &["lpm"],
            &["ternary", "ternary", "ternary"],
            &["exact"],
            &["range", "exact"],
            &["exact", "lpm"],
        ];
        let kinds = kinds[table % kinds.len()];
        let key: Vec<Value> = kinds
            .iter()
            .enumerate()
            .map(|(part, kind)| {
                let (header, name, _) = self.place(table + 3 * part);
                json!({ "match_type": kind, "name": format!("k{part}"), "target": [header, name], "mask": null })
            })
            .collect();
        let match_type = ["range", "ternary", "lpm", "exact"]
            .into_iter()
            .find(|kind| kinds.contains(kind));
        let first = self.controls.actions.len();
        self.actions(control, table);
        let ids: Vec<usize> = (first..self.controls.actions.len()).collect();
        let names: Vec<String> = (0..ids.len())
            .map(|i| format!("action_{table}_{i}"))
            .collect();
        let next_tables: serde_json::Map<String, Value> = match table % SHAPES {
            1 => [("__HIT__", skip), ("__MISS__", next.clone())]
                .map(|(name, next)| (name.to_owned(), next))
                .into_iter()
                .collect(),
            2 => {
                let next = |i| if i == 1 { &skip } else { &next };
                let by_action = names.iter().enumerate();
                by_action
                    .map(|(i, name)| (name.clone(), next(i).clone()))
                    .collect()
            }
            _ => names
                .iter()
                .map(|name| (name.clone(), next.clone()))
                .collect(),
        };
        let is_counted = table % SHAPES == 3;
        if is_counted {
            self.controls.counters.push(json!({
                "name": format!("counter_{table}"),
                "is_direct": true,
                "binding": name,
            }));
        }
        json!({
            "name": name,
            "key": key,
            "match_type": match_type,
            "type": "simple",
            "max_size": self.size.entries,
            "with_counters": is_counted,
            "support_timeout": false,
            "direct_meters": null,
            "action_ids": ids,
            "actions": names,
            "base_default_next": next,
            "next_tables": next_tables,
            "default_entry": {
                "action_id": first,
                "action_const": false,
                "action_data": ["0x1"],
                "action_entry_const": false,
            },
        })
    }

    /// The actions of a table. The first one of the first table sends the packet to its argument.
    fn actions(&mut self, control: &str, table: usize) {
        let count = self.size.actions.max(2);
        let all = self.size.tables * count;
        for action in 0..count {
            let number = table * count + action;
            // As many as are left, spread evenly.
            let primitives =
                self.size.primitives * (number + 1) / all - self.size.primitives * number / all;
            let mut body: Vec<Value> = (0..primitives)
                .map(|statement| self.statement(number * 7 + statement * 5))
                .collect();
            if control == "ingress" && (action == 0 || table == 0) {
                let port = json!({ "type": "runtime_data", "value": 0 });
                body.push(assign(("standard_metadata", "egress_spec", 9), port));
            }
            self.controls.actions.push(json!({
                "name": format!("action_{table}_{action}"),
                "runtime_data": [{ "name": "argument", "bitwidth": 9 }],
                "primitives": body,
            }));
        }
    }

    fn statement(&self, seed: usize) -> Value {
        let (target, source) = (self.place(seed), self.place(seed / 3 + 11));
        let read = |(header, name, _): Place| field(header, name);
        match seed % 6 {
            0 => assign(target, read(source)),
            1 => assign(target, json!({ "type": "runtime_data", "value": 0 })),
            2 => {
                let sum = binary("+", read(target), number(seed));
                assign(target, cut(sum, target.2))
            }
            3 => {
                let sum = binary("^", read(target), read(source));
                assign(target, cut(binary("&", sum, number(0xff)), target.2))
            }
            4 => {
                let header = &self.headers[1 + seed % (self.headers.len() - 1)].name;
                let op = if seed.is_multiple_of(4) {
                    "add_header"
                } else {
                    "remove_header"
                };
                json!({ "op": op, "parameters": [{ "type": "header", "value": header }] })
            }
            _ => {
                let shifted = binary("<<", read(source), number(1 + seed % 7));
                let sum = binary("|", shifted, json!({ "type": "local", "value": 0 }));
                assign(target, cut(sum, target.2))
            }
        }
    }

    /// Fields of headers, but not those that the parser branches by, and metadata in turns.
    fn place(&self, seed: usize) -> Place<'h> {
        if seed.is_multiple_of(2) {
            let (name, bits) = METADATA[seed / 2 % METADATA.len()];
            return ("scalars", name, bits);
        }
        let header = &self.headers[seed / 2 % self.headers.len()];
        let (name, bits) = &header.fields[seed % (header.fields.len() - 1)];
        (&header.name, name, *bits)
    }
}

fn assign((header, name, _): Place, value: Value) -> Value {
    json!({ "op": "assign", "parameters": [field(header, name), value] })
}

/// Cut to a width, as p4c writes it.
fn cut(value: Value, bits: usize) -> Value {
    let mask = json!({ "type": "hexstr", "value": format!("{:#x}", u64::MAX >> (64 - bits)) });
    expression(binary("&", value, mask))
}
