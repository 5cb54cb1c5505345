//! Resolves a p4info against the program it was compiled with.

use std::sync::Arc;

use pointsman_proto::p4::config::v1 as proto;

use crate::ir::{self, MatchKind, Program};

use super::model::{
    Action, ActionProfile, ActionRef, ActionScope, MatchField, MatchType, Object, PacketHeader,
    Param, Preamble, Table, ValueSet,
};
use super::{P4InfoError, Pipeline, Place, in_program_order, is_left_out};

impl Pipeline {
    /// Resolves a p4info against its program.
    ///
    /// # Errors
    /// The first thing that is wrong with the p4info or differs from the program.
    pub fn new(program: Arc<Program>, info: &proto::P4Info) -> Result<Pipeline, P4InfoError> {
        let present = Present {
            info,
            program: &program,
        };
        let mut pipeline = Pipeline {
            program: program.clone(),
            tables: Vec::new(),
            actions: each(&info.actions, |a| action(a, &program))?,
            profiles: present.each("action profile", &info.action_profiles, |p, program| {
                profile(p, program)
            })?,
            counters: present.each("counter", &info.counters, |o, program| {
                named(
                    &o.preamble,
                    "counter",
                    &program.counters,
                    |o| &o.name,
                    ir::CounterId,
                )
            })?,
            direct_counters: present.each(
                "direct counter",
                &info.direct_counters,
                |o, program| {
                    named(
                        &o.preamble,
                        "direct counter",
                        &program.counters,
                        |o| &o.name,
                        ir::CounterId,
                    )
                },
            )?,
            meters: present.each("meter", &info.meters, |o, program| {
                named(
                    &o.preamble,
                    "meter",
                    &program.meters,
                    |o| &o.name,
                    ir::MeterId,
                )
            })?,
            direct_meters: present.each("direct meter", &info.direct_meters, |o, program| {
                named(
                    &o.preamble,
                    "direct meter",
                    &program.meters,
                    |o| &o.name,
                    ir::MeterId,
                )
            })?,
            registers: present.each("register", &info.registers, |o, program| {
                named(
                    &o.preamble,
                    "register",
                    &program.registers,
                    |o| &o.name,
                    ir::RegisterId,
                )
            })?,
            digests: present.each("digest", &info.digests, |o, program| {
                named(
                    &o.preamble,
                    "digest",
                    &program.learn_lists,
                    |o| &o.name,
                    ir::LearnListId,
                )
            })?,
            value_sets: present.each("value set", &info.value_sets, value_set)?,
            packet_headers: each(&info.controller_packet_metadata, packet_header)?,
            places: Default::default(),
        };
        pipeline.index()?;
        pipeline.tables = present.each("table", &info.tables, |t, _| table(t, info, &pipeline))?;
        for index in 0..pipeline.tables.len() {
            let id = pipeline.tables[index].preamble.id;
            pipeline.place(id, Place::Table(index))?;
        }
        Ok(pipeline)
    }

    fn index(&mut self) -> Result<(), P4InfoError> {
        macro_rules! all {
            ($($list:ident as $place:ident),*) => {$(
                for index in 0..self.$list.len() {
                    self.place(self.$list[index].preamble.id, Place::$place(index))?;
                }
            )*};
        }
        all!(actions as Action, profiles as Profile, counters as Counter);
        all!(direct_counters as DirectCounter, meters as Meter);
        all!(direct_meters as DirectMeter, registers as Register);
        all!(digests as Digest, value_sets as ValueSet);
        Ok(())
    }

    fn place(&mut self, id: u32, place: Place) -> Result<(), P4InfoError> {
        match self.places.insert(id, place) {
            None => Ok(()),
            Some(_) => Err(P4InfoError::DuplicateId { id }),
        }
    }
}

/// The objects of a p4info that the compiler did not leave out of the program.
struct Present<'a> {
    info: &'a proto::P4Info,
    program: &'a Program,
}

impl Present<'_> {
    fn each<T: Named, U>(
        &self,
        kind: &'static str,
        items: &[T],
        read: impl Fn(&T, &Program) -> Result<U, P4InfoError>,
    ) -> Result<Vec<U>, P4InfoError> {
        let is_there = |item: &&T| !is_left_out(self.info, self.program, kind, item.name());
        let items = items.iter().filter(is_there);
        items.map(|item| read(item, self.program)).collect()
    }
}

/// An object with a preamble.
trait Named {
    fn name(&self) -> &str;
}

macro_rules! have_names {
    ($($kind:ident),*) => {$(
        impl Named for proto::$kind {
            fn name(&self) -> &str {
                self.preamble.as_ref().map(|p| p.name.as_str()).unwrap_or_default()
            }
        }
    )*};
}

have_names!(
    Table,
    ActionProfile,
    Counter,
    DirectCounter,
    Meter,
    DirectMeter,
    Register,
    Digest,
    ValueSet
);

fn each<T, U>(
    items: &[T],
    read: impl FnMut(&T) -> Result<U, P4InfoError>,
) -> Result<Vec<U>, P4InfoError> {
    items.iter().map(read).collect()
}

