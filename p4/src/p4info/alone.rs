//! A program made of a p4info alone.
//!
//! It has every object that the p4info names, with its keys, parameters and sizes, so that entries
//! can be checked and stored as for any program. It has no parser and no control: packets do nothing
//! in it, and nobody runs it. What a p4info does not say (entries that the program declares, the bodies of
//! actions, the width of a type that controllers see as strings) is not there, or is a default named below.
//!
//! Called for pipelines without a device config, and for switches whose device config is not
//! ours to read.

use std::collections::HashMap;

use num_bigint::{BigInt, BigUint};
use pointsman_proto::p4::config::v1 as proto;

use super::types::{self, STRING_BITS};
use super::{P4InfoError, Preamble};
use crate::ir::{
    Action, ActionCall, ActionId, ActionProfile, ActionProfileId, Calculation, CalculationId,
    Control, ControlKind, Counter, CounterId, DefaultAction, Deparser, Expr, Field, FieldKind,
    FieldRef, HashAlgorithm, Header, HeaderId, HeaderKind, Implementation, Key, KeySource, LValue,
    LearnList, Meter, MeterId, MeterUnit, Param, Program, Register, Selector, SourceInfo,
    StandardMetadata, Table, TableId, TableNext, ValueSet,
};

/// Entries of a table whose p4info does not say how many it holds; v1model's own default.
const TABLE_SIZE: u32 = 1024;
/// Members of a profile whose p4info does not say how many it holds.
const PROFILE_SIZE: u32 = 1 << 16;
/// Bits of a v1model port.
const PORT_BITS: u32 = 9;
/// The position of the metadata that keys are read from, after standard metadata.
const KEYS: HeaderId = HeaderId(1);

/// Makes a program of a p4info alone.
///
/// # Errors
/// An object without id or name, a reference that leads nowhere, or a match kind that v1model lacks.
pub fn program_of(info: &proto::P4Info) -> Result<Program, P4InfoError> {
    let mut maker = Maker {
        info,
        program: empty(info),
        actions: HashMap::new(),
        profiles: HashMap::new(),
    };
    maker.actions()?;
    maker.profiles()?;
    for table in &info.tables {
        maker.table(table)?;
    }
    maker.cells()?;
    maker.value_sets()?;
    maker.digests()?;
    maker.controller_headers()?;
    Ok(maker.program)
}

struct Maker<'a> {
    info: &'a proto::P4Info,
    program: Program,
    /// By p4info id.
    actions: HashMap<u32, ActionId>,
    /// By p4info id.
    profiles: HashMap<u32, ActionProfileId>,
}

