//! Joins p4info with the program, and refuses a pair that does not fit.

use std::collections::HashMap;
use std::hash::Hash;

use pointsman_p4::ir::{self, MatchKind, Program};
use pointsman_p4::p4info::{in_program_order, is_left_out};
use pointsman_proto::p4::config::v1 as p4info;
use pointsman_proto::p4::config::v1::match_field::{Match, MatchType};
use thiserror::Error;

use super::object::{ActionSchema, CellSchema, ParamSchema, ProfileSchema, ValueSetSchema};
use super::packet::{PacketField, PacketHeader};
use super::table::{ActionRef, FieldSchema, Scope, TableSchema};
use super::{Schema, p4_id_kind};

/// Why a p4info does not fit its program.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// The program has no such object.
    #[error(
        "p4info names {kind} {name}, which the program does not have; \
         p4info and device config must come from the same compilation"
    )]
    NotInProgram {
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A reference within p4info leads nowhere.
    #[error("p4info: {from} refers to id {id:#010x} ({}), which p4info does not define", p4_id_kind(*.id))]
    DanglingId {
        /// Who refers.
        from: String,
        /// To what.
        id: u32,
    },
    /// Two objects have one id.
    #[error("p4info gives id {id:#010x} to both {first} and {second}")]
    DuplicateId {
        /// The id.
        id: u32,
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// The object has no preamble, and so neither name nor id.
    #[error("p4info has {0} without a preamble")]
    NoPreamble(&'static str),
    /// A table's key differs.
    #[error(
        "table {table}: p4info has {p4info} match fields, the program {program}; \
         p4info and device config must come from the same compilation"
    )]
    KeyDiffers {
        /// The table.
        table: String,
        /// Fields in p4info.
        p4info: usize,
        /// Fields in the program.
        program: usize,
    },
    /// Values are strings in P4Runtime.
    #[error(
        "{place} is of type {type_name}, which p4info translates to strings; \
         only numeric translation is supported"
    )]
    StringTranslation {
        /// Field or parameter.
        place: String,
        /// Its type.
        type_name: String,
    },
    /// A match kind that v1model lacks.
    #[error(
        "table {table}: match field {field} is of kind {kind}; \
         exact, lpm, ternary, range and optional are supported"
    )]
    MatchKind {
        /// The table.
        table: String,
        /// The field.
        field: String,
        /// The kind.
        kind: String,
    },
}

impl Schema {
    /// Joins a p4info with the program that it was made with.
    pub fn build(info: &p4info::P4Info, program: &Program) -> Result<Schema, SchemaError> {
        Builder {
            info,
            program,
            schema: Schema::default(),
            seen: HashMap::new(),
        }
        .build()
    }
}

struct Builder<'a> {
    info: &'a p4info::P4Info,
    program: &'a Program,
    schema: Schema,
    /// Every id so far, with the name of its object.
    seen: HashMap<u32, String>,
}