fn preamble(
    preamble: &Option<proto::Preamble>,
    kind: &'static str,
) -> Result<Preamble, P4InfoError> {
    match preamble {
        Some(p) if p.id != 0 && !p.name.is_empty() => Ok(Preamble {
            id: p.id,
            name: p.name.clone(),
            alias: p.alias.clone(),
        }),
        _ => Err(P4InfoError::NoPreamble { kind }),
    }
}

/// Finds the object of the program that has the same name.
fn named<T, Id>(
    item: &Option<proto::Preamble>,
    kind: &'static str,
    list: &[T],
    name: fn(&T) -> &String,
    id: fn(u32) -> Id,
) -> Result<Object<Id>, P4InfoError> {
    let preamble = preamble(item, kind)?;
    let index = list
        .iter()
        .position(|x| *name(x) == preamble.name)
        .ok_or_else(|| P4InfoError::NotInProgram {
            kind,
            name: preamble.name.clone(),
        })?;
    Ok(Object {
        preamble,
        object: id(index as u32),
    })
}

/// P4Runtime writes 0 for a type that is translated to strings. Such a program runs; its values
/// cannot be written.
fn width(bitwidth: i32, what: impl Fn() -> String) -> Result<u32, P4InfoError> {
    u32::try_from(bitwidth).map_err(|_| P4InfoError::Unsupported {
        what: "a negative width".to_owned(),
        name: what(),
    })
}

fn action(item: &proto::Action, program: &Program) -> Result<Action, P4InfoError> {
    let preamble = preamble(&item.preamble, "action")?;
    let mut params = each(&item.params, |p| {
        Ok(Param {
            id: p.id,
            name: p.name.clone(),
            width: width(p.bitwidth, || format!("{}.{}", preamble.name, p.name))?,
        })
    })?;
    in_program_order(program, &preamble.name, &mut params, |p| &p.name);
    Ok(Action { preamble, params })
}

fn profile(item: &proto::ActionProfile, program: &Program) -> Result<ActionProfile, P4InfoError> {
    let found = named(
        &item.preamble,
        "action profile",
        &program.action_profiles,
        |p| &p.name,
        ir::ActionProfileId,
    )?;
    Ok(ActionProfile {
        preamble: found.preamble,
        profile: found.object,
        tables: item.table_ids.clone(),
        with_selector: item.with_selector,
        size: item.size,
        max_group_size: item.max_group_size,
    })
}

fn value_set(item: &proto::ValueSet, program: &Program) -> Result<ValueSet, P4InfoError> {
    let found = named(
        &item.preamble,
        "value set",
        &program.value_sets,
        |v| &v.name,
        ir::ValueSetId,
    )?;
    let name = &found.preamble.name;
    let fields = each(&item.r#match, |m| {
        Ok(Param {
            id: m.id,
            name: m.name.clone(),
            width: width(m.bitwidth, || format!("{name}.{}", m.name))?,
        })
    })?;
    let program_width = program.value_sets[found.object.index()].width;
    if fields.iter().all(|field| field.width > 0) {
        expect_equal(
            || format!("the width of the value set {name}"),
            fields.iter().map(|field| field.width).sum(),
            program_width,
        )?;
    }
    Ok(ValueSet {
        preamble: found.preamble,
        value_set: found.object,
        fields,
    })
}

fn packet_header(item: &proto::ControllerPacketMetadata) -> Result<PacketHeader, P4InfoError> {
    let preamble = preamble(&item.preamble, "controller packet header")?;
    let fields = each(&item.metadata, |m| {
        Ok(Param {
            id: m.id,
            name: m.name.clone(),
            width: width(m.bitwidth, || format!("{}.{}", preamble.name, m.name))?,
        })
    })?;
    Ok(PacketHeader { preamble, fields })
}

fn table(
    item: &proto::Table,
    info: &proto::P4Info,
    pipeline: &Pipeline,
) -> Result<Table, P4InfoError> {
    let program = &pipeline.program;
    let found = named(
        &item.preamble,
        "table",
        &program.tables,
        |t| &t.name,
        ir::TableId,
    )?;
    let name = &found.preamble.name;
    let in_program = &program.tables[found.object.index()];
    expect_equal(
        || format!("the number of match fields of the table {name}"),
        item.match_fields.len(),
        in_program.key.len(),
    )?;
    let mut fields = Vec::new();
    for (field, key) in item.match_fields.iter().zip(&in_program.key) {
        fields.push(match_field(field, key, name, info)?);
    }
    let actions = each(&item.action_refs, |reference| {
        action_ref(reference, &found, pipeline)
    })?;
    // p4c leaves an action that nothing can run out of the program.
    let actions = actions.into_iter().flatten().collect();
    let profile = (item.implementation_id != 0).then_some(item.implementation_id);
    if let Some(id) = profile {
        let in_p4info = pipeline.profile(id).ok_or_else(|| P4InfoError::Dangling {
            name: name.clone(),
            kind: "action profile",
            id,
        })?;
        if in_program.implementation != ir::Implementation::Profile(in_p4info.profile) {
            return Err(P4InfoError::Mismatch {
                what: format!("the implementation of the table {name}"),
                p4info: in_p4info.preamble.name.clone(),
                program: "another".to_owned(),
            });
        }
    }
    Ok(Table {
        table: found.object,
        fields,
        actions,
        profile,
        size: item.size,
        is_const: item.is_const_table,
        const_default_action: (item.const_default_action_id != 0)
            .then_some(item.const_default_action_id),
        idle_timeout: item.idle_timeout_behavior
            == proto::table::IdleTimeoutBehavior::NotifyControl as i32,
        preamble: found.preamble,
    })
}