impl Maker<'_> {
    fn actions(&mut self) -> Result<(), P4InfoError> {
        for action in &self.info.actions {
            let preamble = preamble(&action.preamble, "action")?;
            let params = action.params.iter().map(|param| Param {
                name: param.name.clone(),
                width: bits(param.bitwidth),
            });
            let id = ActionId(self.program.actions.len() as u32);
            self.program.actions.push(Action {
                name: preamble.name,
                params: params.collect(),
                body: Vec::new(),
                source: SourceInfo::default(),
            });
            self.actions.insert(preamble.id, id);
        }
        Ok(())
    }

    fn profiles(&mut self) -> Result<(), P4InfoError> {
        for profile in &self.info.action_profiles {
            let preamble = preamble(&profile.preamble, "action profile")?;
            let id = ActionProfileId(self.program.action_profiles.len() as u32);
            let selector = Selector {
                calculation: CalculationId(0),
            };
            self.program.action_profiles.push(ActionProfile {
                name: preamble.name,
                size: size(profile.size, PROFILE_SIZE),
                selector: profile.with_selector.then_some(selector),
                source: SourceInfo::default(),
            });
            self.profiles.insert(preamble.id, id);
        }
        Ok(())
    }

    fn table(&mut self, table: &proto::Table) -> Result<(), P4InfoError> {
        let name = preamble(&table.preamble, "table")?.name;
        let dangling = |kind, id| P4InfoError::Dangling {
            name: name.clone(),
            kind,
            id,
        };
        let mut key = Vec::new();
        for field in &table.match_fields {
            key.push(self.key(&name, field)?);
        }
        let mut actions = Vec::new();
        for reference in &table.action_refs {
            let action = self.actions.get(&reference.id);
            actions.push(*action.ok_or_else(|| dangling("action", reference.id))?);
        }
        let implementation = match table.implementation_id {
            0 => Implementation::Direct,
            id => {
                let profile = self.profiles.get(&id).copied();
                Implementation::Profile(profile.ok_or_else(|| dangling("action profile", id))?)
            }
        };
        let default = self
            .default_action(table)
            .map_err(|id| dangling("action", id))?;
        self.program.tables.push(Table {
            name,
            control: ControlKind::Ingress,
            key,
            actions,
            implementation,
            default,
            next: TableNext::HitMiss {
                hit: None,
                miss: None,
            },
            size: size(table.size, TABLE_SIZE),
            counter: None,
            meter: None,
            idle_timeout: table.idle_timeout_behavior()
                == proto::table::IdleTimeoutBehavior::NotifyControl,
            entries: Vec::new(),
            source: SourceInfo::default(),
        });
        Ok(())
    }

    fn key(&mut self, table: &str, field: &proto::MatchField) -> Result<Key, P4InfoError> {
        let width = bits(field.bitwidth);
        let kind = types::match_kind(field).ok_or_else(|| P4InfoError::Unsupported {
            what: "the match type".to_owned(),
            name: format!("the field {} of the table {table}", field.name),
        })?;
        let keys = &mut self.program.headers[KEYS.index()].fields;
        let field_ref = FieldRef {
            header: KEYS,
            field: keys.len() as u32,
        };
        let offset = keys.last().map_or(0, |last| last.offset + last.width);
        keys.push(unsigned(format!("{table}.{}", field.name), offset, width));
        Ok(Key {
            name: field.name.clone(),
            kind,
            source: KeySource::Field(LValue::Field(field_ref)),
            width,
            mask: None,
        })
    }

    /// The default action of a table, or the id of the action that there is not.
    fn default_action(&self, table: &proto::Table) -> Result<Option<DefaultAction>, u32> {
        let initial = table.initial_default_action.as_ref();
        let id = match (table.const_default_action_id, initial) {
            (0, None) => return Ok(None),
            (0, Some(initial)) => initial.action_id,
            (id, _) => id,
        };
        let action = *self.actions.get(&id).ok_or(id)?;
        let described = &self.info.actions[action.index()];
        let args = described.params.iter().map(|param| {
            let given = initial.filter(|initial| initial.action_id == id);
            let mut given = given.into_iter().flat_map(|initial| &initial.arguments);
            let given = given.find(|argument| argument.param_id == param.id);
            given.map_or(BigUint::ZERO, |a| BigUint::from_bytes_be(&a.value))
        });
        Ok(Some(DefaultAction {
            call: ActionCall {
                action,
                args: args.collect(),
            },
            is_const: table.const_default_action_id != 0,
        }))
    }

    fn cells(&mut self) -> Result<(), P4InfoError> {
        let info = self.info;
        for counter in &info.counters {
            self.program.counters.push(Counter {
                name: preamble(&counter.preamble, "counter")?.name,
                table: None,
                size: size(counter.size, 0),
            });
        }
        for counter in &info.direct_counters {
            let name = preamble(&counter.preamble, "direct counter")?.name;
            let id = CounterId(self.program.counters.len() as u32);
            let (table, size) = self.direct_table(&name, counter.direct_table_id)?;
            self.program.tables[table.index()].counter = Some(id);
            self.program.counters.push(Counter {
                name,
                table: Some(table),
                size,
            });
        }
        for meter in &info.meters {
            self.program.meters.push(Meter {
                name: preamble(&meter.preamble, "meter")?.name,
                table: None,
                target: None,
                size: size(meter.size, 0),
                unit: unit(meter.spec.as_ref()),
            });
        }
        for meter in &info.direct_meters {
            let name = preamble(&meter.preamble, "direct meter")?.name;
            let id = MeterId(self.program.meters.len() as u32);
            let (table, size) = self.direct_table(&name, meter.direct_table_id)?;
            self.program.tables[table.index()].meter = Some(id);
            self.program.meters.push(Meter {
                name,
                table: Some(table),
                target: None,
                size,
                unit: unit(meter.spec.as_ref()),
            });
        }
        for register in &info.registers {
            let spec = register.type_spec.as_ref();
            // Cells of structs cannot be written as numbers; such a register is left out.
            let Some(width) = spec.and_then(|spec| types::width(info, spec)) else {
                continue;
            };
            self.program.registers.push(Register {
                name: preamble(&register.preamble, "register")?.name,
                width,
                size: register.size.unsigned_abs(),
            });
        }
        Ok(())
    }

    /// The table that a direct resource belongs to, and how many entries it has.
    fn direct_table(&self, owner: &str, id: u32) -> Result<(TableId, u32), P4InfoError> {
        let is_it = |table: &proto::Table| table.preamble.as_ref().is_some_and(|p| p.id == id);
        match self.info.tables.iter().position(is_it) {
            Some(index) => Ok((TableId(index as u32), self.program.tables[index].size)),
            None => Err(P4InfoError::Dangling {
                name: owner.to_owned(),
                kind: "table",
                id,
            }),
        }
    }

    fn value_sets(&mut self) -> Result<(), P4InfoError> {
        for set in &self.info.value_sets {
            self.program.value_sets.push(ValueSet {
                name: preamble(&set.preamble, "value set")?.name,
                width: set.r#match.iter().map(|field| bits(field.bitwidth)).sum(),
                size: set.size.unsigned_abs(),
            });
        }
        Ok(())
    }

    fn digests(&mut self) -> Result<(), P4InfoError> {
        for digest in &self.info.digests {
            let spec = digest.type_spec.as_ref();
            let widths = spec.map_or_else(Vec::new, |spec| types::members(self.info, spec));
            let nothing = |width| (Expr::Const(BigInt::ZERO), width);
            self.program.learn_lists.push(LearnList {
                name: preamble(&digest.preamble, "digest")?.name,
                elements: widths.into_iter().map(nothing).collect(),
            });
        }
        Ok(())
    }

    fn controller_headers(&mut self) -> Result<(), P4InfoError> {
        for header in &self.info.controller_packet_metadata {
            let name = preamble(&header.preamble, "controller packet header")?.name;
            let mut offset = 0;
            let fields = header.metadata.iter().map(|field| {
                let field = unsigned(field.name.clone(), offset, bits(field.bitwidth));
                offset += field.width;
                field
            });
            self.program.headers.push(Header {
                type_name: name.clone(),
                name,
                kind: HeaderKind::Packet,
                fields: fields.collect(),
            });
        }
        Ok(())
    }
}

