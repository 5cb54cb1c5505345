//! Joins p4info with the program, and refuses a pair that does not fit.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::constraints::{Constraint, Shape, Variable};
use crate::ir::{self, MatchKind, Program};
use crate::p4info::{in_program_order, is_left_out};
use pointsman_proto::p4::config::v1 as p4info;
use pointsman_proto::p4::config::v1::match_field::{Match, MatchType};
use pointsman_proto::p4::config::v1::p4_new_type_spec::Representation;
use pointsman_proto::p4::config::v1::p4_new_type_translation::SdnType;

use super::digest::{DataBuilder, DigestSchema};
use super::meter::MeterType;
use super::object::{ActionSchema, CellSchema, ParamSchema, ProfileSchema, ValueSetSchema};
use super::packet::{PacketField, PacketHeader};
use super::presentation::is_port;
use super::table::{ActionRef, FieldSchema, Scope, TableSchema};
use super::{Presentation, Schema, SchemaError, Translation, p4_id_kind};

impl Schema {
    /// Joins a p4info with the program that it was made with.
    pub fn build(
        info: &p4info::P4Info,
        program: &Program,
        presentation: &Presentation,
    ) -> Result<Schema, SchemaError> {
        Builder {
            info,
            program,
            presentation,
            schema: Schema {
                byte_strings: presentation.byte_strings,
                cpu_port: presentation.cpu_port,
                ..Schema::default()
            },
            seen: HashMap::new(),
            types: HashMap::new(),
        }
        .build()
    }
}

/// Bits of a port in v1model.
const PORT_BITS: u32 = 9;

