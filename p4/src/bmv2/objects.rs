//! Counters, meters, registers, hashes, checksums and lists of fields.

use std::collections::HashMap;

use crate::ir::{
    Calculation, CalculationId, CalculationInput, Checksum, Counter, CounterId, FieldList,
    FieldListId, HashAlgorithm, LearnList, LearnListId, Meter, MeterId, MeterUnit, Register,
    RegisterId, TableId, ValueSet, ValueSetId,
};

use super::cursor::{Cursor, Read};
use super::expr::Exprs;
use super::shapes::{Shapes, find, insert_named};

/// Most bits of a register cell, a value set member or a constant input of a hash.
const MAX_CELL_BITS: u32 = 1 << 16;
/// Most cells of an array.
const MAX_CELLS: u32 = 1 << 26;

/// What can be referred to by name or id from actions, tables and the parser.
pub(super) struct Names {
    counters: HashMap<String, CounterId>,
    meters: HashMap<String, MeterId>,
    registers: HashMap<String, RegisterId>,
    calculations: HashMap<String, CalculationId>,
    field_lists: HashMap<u32, FieldListId>,
    learn_lists: HashMap<u32, LearnListId>,
    value_sets: HashMap<String, ValueSetId>,
    pub(super) tables: HashMap<String, TableId>,
}

impl Names {
    /// Collects the names before anything that uses them is read.
    pub(super) fn read(root: &Cursor) -> Read<Names> {
        let mut tables = HashMap::new();
        for pipeline in root.get("pipelines").items()? {
            for table in pipeline.get("tables").items()? {
                let id = TableId(tables.len() as u32);
                insert_named(&mut tables, &table, "table", id)?;
            }
            // Actions that a control calls itself become tables without key.
            for call in pipeline.get("action_calls").items()? {
                let id = TableId(tables.len() as u32);
                insert_named(&mut tables, &call, "table", id)?;
            }
        }
        Ok(Names {
            counters: by_name(root, "counter_arrays", "counter", CounterId)?,
            meters: by_name(root, "meter_arrays", "meter", MeterId)?,
            registers: by_name(root, "register_arrays", "register", RegisterId)?,
            calculations: by_name(root, "calculations", "calculation", CalculationId)?,
            field_lists: by_id(root, "field_lists", FieldListId)?,
            learn_lists: by_id(root, "learn_lists", LearnListId)?,
            value_sets: by_name(root, "parse_vsets", "value set", ValueSetId)?,
            tables,
        })
    }

    pub(super) fn counter(&self, name: &Cursor) -> Read<CounterId> {
        find(&self.counters, name, "counter")
    }

    pub(super) fn meter(&self, name: &Cursor) -> Read<MeterId> {
        find(&self.meters, name, "meter")
    }

    pub(super) fn register(&self, name: &Cursor) -> Read<RegisterId> {
        find(&self.registers, name, "register")
    }

    pub(super) fn calculation(&self, name: &Cursor) -> Read<CalculationId> {
        find(&self.calculations, name, "calculation")
    }

    pub(super) fn value_set(&self, name: &Cursor) -> Read<ValueSetId> {
        find(&self.value_sets, name, "value set")
    }

    /// Id 0 is what p4c writes for no list, unless there is one of that id.
    pub(super) fn field_list(&self, id: &Cursor) -> Read<Option<FieldListId>> {
        let number = id.u32()?;
        match self.field_lists.get(&number) {
            Some(list) => Ok(Some(*list)),
            None if number == 0 => Ok(None),
            None => Err(id.unknown("field list", number)),
        }
    }

    pub(super) fn learn_list(&self, id: &Cursor) -> Read<LearnListId> {
        let number = id.u32()?;
        self.learn_lists
            .get(&number)
            .copied()
            .ok_or_else(|| id.unknown("digest", number))
    }
}

fn by_name<T>(
    root: &Cursor,
    key: &'static str,
    kind: &'static str,
    id: fn(u32) -> T,
) -> Read<HashMap<String, T>> {
    let mut map = HashMap::new();
    for (index, item) in root.get(key).items()?.iter().enumerate() {
        insert_named(&mut map, item, kind, id(index as u32))?;
    }
    Ok(map)
}

