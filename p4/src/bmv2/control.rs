//! Pipelines: tables, branches and action profiles.

use std::collections::HashMap;

use num_bigint::BigUint;

use crate::ir::{
    Action, ActionCall, ActionId, ActionProfile, ActionProfileId, Calculation, CalculationId,
    Conditional, ConditionalId, ConstEntry, Control, ControlKind, DefaultAction, Implementation,
    Node, Selector, Table, TableId, TableNext,
};

use super::cursor::{Cursor, Read};
use super::entry;
use super::expr::Exprs;
use super::key;
use super::objects::{self, Names};
use super::shapes::Shapes;

/// What the pipelines of a program consist of.
#[derive(Default)]
pub(super) struct Controls {
    pub(super) tables: Vec<Table>,
    pub(super) conditionals: Vec<Conditional>,
    pub(super) action_profiles: Vec<ActionProfile>,
    /// Where each control starts, once read.
    ingress: Option<Option<Node>>,
    egress: Option<Option<Node>>,
    profile_ids: HashMap<String, ActionProfileId>,
}

/// What reading a control needs to look at.
pub(super) struct Context<'s> {
    pub(super) shapes: &'s Shapes,
    pub(super) names: &'s Names,
    pub(super) actions: &'s [Action],
    pub(super) action_ids: &'s HashMap<u32, ActionId>,
}

impl Controls {
    /// Reads all pipelines. The hashes of selectors are added to `calculations`.
    pub(super) fn read(
        root: &Cursor,
        context: &Context,
        calculations: &mut Vec<Calculation>,
    ) -> Read<Controls> {
        let mut controls = Controls::default();
        let pipelines = root.get("pipelines").items()?;
        for pipeline in &pipelines {
            controls.read_profiles(pipeline, context.shapes, calculations)?;
        }
        for pipeline in &pipelines {
            controls.read_pipeline(pipeline, context)?;
        }
        Ok(controls)
    }

    /// One of the two controls.
    pub(super) fn control(&self, kind: ControlKind) -> Control {
        let start = match kind {
            ControlKind::Ingress => self.ingress,
            ControlKind::Egress => self.egress,
        };
        Control {
            kind,
            start: start.flatten(),
        }
    }

    fn read_profiles(
        &mut self,
        pipeline: &Cursor,
        shapes: &Shapes,
        calculations: &mut Vec<Calculation>,
    ) -> Read<()> {
        let profiles = pipeline.get("action_profiles").items()?;
        // Old compilers write the profile into its table.
        let tables = pipeline.get("tables").items()?;
        let in_tables = tables
            .into_iter()
            .filter(|t| !t.get("act_prof_name").is_null());
        for item in profiles.into_iter().chain(in_tables) {
            let name = match item.get("act_prof_name").opt_str()? {
                Some(name) => name,
                None => item.get("name").str()?,
            };
            // A profile that both controls use stands in both pipelines.
            if self.profile_ids.contains_key(name) {
                continue;
            }
            let selector = item.get("selector");
            let selector = if selector.is_null() {
                None
            } else {
                let calculation = CalculationId(calculations.len() as u32);
                calculations.push(objects::calculation(&selector, name.to_owned(), shapes)?);
                Some(Selector { calculation })
            };
            let id = ActionProfileId(self.action_profiles.len() as u32);
            self.profile_ids.insert(name.to_owned(), id);
            self.action_profiles.push(ActionProfile {
                name: name.to_owned(),
                size: item.get("max_size").opt_u32()?.unwrap_or_default(),
                selector,
                source: item.source(),
            });
        }
        Ok(())
    }

    fn read_pipeline(&mut self, pipeline: &Cursor, context: &Context) -> Read<()> {
        let name = pipeline.get("name");
        let control = match name.str()? {
            "ingress" => ControlKind::Ingress,
            "egress" => ControlKind::Egress,
            other => return Err(name.unsupported(format!("the pipeline {other:?}"))),
        };
        let slot = match control {
            ControlKind::Ingress => &self.ingress,
            ControlKind::Egress => &self.egress,
        };
        if slot.is_some() {
            return Err(name.unsupported("a second pipeline of this name"));
        }
        let tables = pipeline.get("tables").items()?;
        let conditionals = pipeline.get("conditionals").items()?;
        let calls = pipeline.get("action_calls").items()?;
        let mut nodes = Nodes::default();
        for table in &tables {
            let id = context.names.tables[table.get("name").str()?];
            nodes.insert(table, Node::Table(id))?;
        }
        for (i, item) in conditionals.iter().enumerate() {
            let id = ConditionalId((self.conditionals.len() + i) as u32);
            nodes.insert(item, Node::Conditional(id))?;
        }
        for call in &calls {
            let id = context.names.tables[call.get("name").str()?];
            nodes.insert(call, Node::Table(id))?;
        }
        for table in &tables {
            let table = self.table(table, control, &nodes, context)?;
            self.tables.push(table);
        }
        for call in &calls {
            self.tables
                .push(call_table(call, control, &nodes, context)?);
        }
        for item in &conditionals {
            self.conditionals.push(Conditional {
                name: item.get("name").str()?.to_owned(),
                control,
                condition: Exprs::new(context.shapes).value(&item.get("expression"))?,
                then: nodes.find(&item.get("true_next"))?,
                otherwise: nodes.find(&item.get("false_next"))?,
                source: item.source(),
            });
        }
        let start = Some(nodes.find(&pipeline.get("init_table"))?);
        match control {
            ControlKind::Ingress => self.ingress = start,
            ControlKind::Egress => self.egress = start,
        }
        self.refuse_cycles(pipeline, &nodes)
    }