fn match_field(
    item: &proto::MatchField,
    key: &ir::Key,
    table: &str,
    info: &proto::P4Info,
) -> Result<MatchField, P4InfoError> {
    let what = || format!("the field {} of the table {table}", item.name);
    let bits = if is_translated(item.type_name.as_ref(), info) {
        width(item.bitwidth, what)?
    } else {
        // P4Runtime has no width for types such as `error` and `bool`.
        if item.bitwidth != 0 {
            let bits = width(item.bitwidth, what)?;
            expect_equal(|| format!("the width of {}", what()), bits, key.width)?;
        }
        key.width
    };
    let match_type = match item.r#match {
        Some(proto::match_field::Match::MatchType(kind)) => {
            match proto::match_field::MatchType::try_from(kind) {
                Ok(proto::match_field::MatchType::Exact) => Some(MatchType::Exact),
                Ok(proto::match_field::MatchType::Lpm) => Some(MatchType::Lpm),
                Ok(proto::match_field::MatchType::Ternary) => Some(MatchType::Ternary),
                Ok(proto::match_field::MatchType::Range) => Some(MatchType::Range),
                Ok(proto::match_field::MatchType::Optional) => Some(MatchType::Optional),
                _ => None,
            }
        }
        _ => None,
    };
    let match_type = match_type.ok_or_else(|| P4InfoError::Unsupported {
        what: "the match type".to_owned(),
        name: what(),
    })?;
    // p4c raises the kind of all fields of a table to the widest that BMv2 needs.
    let fits = match match_type {
        MatchType::Exact => key.kind == MatchKind::Exact,
        MatchType::Lpm => matches!(key.kind, MatchKind::Lpm | MatchKind::Ternary),
        MatchType::Ternary => key.kind == MatchKind::Ternary,
        MatchType::Range => key.kind == MatchKind::Range,
        MatchType::Optional => matches!(key.kind, MatchKind::Optional | MatchKind::Ternary),
    };
    if !fits {
        return Err(P4InfoError::Mismatch {
            what: format!("the match kind of {}", what()),
            p4info: format!("{match_type:?}"),
            program: format!("{:?}", key.kind),
        });
    }
    Ok(MatchField {
        id: item.id,
        name: item.name.clone(),
        width: bits,
        match_type,
        kind: key.kind,
    })
}

fn is_translated(type_name: Option<&proto::P4NamedType>, info: &proto::P4Info) -> bool {
    let Some(types) = &info.type_info else {
        return false;
    };
    type_name
        .and_then(|named| types.new_types.get(&named.name))
        .is_some_and(|new_type| {
            matches!(
                new_type.representation,
                Some(proto::p4_new_type_spec::Representation::TranslatedType(_))
            )
        })
}

fn action_ref(
    item: &proto::ActionRef,
    table: &Object<ir::TableId>,
    pipeline: &Pipeline,
) -> Result<Option<ActionRef>, P4InfoError> {
    let in_p4info = pipeline
        .action(item.id)
        .ok_or_else(|| P4InfoError::Dangling {
            name: table.preamble.name.clone(),
            kind: "action",
            id: item.id,
        })?;
    let name = &in_p4info.preamble.name;
    let program = &pipeline.program;
    let Some(action) = program.table_action_by_name(table.object, name) else {
        return Ok(None);
    };
    expect_equal(
        || format!("the number of parameters of the action {name}"),
        in_p4info.params.len(),
        program.actions[action.index()].params.len(),
    )?;
    Ok(Some(ActionRef {
        id: item.id,
        action,
        scope: match proto::action_ref::Scope::try_from(item.scope) {
            Ok(proto::action_ref::Scope::TableOnly) => ActionScope::TableOnly,
            Ok(proto::action_ref::Scope::DefaultOnly) => ActionScope::DefaultOnly,
            _ => ActionScope::TableAndDefault,
        },
    }))
}

fn expect_equal<T: PartialEq + ToString>(
    what: impl Fn() -> String,
    p4info: T,
    program: T,
) -> Result<(), P4InfoError> {
    if p4info == program {
        return Ok(());
    }
    Err(P4InfoError::Mismatch {
        what: what(),
        p4info: p4info.to_string(),
        program: program.to_string(),
    })
}