impl Builder<'_> {
    fn build(mut self) -> Result<Schema, SchemaError> {
        let info = self.info;
        self.schema.name = info
            .pkg_info
            .as_ref()
            .map(|package| package.name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| self.program.name.clone());
        for action in &info.actions {
            let preamble = self.preamble("an action", action.preamble.as_ref())?;
            let params = action.params.iter().map(|p| ParamSchema {
                id: p.id,
                name: p.name.clone(),
                width: p.bitwidth.unsigned_abs(),
            });
            let mut params: Vec<ParamSchema> = params.collect();
            for (param, source) in params.iter().zip(&action.params) {
                let place = || format!("parameter {} of {}", param.name, preamble.name);
                check_width(param.width, source.type_name.as_ref(), place)?;
            }
            in_program_order(self.program, &preamble.name, &mut params, |p| &p.name);
            self.schema
                .p4_ids
                .insert(preamble.id, self.schema.actions.len());
            self.schema.actions.push(ActionSchema {
                id: preamble.id,
                name: preamble.name,
                alias: preamble.alias,
                params,
            });
        }
        for table in &info.tables {
            if !self.is_left_out("table", table.preamble.as_ref()) {
                self.table(table)?;
            }
        }
        for profile in &info.action_profiles {
            if !self.is_left_out("action profile", profile.preamble.as_ref()) {
                self.profile(profile)?;
            }
        }
        self.link_profiles()?;
        self.cells()?;
        for header in &info.controller_packet_metadata {
            let preamble = self.preamble("a controller header", header.preamble.as_ref())?;
            let header = packet_header(&preamble.name, header)?;
            match preamble.name.as_str() {
                "packet_in" => self.schema.packet_in = Some(header),
                "packet_out" => self.schema.packet_out = Some(header),
                _ => {}
            }
        }
        Ok(self.schema)
    }

    /// Whether the program does not have an object because no packet gets to it.
    fn is_left_out(&self, kind: &'static str, preamble: Option<&p4info::Preamble>) -> bool {
        let name = preamble.map(|p| p.name.as_str()).unwrap_or_default();
        let left_out = is_left_out(self.info, self.program, kind, name);
        if left_out {
            tracing::warn!(
                kind,
                name,
                "the compiler left it out of the program: no packet gets to it"
            );
        }
        left_out
    }

    fn preamble(
        &mut self,
        kind: &'static str,
        preamble: Option<&p4info::Preamble>,
    ) -> Result<p4info::Preamble, SchemaError> {
        let preamble = preamble.ok_or(SchemaError::NoPreamble(kind))?.clone();
        if let Some(first) = self.seen.insert(preamble.id, preamble.name.clone()) {
            return Err(SchemaError::DuplicateId {
                id: preamble.id,
                first,
                second: preamble.name,
            });
        }
        Ok(preamble)
    }

    fn table(&mut self, table: &p4info::Table) -> Result<(), SchemaError> {
        let preamble = self.preamble("a table", table.preamble.as_ref())?;
        let name = preamble.name;
        let ir_id = self
            .program
            .table_by_name(&name)
            .ok_or_else(|| SchemaError::NotInProgram {
                kind: "table",
                name: name.clone(),
            })?;
        let ir_table = &self.program.tables[ir_id.index()];
        if ir_table.key.len() != table.match_fields.len() {
            return Err(SchemaError::KeyDiffers {
                table: name,
                p4info: table.match_fields.len(),
                program: ir_table.key.len(),
            });
        }
        let mut fields = Vec::new();
        for (position, field) in table.match_fields.iter().enumerate() {
            fields.push(match_field(&name, position, field)?);
        }
        let mut actions = Vec::new();
        for reference in &table.action_refs {
            let action =
                self.schema
                    .action(reference.id)
                    .ok_or_else(|| SchemaError::DanglingId {
                        from: format!("table {name}"),
                        id: reference.id,
                    })?;
            // p4c leaves an action that nothing can run out of the JSON.
            let Some(ir_action) = self.program.table_action_by_name(ir_id, &action.name) else {
                continue;
            };
            let scope = match reference.scope() {
                p4info::action_ref::Scope::TableAndDefault => Scope::TableAndDefault,
                p4info::action_ref::Scope::DefaultOnly => Scope::DefaultOnly,
                p4info::action_ref::Scope::TableOnly | p4info::action_ref::Scope::GroupAction => {
                    Scope::TableOnly
                }
            };
            let index = self.schema.p4_ids[&reference.id];
            self.schema.actions_by_ir.insert(ir_action, index);
            actions.push(ActionRef {
                id: reference.id,
                action: ir_action,
                scope,
            });
        }
        let direct = |kind: u32| {
            let ids = table.direct_resource_ids.iter().copied();
            ids.into_iter().find(|id| id >> 24 == kind)
        };
        let index = self.schema.tables.len();
        self.schema.p4_ids.insert(preamble.id, index);
        self.schema.tables_by_ir.insert(ir_id, index);
        self.schema.tables.push(TableSchema {
            id: preamble.id,
            name,
            alias: preamble.alias,
            table: ir_id,
            fields,
            actions,
            const_default: table.const_default_action_id != 0,
            profile: match ir_table.implementation {
                ir::Implementation::Direct => None,
                ir::Implementation::Profile(profile) => Some(profile),
            },
            with_selector: false,
            direct_counter: direct(0x13),
            direct_meter: direct(0x15),
            size: table.size.unsigned_abs(),
            idle_timeout: table.idle_timeout_behavior()
                == p4info::table::IdleTimeoutBehavior::NotifyControl,
            is_const: table.is_const_table,
        });
        Ok(())
    }

    fn profile(&mut self, profile: &p4info::ActionProfile) -> Result<(), SchemaError> {
        let preamble = self.preamble("an action profile", profile.preamble.as_ref())?;
        let name = preamble.name;
        let found = self.program.action_profiles.iter();
        let ir_id = found
            .clone()
            .position(|p| p.name == name)
            .map(|index| ir::ActionProfileId(index as u32))
            .ok_or_else(|| SchemaError::NotInProgram {
                kind: "action profile",
                name: name.clone(),
            })?;
        let max_member_weight = match &profile.selector_size_semantics {
            Some(p4info::action_profile::SelectorSizeSemantics::SumOfMembers(members)) => {
                Some(members.max_member_weight.unsigned_abs())
            }
            _ => None,
        };
        let index = self.schema.profiles.len();
        self.schema.p4_ids.insert(preamble.id, index);
        self.schema.profiles_by_ir.insert(ir_id, index);
        self.schema.profiles.push(ProfileSchema {
            id: preamble.id,
            name,
            alias: preamble.alias,
            profile: ir_id,
            actions: Vec::new(),
            with_selector: profile.with_selector,
            size: profile.size.unsigned_abs(),
            max_group_size: profile.max_group_size.unsigned_abs(),
            counts_members: max_member_weight.is_some(),
            max_member_weight: max_member_weight.unwrap_or(0),
            weights_disallowed: profile.weights_disallowed,
        });
        Ok(())
    }

    /// Tells tables and profiles of one another.
    fn link_profiles(&mut self) -> Result<(), SchemaError> {
        for table in &mut self.schema.tables {
            let Some(profile) = table.profile else {
                continue;
            };
            let Some(index) = self.schema.profiles_by_ir.get(&profile) else {
                let profile = &self.program.action_profiles[profile.index()];
                return Err(SchemaError::NotInProgram {
                    kind: "(not in p4info) the action profile",
                    name: profile.name.clone(),
                });
            };
            let profile = &mut self.schema.profiles[*index];
            table.with_selector = profile.with_selector;
            for reference in &table.actions {
                let known = profile.actions.iter().any(|(id, _)| *id == reference.id);
                if reference.scope != Scope::DefaultOnly && !known {
                    profile.actions.push((reference.id, reference.action));
                }
            }
        }
        Ok(())
    }

    fn cells(&mut self) -> Result<(), SchemaError> {
        let info = self.info;
        let program = self.program;
        for counter in &info.counters {
            if self.is_left_out("counter", counter.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a counter", counter.preamble.as_ref())?;
            let names = program.counters.iter().map(|c| c.name.as_str());
            let (index, size) = position("counter", &preamble.name, names)
                .map(|index| (index, program.counters[index].size))?;
            let ir = ir::CounterId(index as u32);
            self.schema.counters.push(cell(preamble, ir, size, 64));
        }
        for meter in &info.meters {
            if self.is_left_out("meter", meter.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a meter", meter.preamble.as_ref())?;
            let names = program.meters.iter().map(|m| m.name.as_str());
            let index = position("meter", &preamble.name, names)?;
            let ir = ir::MeterId(index as u32);
            let size = program.meters[index].size;
            self.schema.meters.push(cell(preamble, ir, size, 64));
        }
        for register in &info.registers {
            if self.is_left_out("register", register.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a register", register.preamble.as_ref())?;
            let names = program.registers.iter().map(|r| r.name.as_str());
            let index = position("register", &preamble.name, names)?;
            let ir = ir::RegisterId(index as u32);
            let found = &program.registers[index];
            let register = cell(preamble, ir, found.size, found.width);
            self.schema.registers.push(register);
        }
        for set in &info.value_sets {
            if self.is_left_out("value set", set.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a value set", set.preamble.as_ref())?;
            let names = program.value_sets.iter().map(|s| s.name.as_str());
            let index = position("value set", &preamble.name, names)?;
            let mut fields = Vec::new();
            for (position, field) in set.r#match.iter().enumerate() {
                fields.push(match_field(&preamble.name, position, field)?);
            }
            self.schema.value_sets.push(ValueSetSchema {
                id: preamble.id,
                name: preamble.name,
                set: ir::ValueSetId(index as u32),
                fields,
                size: set.size.unsigned_abs(),
            });
        }
        Ok(())
    }
}

fn cell<Id: Copy + Eq + Hash>(
    preamble: p4info::Preamble,
    ir: Id,
    size: u32,
    width: u32,
) -> CellSchema<Id> {
    CellSchema {
        id: preamble.id,
        name: preamble.name,
        ir,
        size,
        width,
    }
}

fn position<'n>(
    kind: &'static str,
    name: &str,
    mut names: impl Iterator<Item = &'n str>,
) -> Result<usize, SchemaError> {
    names
        .position(|candidate| candidate == name)
        .ok_or_else(|| SchemaError::NotInProgram {
            kind,
            name: name.to_owned(),
        })
}

fn match_field(
    owner: &str,
    position: usize,
    field: &p4info::MatchField,
) -> Result<FieldSchema, SchemaError> {
    let unsupported = |kind: String| SchemaError::MatchKind {
        table: owner.to_owned(),
        field: field.name.clone(),
        kind,
    };
    let kind = match &field.r#match {
        Some(Match::MatchType(kind)) => match MatchType::try_from(*kind) {
            Ok(MatchType::Exact) => MatchKind::Exact,
            Ok(MatchType::Lpm) => MatchKind::Lpm,
            Ok(MatchType::Ternary) => MatchKind::Ternary,
            Ok(MatchType::Range) => MatchKind::Range,
            Ok(MatchType::Optional) => MatchKind::Optional,
            Ok(MatchType::Unspecified) | Err(_) => {
                return Err(unsupported("unspecified".to_owned()));
            }
        },
        Some(Match::OtherMatchType(other)) => return Err(unsupported(other.clone())),
        None => return Err(unsupported("unspecified".to_owned())),
    };
    let width = field.bitwidth.unsigned_abs();
    check_width(width, field.type_name.as_ref(), || {
        format!("match field {} of {owner}", field.name)
    })?;
    Ok(FieldSchema {
        id: field.id,
        name: field.name.clone(),
        kind,
        width,
        position,
    })
}

/// A width of zero means that the controller sees a string.
fn check_width(
    width: u32,
    type_name: Option<&p4info::P4NamedType>,
    place: impl FnOnce() -> String,
) -> Result<(), SchemaError> {
    match type_name {
        Some(type_name) if width == 0 => Err(SchemaError::StringTranslation {
            place: place(),
            type_name: type_name.name.clone(),
        }),
        _ => Ok(()),
    }
}

fn packet_header(
    name: &str,
    header: &p4info::ControllerPacketMetadata,
) -> Result<PacketHeader, SchemaError> {
    let mut fields = Vec::new();
    for field in &header.metadata {
        let width = field.bitwidth.unsigned_abs();
        check_width(width, field.type_name.as_ref(), || {
            format!("{} of {name}", field.name)
        })?;
        fields.push(PacketField {
            id: field.id,
            name: field.name.clone(),
            width,
            padding: field.annotations.iter().any(|a| a.starts_with("@padding")),
        });
    }
    Ok(PacketHeader { fields })
}