    fn table(
        &self,
        item: &Cursor,
        control: ControlKind,
        nodes: &Nodes,
        context: &Context,
    ) -> Read<Table> {
        let kind = item.get("type");
        let implementation = match kind.str()? {
            "simple" => Implementation::Direct,
            "indirect" | "indirect_ws" => {
                let name = profile_name(item);
                let id = self
                    .profile_ids
                    .get(name.str()?)
                    .ok_or_else(|| name.unknown("action profile", name.value()))?;
                Implementation::Profile(*id)
            }
            other => return Err(kind.unsupported(format!("a table of type {other:?}"))),
        };
        let parts = item.get("key").items()?;
        let key = parts
            .iter()
            .map(|part| key::read(part, context.shapes))
            .collect::<Read<Vec<_>>>()?;
        let actions = context.table_actions(item)?;
        let meter = item.get("direct_meters");
        Ok(Table {
            name: item.get("name").str()?.to_owned(),
            control,
            next: next(item, &actions, nodes, context)?,
            implementation,
            default: default_action(item, context)?,
            size: table_size(item)?,
            counter: None,
            meter: match meter.is_null() {
                true => None,
                false => Some(context.names.meter(&meter)?),
            },
            idle_timeout: item.get("support_timeout").bool_or_false()?,
            entries: const_entries(item, &key, context)?,
            key,
            actions,
            source: item.source(),
        })
    }

    /// Follows every way through a control; a node seen again on its own way closes a cycle.
    fn refuse_cycles(&self, pipeline: &Cursor, nodes: &Nodes) -> Read<()> {
        let mut done: HashMap<Node, bool> = HashMap::new();
        let mut stack: Vec<(Node, bool)> = nodes.by_name.values().map(|n| (*n, false)).collect();
        while let Some((node, leaving)) = stack.pop() {
            if leaving {
                done.insert(node, true);
                continue;
            }
            if done.contains_key(&node) {
                continue;
            }
            done.insert(node, false);
            stack.push((node, true));
            for next in self.successors(node) {
                match done.get(&next) {
                    Some(true) => {}
                    Some(false) => {
                        return Err(pipeline
                            .invalid(format!("{:?} leads back to itself", self.node_name(next))));
                    }
                    None => stack.push((next, false)),
                }
            }
        }
        Ok(())
    }

    fn successors(&self, node: Node) -> Vec<Node> {
        match node {
            Node::Conditional(id) => {
                let conditional = &self.conditionals[id.index()];
                [conditional.then, conditional.otherwise]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Node::Table(id) => match &self.tables[id.index()].next {
                TableNext::HitMiss { hit, miss } => [*hit, *miss].into_iter().flatten().collect(),
                TableNext::Action { actions, otherwise } => actions
                    .iter()
                    .filter_map(|(_, next)| *next)
                    .chain(*otherwise)
                    .collect(),
            },
        }
    }

    fn node_name(&self, node: Node) -> &str {
        match node {
            Node::Table(id) => &self.tables[id.index()].name,
            Node::Conditional(id) => &self.conditionals[id.index()].name,
        }
    }
}

/// The nodes of one pipeline by name.
#[derive(Default)]
struct Nodes {
    by_name: HashMap<String, Node>,
}

impl Nodes {
    fn insert(&mut self, item: &Cursor, node: Node) -> Read<()> {
        super::shapes::insert_named(&mut self.by_name, item, "table or condition", node)
    }

    fn find(&self, name: &Cursor) -> Read<Option<Node>> {
        match name.opt_str()? {
            None => Ok(None),
            Some(text) => self
                .by_name
                .get(text)
                .map(|node| Some(*node))
                .ok_or_else(|| name.unknown("table or condition", text)),
        }
    }
}

impl Context<'_> {
    fn action(&self, id: &Cursor) -> Read<ActionId> {
        let number = id.u32()?;
        self.action_ids
            .get(&number)
            .copied()
            .ok_or_else(|| id.unknown("action", number))
    }

    /// The actions that a table may run, by id; old compilers have only names.
    fn table_actions(&self, table: &Cursor) -> Read<Vec<ActionId>> {
        let ids = table.get("action_ids");
        if !ids.is_null() {
            return ids.items()?.iter().map(|id| self.action(id)).collect();
        }
        let by_name = |name: &Cursor| {
            let text = name.str()?;
            let found = self.actions.iter().position(|action| action.name == text);
            found
                .map(|index| ActionId(index as u32))
                .ok_or_else(|| name.unknown("action", text))
        };
        table.get("actions").items()?.iter().map(by_name).collect()
    }