struct Builder<'a> {
    info: &'a p4info::P4Info,
    program: &'a Program,
    presentation: &'a Presentation,
    schema: Schema,
    /// Every id so far, with the name of its object.
    seen: HashMap<u32, String>,
    /// The types that are translated, by name.
    types: HashMap<String, Arc<Translation>>,
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
            let mut params = Vec::new();
            for param in &action.params {
                let mut actions = self.program.actions.iter();
                let found = actions.find(|a| a.name == preamble.name);
                let found = found.and_then(|a| a.params.iter().find(|p| p.name == param.name));
                let in_program = found.map_or(0, |p| p.width);
                let translation = self.translation(param.type_name.as_ref(), in_program);
                params.push(ParamSchema {
                    id: param.id,
                    name: param.name.clone(),
                    width: width(param.bitwidth, in_program, translation.as_deref()),
                    translation,
                });
            }
            in_program_order(self.program, &preamble.name, &mut params, |p| &p.name);
            self.schema
                .p4_ids
                .insert(preamble.id, self.schema.actions.len());
            let variables = params.iter().map(|param| Variable {
                name: param.name.clone(),
                shape: Shape::Parameter(seen_width(param.width, param.translation.as_deref())),
            });
            let variables = variables.collect();
            let restriction =
                Constraint::of_arguments(&preamble.name, &preamble.annotations, variables)?;
            self.schema.actions.push(ActionSchema {
                id: preamble.id,
                name: preamble.name,
                alias: preamble.alias,
                params,
                restriction,
                references: Vec::new(),
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
        self.digests()?;
        for header in &info.controller_packet_metadata {
            let preamble = self.preamble("a controller header", header.preamble.as_ref())?;
            let header = self.packet_header(header);
            match preamble.name.as_str() {
                "packet_in" => self.schema.packet_in = Some(header),
                "packet_out" => self.schema.packet_out = Some(header),
                _ => {}
            }
        }
        self.schema.ports = self.ports();
        self.schema.link_references(self.info)?;
        Ok(self.schema)
    }

    /// The type that the program has for ports. Of several, the one that is named as the
    /// architecture names it.
    fn ports(&mut self) -> Option<Arc<Translation>> {
        let types = &self.info.type_info.as_ref()?.new_types;
        let mut names: Vec<&String> = types.keys().collect();
        names.sort_by_key(|name| (!name.eq_ignore_ascii_case("PortId_t"), *name));
        let translated = names.into_iter().find_map(|name| {
            let representation = types.get(name)?.representation.as_ref()?;
            let Representation::TranslatedType(translated) = representation else {
                return None;
            };
            is_port(name, &translated.uri).then_some(name)
        })?;
        let name = p4info::P4NamedType {
            name: translated.clone(),
        };
        self.translation(Some(&name), PORT_BITS)
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
        // Older compilers number the headers of controllers' packets as they like.
        if kind != "a controller header" && kind != p4_id_kind(preamble.id) {
            return Err(SchemaError::WrongKind {
                kind,
                name: preamble.name,
                id: preamble.id,
            });
        }
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
            let in_program = ir_table.key[position].width;
            fields.push(self.match_field(&name, position, field, in_program)?);
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
                p4info::action_ref::Scope::TableOnly => Scope::TableOnly,
                p4info::action_ref::Scope::GroupAction => Scope::GroupOnly,
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
        let variables = fields.iter().map(|field| Variable {
            name: field.name.clone(),
            shape: Shape::Key(
                field.kind,
                seen_width(field.width, field.translation.as_deref()),
            ),
        });
        let variables = variables.collect();
        let restriction = Constraint::of_entries(&name, &preamble.annotations, variables)?;
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
            restriction,
            references: Vec::new(),
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
                let in_entries =
                    matches!(reference.scope, Scope::TableAndDefault | Scope::TableOnly);
                if in_entries && !known {
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
            let index = self.translation(counter.index_type_name.as_ref(), 0);
            self.schema
                .counters
                .push(cell(preamble, ir, size, 64, index));
        }
        for meter in &info.meters {
            if self.is_left_out("meter", meter.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a meter", meter.preamble.as_ref())?;
            self.meter_type(meter.spec.as_ref(), &preamble);
            let names = program.meters.iter().map(|m| m.name.as_str());
            let index = position("meter", &preamble.name, names)?;
            let ir = ir::MeterId(index as u32);
            let size = program.meters[index].size;
            let index = self.translation(meter.index_type_name.as_ref(), 0);
            self.schema.meters.push(cell(preamble, ir, size, 64, index));
        }
        for meter in &info.direct_meters {
            if self.is_left_out("direct meter", meter.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a direct meter", meter.preamble.as_ref())?;
            self.meter_type(meter.spec.as_ref(), &preamble);
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
            let index = self.translation(register.index_type_name.as_ref(), 0);
            let register = CellSchema {
                signed: is_signed(register.type_spec.as_ref()),
                ..cell(preamble, ir, found.size, found.width, index)
            };
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
                // A set of one field has that field's width.
                let in_program = program.value_sets[index].width;
                fields.push(self.match_field(&preamble.name, position, field, in_program)?);
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

    fn meter_type(&mut self, spec: Option<&p4info::MeterSpec>, preamble: &p4info::Preamble) {
        let meter_type = MeterType::new(spec, preamble);
        self.schema.meter_types.insert(preamble.id, meter_type);
    }

    fn digests(&mut self) -> Result<(), SchemaError> {
        let info = self.info;
        let program = self.program;
        for digest in &info.digests {
            if self.is_left_out("digest", digest.preamble.as_ref()) {
                continue;
            }
            let preamble = self.preamble("a digest", digest.preamble.as_ref())?;
            let names = program.learn_lists.iter().map(|l| l.name.as_str());
            let index = position("digest", &preamble.name, names)?;
            let elements = program.learn_lists[index].elements.iter();
            let widths: Vec<u32> = elements.map(|(_, width)| *width).collect();
            let data = DataBuilder {
                types: info.type_info.as_ref(),
                widths: widths.into_iter(),
                translation: |name: &p4info::P4NamedType, width| {
                    self.translation(Some(name), width)
                },
            };
            match data.whole(digest.type_spec.as_ref()) {
                Ok(data) => self.schema.digests.push(DigestSchema {
                    id: preamble.id,
                    name: preamble.name,
                    list: ir::LearnListId(index as u32),
                    data,
                }),
                Err(why) => {
                    tracing::warn!(digest = preamble.name, %why, "a digest cannot be sent");
                }
            }
        }
        Ok(())
    }

    fn match_field(
        &mut self,
        owner: &str,
        position: usize,
        field: &p4info::MatchField,
        in_program: u32,
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
        let translation = self.translation(field.type_name.as_ref(), in_program);
        Ok(FieldSchema {
            id: field.id,
            name: field.name.clone(),
            kind,
            width: width(field.bitwidth, in_program, translation.as_deref()),
            translation,
            position,
        })
    }

    /// The header of the program is the one with these fields.
    fn packet_header(&mut self, header: &p4info::ControllerPacketMetadata) -> PacketHeader {
        let names = || header.metadata.iter().map(|m| m.name.as_str());
        let mut headers = self.program.headers.iter();
        let found = headers.find(|h| h.fields.iter().map(|f| f.name.as_str()).eq(names()));
        let fields = header.metadata.iter().enumerate().map(|(index, field)| {
            let in_program = found.map_or(0, |h| h.fields[index].width);
            let translation = self.translation(field.type_name.as_ref(), in_program);
            PacketField {
                id: field.id,
                name: field.name.clone(),
                width: width(field.bitwidth, in_program, translation.as_deref()),
                translation,
                padding: field.annotations.iter().any(|a| a.starts_with("@padding")),
            }
        });
        PacketHeader {
            fields: fields.collect(),
        }
    }

    /// How a type is translated, if it is. `in_program` is 0 where there is no program.
    fn translation(
        &mut self,
        type_name: Option<&p4info::P4NamedType>,
        in_program: u32,
    ) -> Option<Arc<Translation>> {
        let name = &type_name?.name;
        let types = &self.info.type_info.as_ref()?.new_types;
        let translated = match types.get(name)?.representation.as_ref()? {
            Representation::TranslatedType(translated) => translated,
            Representation::OriginalType(_) => return None,
        };
        let presentation = self.presentation;
        let translation = self.types.entry(name.clone()).or_insert_with(|| {
            let width = match (in_program, &translated.sdn_type) {
                (0, Some(SdnType::SdnBitwidth(width))) => width.unsigned_abs(),
                (width, _) => width,
            };
            Arc::new(presentation.translation(name, translated, width))
        });
        Some(Arc::clone(translation))
    }
}

fn cell<Id: Copy + Eq + Hash>(
    preamble: p4info::Preamble,
    ir: Id,
    size: u32,
    width: u32,
    index: Option<Arc<Translation>>,
) -> CellSchema<Id> {
    CellSchema {
        id: preamble.id,
        name: preamble.name,
        ir,
        size,
        width,
        // An index is a number, whatever its type is to controllers.
        index: index.filter(|index| index.sdn_width().is_some()),
        signed: false,
    }
}

fn is_signed(spec: Option<&p4info::P4DataTypeSpec>) -> bool {
    use p4info::p4_bitstring_like_type_spec::TypeSpec as Bitstring;
    use p4info::p4_data_type_spec::TypeSpec;
    match spec.and_then(|spec| spec.type_spec.as_ref()) {
        Some(TypeSpec::Bitstring(spec)) => matches!(spec.type_spec, Some(Bitstring::Int(_))),
        _ => false,
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

/// Bits of a value in the program. P4Runtime has no width for types such as `bool` and `error`, and
/// for what is translated that of controllers.
fn width(in_p4info: i32, in_program: u32, translation: Option<&Translation>) -> u32 {
    match (in_p4info.unsigned_abs(), in_program, translation) {
        (0, in_program, _) => in_program,
        (_, 1.., Some(_)) => in_program,
        (in_p4info, ..) => in_p4info,
    }
}

/// Bits of a value as controllers see it; `None` for strings.
fn seen_width(in_program: u32, translation: Option<&Translation>) -> Option<u32> {
    match translation {
        None => Some(in_program),
        Some(translation) => translation.sdn_width(),
    }
}