fn by_id<T>(root: &Cursor, key: &'static str, id: fn(u32) -> T) -> Read<HashMap<u32, T>> {
    let mut map = HashMap::new();
    for (index, item) in root.get(key).items()?.iter().enumerate() {
        let number = item.get("id").u32()?;
        if map.insert(number, id(index as u32)).is_some() {
            return Err(item.invalid(format!("the id {number} is used twice")));
        }
    }
    Ok(map)
}

fn name_of(item: &Cursor) -> Read<String> {
    item.get("name").str().map(str::to_owned)
}

fn cells(item: &Cursor) -> Read<u32> {
    let size = item.get("size").u32()?;
    if size > MAX_CELLS {
        return Err(item.unsupported(format!("an array of more than {MAX_CELLS} cells")));
    }
    Ok(size)
}

fn cell_bits(width: &Cursor) -> Read<u32> {
    let bits = width.u32()?;
    if bits > MAX_CELL_BITS {
        return Err(width.unsupported(format!("a value of more than {MAX_CELL_BITS} bits")));
    }
    Ok(bits)
}

/// The table that a direct counter or meter belongs to.
fn binding(item: &Cursor, names: &Names) -> Read<Option<TableId>> {
    let binding = item.get("binding");
    if !item.get("is_direct").bool_or_false()? || binding.is_null() {
        return Ok(None);
    }
    find(&names.tables, &binding, "table").map(Some)
}

/// `table_sizes`: the size of each table, for what is direct.
pub(super) fn counters(root: &Cursor, names: &Names, table_sizes: &[u32]) -> Read<Vec<Counter>> {
    let items = root.get("counter_arrays").items()?;
    let read = |item: &Cursor| {
        let table = binding(item, names)?;
        Ok(Counter {
            name: name_of(item)?,
            table,
            size: match table {
                Some(table) => table_sizes[table.index()],
                None if item.get("is_direct").bool_or_false()? => 0,
                None => cells(item)?,
            },
        })
    };
    items.iter().map(read).collect()
}

/// `table_sizes`: the size of each table, for what is direct.
pub(super) fn meters(
    root: &Cursor,
    shapes: &Shapes,
    names: &Names,
    table_sizes: &[u32],
) -> Read<Vec<Meter>> {
    let items = root.get("meter_arrays").items()?;
    let read = |item: &Cursor| {
        let direct = item.get("is_direct").bool_or_false()?;
        let rates = item.get("rate_count");
        if !rates.is_null() && rates.u32()? != 2 {
            return Err(rates.unsupported("a meter that has not exactly two rates"));
        }
        let table = binding(item, names)?;
        let target = item.get("result_target");
        let unit = item.get("type");
        Ok(Meter {
            name: name_of(item)?,
            table,
            target: if direct && !target.is_null() {
                Some(shapes.field(&target)?)
            } else {
                None
            },
            size: match table {
                Some(table) => table_sizes[table.index()],
                None if direct => 0,
                None => cells(item)?,
            },
            unit: match unit.str()? {
                "packets" => MeterUnit::Packets,
                "bytes" => MeterUnit::Bytes,
                other => return Err(unit.unknown("meter type", other)),
            },
        })
    };
    items.iter().map(read).collect()
}

pub(super) fn registers(root: &Cursor) -> Read<Vec<Register>> {
    let items = root.get("register_arrays").items()?;
    let read = |item: &Cursor| {
        Ok(Register {
            name: name_of(item)?,
            width: cell_bits(&item.get("bitwidth"))?,
            size: cells(item)?,
        })
    };
    items.iter().map(read).collect()
}

/// The most members of a value set whose program does not say.
const DEFAULT_VALUE_SET_SIZE: u32 = 1024;

pub(super) fn value_sets(root: &Cursor) -> Read<Vec<ValueSet>> {
    let items = root.get("parse_vsets").items()?;
    let read = |item: &Cursor| {
        Ok(ValueSet {
            name: name_of(item)?,
            width: cell_bits(&item.get("compressed_bitwidth"))?,
            size: item
                .get("max_size")
                .opt_u32()?
                .unwrap_or(DEFAULT_VALUE_SET_SIZE),
        })
    };
    items.iter().map(read).collect()
}

pub(super) fn calculations(root: &Cursor, shapes: &Shapes) -> Read<Vec<Calculation>> {
    let items = root.get("calculations").items()?;
    items
        .iter()
        .map(|item| calculation(item, name_of(item)?, shapes))
        .collect()
}