    /// An action with its arguments, checked against its parameters.
    fn call(&self, item: &Cursor) -> Read<ActionCall> {
        let action = self.action(&item.get("action_id"))?;
        let data = item.get("action_data");
        let args: Vec<BigUint> = data
            .items()?
            .iter()
            .map(Cursor::uint)
            .collect::<Read<_>>()?;
        let Action { name, params, .. } = &self.actions[action.index()];
        if args.len() != params.len() {
            return Err(data.invalid(format!(
                "{} arguments for the action {name:?}, which has {} parameters",
                args.len(),
                params.len()
            )));
        }
        for (arg, param) in args.iter().zip(params) {
            if arg.bits() > u64::from(param.width) {
                return Err(data.invalid(format!(
                    "{arg:#x} does not fit the parameter {:?} of {} bits",
                    param.name, param.width
                )));
            }
        }
        Ok(ActionCall { action, args })
    }
}

fn profile_name<'c>(table: &Cursor<'c>) -> Cursor<'c> {
    let name = table.get("action_profile");
    match name.is_null() {
        true => table.get("act_prof_name"),
        false => name,
    }
}

/// The most entries that a table asks for.
pub(super) fn table_size(item: &Cursor) -> Read<u32> {
    Ok(item.get("max_size").opt_u32()?.unwrap_or(1024))
}

fn default_action(item: &Cursor, context: &Context) -> Read<Option<DefaultAction>> {
    let default = item.get("default_entry");
    if default.is_null() {
        return Ok(None);
    }
    Ok(Some(DefaultAction {
        call: context.call(&default)?,
        is_const: default.get("action_const").bool_or_false()?,
    }))
}

fn next(item: &Cursor, actions: &[ActionId], nodes: &Nodes, context: &Context) -> Read<TableNext> {
    let by_name = item.get("next_tables");
    let Some(map) = by_name.value().as_object() else {
        return Err(by_name.wrong("an object"));
    };
    let find = |key: &str| match map.get(key) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(name) => name
            .as_str()
            .and_then(|name| nodes.by_name.get(name))
            .map(|node| Some(*node))
            .ok_or_else(|| by_name.unknown("table or condition", name)),
    };
    if map.contains_key("__HIT__") || map.contains_key("__MISS__") {
        return Ok(TableNext::HitMiss {
            hit: find("__HIT__")?,
            miss: find("__MISS__")?,
        });
    }
    let otherwise = nodes.find(&item.get("base_default_next"))?;
    let mut by_action = Vec::new();
    for action in actions {
        let name = &context.actions[action.index()].name;
        let next = if map.contains_key(name) {
            find(name)?
        } else {
            otherwise
        };
        by_action.push((*action, next));
    }
    Ok(TableNext::Action {
        actions: by_action,
        otherwise,
    })
}

fn const_entries(
    item: &Cursor,
    key: &[crate::ir::Key],
    context: &Context,
) -> Read<Vec<ConstEntry>> {
    let items = item.get("entries").items()?;
    let mut entries = Vec::new();
    for item in &items {
        entries.push((
            item.get("priority").opt_u32()?.unwrap_or_default(),
            ConstEntry {
                key: entry::read_key(&item.get("match_key"), key)?,
                priority: 0,
                call: context.call(&item.get("action_entry"))?,
                source: item.source(),
            },
        ));
    }
    // In BMv2 the lower number wins, in P4Runtime the higher one.
    if key.iter().any(|k| entry::has_priority(k.kind)) {
        let highest = entries.iter().map(|(p, _)| *p).max().unwrap_or_default();
        for (priority, entry) in &mut entries {
            entry.priority = i32::try_from(highest - *priority)
                .ok()
                .and_then(|p| p.checked_add(1))
                .ok_or_else(|| {
                    item.get("entries")
                        .invalid("the priorities are too far apart")
                })?;
        }
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// An action called straight from a control: a table without key that always runs it.
fn call_table(
    item: &Cursor,
    control: ControlKind,
    nodes: &Nodes,
    context: &Context,
) -> Read<Table> {
    let call = context.call(item)?;
    let next = nodes.find(&item.get("next_node"))?;
    Ok(Table {
        name: item.get("name").str()?.to_owned(),
        control,
        key: Vec::new(),
        actions: vec![call.action],
        implementation: Implementation::Direct,
        default: Some(DefaultAction {
            call,
            is_const: true,
        }),
        next: TableNext::HitMiss {
            hit: next,
            miss: next,
        },
        size: 0,
        counter: None,
        meter: None,
        idle_timeout: false,
        entries: Vec::new(),
        source: item.source(),
    })
}

/// Tables get their direct counters, which know them by `binding`.
pub(super) fn bind_counters(tables: &mut [Table], counters: &[crate::ir::Counter]) {
    for (index, counter) in counters.iter().enumerate() {
        if let Some(TableId(table)) = counter.table {
            tables[table as usize].counter = Some(crate::ir::CounterId(index as u32));
        }
    }
}