/// A program that does nothing, with the metadata that every program has.
fn empty(info: &proto::P4Info) -> Program {
    let name = info.pkg_info.as_ref().map(|package| package.name.clone());
    let standard = HeaderId(0);
    let ports = ["ingress_port", "egress_spec", "egress_port"];
    let port = |index: u32| FieldRef {
        header: standard,
        field: index,
    };
    let metadata = |name: &str, fields| Header {
        name: name.to_owned(),
        type_name: name.to_owned(),
        kind: HeaderKind::Metadata,
        fields,
    };
    let fields = (0..).zip(ports);
    let fields = fields.map(|(i, name)| unsigned(name.to_owned(), i * PORT_BITS, PORT_BITS));
    let control = |kind| Control { kind, start: None };
    Program {
        name: name
            .filter(|n| !n.is_empty())
            .unwrap_or("p4info".to_owned()),
        headers: vec![
            metadata("standard_metadata", fields.collect()),
            metadata("keys", Vec::new()),
        ],
        stacks: Vec::new(),
        unions: Vec::new(),
        union_stacks: Vec::new(),
        errors: Vec::new(),
        parser_states: Vec::new(),
        parser_start: None,
        value_sets: Vec::new(),
        deparser: Deparser::default(),
        actions: Vec::new(),
        tables: Vec::new(),
        conditionals: Vec::new(),
        action_profiles: Vec::new(),
        ingress: control(ControlKind::Ingress),
        egress: control(ControlKind::Egress),
        counters: Vec::new(),
        meters: Vec::new(),
        registers: Vec::new(),
        // All selectors have this one.
        calculations: vec![Calculation {
            name: "nothing".to_owned(),
            algorithm: HashAlgorithm::Identity,
            input: Vec::new(),
            source: SourceInfo::default(),
        }],
        checksums: Vec::new(),
        field_lists: Vec::new(),
        learn_lists: Vec::new(),
        standard: StandardMetadata {
            header: standard,
            ingress_port: port(0),
            egress_spec: port(1),
            egress_port: port(2),
            packet_length: None,
            instance_type: None,
            mcast_grp: None,
            egress_rid: None,
            checksum_error: None,
            parser_error: None,
            priority: None,
            enq_timestamp: None,
            enq_qdepth: None,
            deq_timedelta: None,
            deq_qdepth: None,
            ingress_global_timestamp: None,
            egress_global_timestamp: None,
        },
    }
}

fn unsigned(name: String, offset: u32, width: u32) -> Field {
    Field {
        name,
        offset,
        width,
        kind: FieldKind::Unsigned,
    }
}

fn preamble(item: &Option<proto::Preamble>, kind: &'static str) -> Result<Preamble, P4InfoError> {
    match item {
        Some(p) if p.id != 0 && !p.name.is_empty() => Ok(Preamble {
            id: p.id,
            name: p.name.clone(),
            alias: p.alias.clone(),
        }),
        _ => Err(P4InfoError::NoPreamble { kind }),
    }
}

/// P4Runtime has no width for what it translates to strings.
fn bits(bitwidth: i32) -> u32 {
    match bitwidth.unsigned_abs() {
        0 => STRING_BITS,
        width => width,
    }
}

fn size(in_p4info: i64, unsaid: u32) -> u32 {
    match u32::try_from(in_p4info) {
        Ok(0) | Err(_) => unsaid,
        Ok(size) => size,
    }
}

fn unit(spec: Option<&proto::MeterSpec>) -> MeterUnit {
    match spec.map(proto::MeterSpec::unit) {
        Some(proto::meter_spec::Unit::Packets) => MeterUnit::Packets,
        _ => MeterUnit::Bytes,
    }
}