/// A calculation, or the selector of an action profile, which has no name of its own.
pub(super) fn calculation(item: &Cursor, name: String, shapes: &Shapes) -> Read<Calculation> {
    let inputs = item.get("input").items()?;
    let input = |input: &Cursor| {
        let value = input.get("value");
        Ok(match input.get("type").str()? {
            "field" => CalculationInput::Field(shapes.field(&value)?),
            "header" => CalculationInput::Header(shapes.header(&value)?),
            "payload" => CalculationInput::Payload,
            "hexstr" => CalculationInput::Const {
                value: value.uint()?,
                width: cell_bits(&input.get("bitwidth"))?,
            },
            "expression" => CalculationInput::Expr {
                value: Exprs::new(shapes).value(input)?,
                width: cell_bits(&input.get("bitwidth"))?,
            },
            other => return Err(input.unsupported(format!("{other:?} as the input of a hash"))),
        })
    };
    Ok(Calculation {
        name,
        algorithm: algorithm(&item.get("algo"))?,
        input: inputs.iter().map(input).collect::<Read<_>>()?,
        source: item.source(),
    })
}

fn algorithm(name: &Cursor) -> Read<HashAlgorithm> {
    Ok(match name.str()? {
        "crc16" => HashAlgorithm::Crc16,
        "crc16_custom" => HashAlgorithm::Crc16Custom,
        "crc32" => HashAlgorithm::Crc32,
        "crc32_custom" => HashAlgorithm::Crc32Custom,
        "csum16" | "cksum16" => HashAlgorithm::Csum16,
        "xor16" => HashAlgorithm::Xor16,
        "identity" => HashAlgorithm::Identity,
        "xxh64" | "bmv2_hash" => HashAlgorithm::Xxh64,
        "round_robin" => HashAlgorithm::RoundRobin,
        "round_robin_consistent" => HashAlgorithm::RoundRobinConsistent,
        "toeplitz" => HashAlgorithm::Toeplitz,
        other => return Err(name.unsupported(format!("the hash algorithm {other:?}"))),
    })
}

pub(super) fn checksums(root: &Cursor, shapes: &Shapes, names: &Names) -> Read<Vec<Checksum>> {
    let items = root.get("checksums").items()?;
    let read = |item: &Cursor| {
        let kind = item.get("type");
        if kind.str()? != "generic" {
            return Err(kind.unsupported("a checksum that is not of type \"generic\""));
        }
        let (verify, update) = (item.get("verify"), item.get("update"));
        // Formats before 2.10 have neither: they did both.
        let both = verify.is_null() && update.is_null();
        let condition = item.get("if_cond");
        Ok(Checksum {
            name: name_of(item)?,
            target: shapes.field(&item.get("target"))?,
            calculation: names.calculation(&item.get("calculation"))?,
            verify: both || verify.bool_or_false()?,
            update: both || update.bool_or_false()?,
            condition: if condition.is_null() {
                None
            } else {
                Some(Exprs::new(shapes).value(&condition)?)
            },
            source: item.source(),
        })
    };
    items.iter().map(read).collect()
}

pub(super) fn field_lists(root: &Cursor, shapes: &Shapes) -> Read<Vec<FieldList>> {
    let exprs = Exprs::new(shapes);
    let items = root.get("field_lists").items()?;
    let read = |item: &Cursor| {
        let elements = item.get("elements").items()?;
        Ok(FieldList {
            name: item.get("name").opt_str()?.unwrap_or_default().to_owned(),
            fields: elements
                .iter()
                .map(|e| exprs.value(e))
                .collect::<Read<_>>()?,
        })
    };
    items.iter().map(read).collect()
}

pub(super) fn learn_lists(root: &Cursor, shapes: &Shapes) -> Read<Vec<LearnList>> {
    let exprs = Exprs::new(shapes);
    let items = root.get("learn_lists").items()?;
    let element = |item: &Cursor| {
        let value = exprs.value(item)?;
        let width = match exprs.width(&value) {
            Some(width) => width,
            None => cell_bits(&item.get("bitwidth"))?,
        };
        Ok((value, width))
    };
    let read = |item: &Cursor| {
        let elements = item.get("elements").items()?;
        Ok(LearnList {
            name: name_of(item)?,
            elements: elements.iter().map(element).collect::<Read<_>>()?,
        })
    };
    items.iter().map(read).collect()
}
