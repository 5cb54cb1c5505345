//! The pipeline's own words in an objective: matches on fields of its tables, and an action of one
//! of them. They are looked up in its p4info here, whatever its manifest says.

use pointsman_model::reader::suggestion;
use pointsman_model::{
    Instruction, Match as Criterion, Objective, ObjectiveKind, P4Criterion, TableAction,
};
use pointsman_p4::dataplane::{Bits, Call};
use pointsman_p4::ir::TableId;
use pointsman_p4::schema::{Schema, Scope, TableSchema};

use super::Refusal;

/// What an objective says in words of the pipeline.
#[derive(Debug, Default)]
pub(super) struct Own {
    matches: Vec<OwnMatch>,
    pub(super) action: Option<OwnAction>,
}

#[derive(Debug)]
struct OwnMatch {
    table: TableId,
    table_name: String,
    field: String,
    matching: Criterion,
    used: bool,
}

/// The action of the entry in a table.
#[derive(Debug, Clone)]
pub(super) struct OwnAction {
    pub(super) table: TableId,
    /// The table's name.
    pub(super) name: String,
    pub(super) call: Call,
}

impl Own {
    /// Refuses names and values that the pipeline does not have.
    pub(super) fn of(objective: &Objective, schema: &Schema) -> Result<Own, Refusal> {
        let (selectors, treatment) = match &objective.kind {
            ObjectiveKind::Filter(filter) => {
                (vec![&filter.key, &filter.conditions], &filter.treatment)
            }
            ObjectiveKind::Forward(forward) => (vec![&forward.selector], &forward.treatment),
            // Buckets choose no actions.
            ObjectiveKind::Next(next) => (vec![&next.meta], &Vec::new()),
        };
        let mut own = Own::default();
        for criterion in selectors.iter().flat_map(|selector| selector.p4()) {
            let found = find_match(criterion, schema)?;
            let same =
                |other: &OwnMatch| (other.table, &other.field) == (found.table, &found.field);
            if own.matches.iter().any(same) {
                let message = format!("{} is matched twice", found.name());
                return Err(Refusal::unsupported(message).at("p4"));
            }
            own.matches.push(found);
        }
        for instruction in treatment {
            if let Instruction::Table(action) = instruction {
                own.action = Some(find_action(action, schema)?);
            }
        }
        Ok(own)
    }

    /// What the field of that table must be, if the objective says so; it counts as used then.
    pub(super) fn take(&mut self, table: TableId, field: &str) -> Option<Criterion> {
        let found = self
            .matches
            .iter_mut()
            .find(|found| found.table == table && found.field == field)?;
        found.used = true;
        Some(found.matching.clone())
    }

    /// Refuses what went into no entry.
    pub(super) fn check_used(&self) -> Result<(), Refusal> {
        match self.matches.iter().find(|found| !found.used) {
            None => Ok(()),
            Some(found) => {
                let (name, table) = (found.name(), &found.table_name);
                let message = format!(
                    "{name} cannot be matched here: the objective makes no entry in table {table}"
                );
                Err(Refusal::unsupported(message).at("p4"))
            }
        }
    }
}

impl OwnMatch {
    fn name(&self) -> String {
        format!("{} of table {}", self.field, self.table_name)
    }
}

fn find_match(criterion: &P4Criterion, schema: &Schema) -> Result<OwnMatch, Refusal> {
    let table = find_table(&criterion.table, schema).map_err(|refusal| refusal.at("p4"))?;
    let names: Vec<_> = table
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    if !names.contains(&criterion.field.as_str()) {
        let help = suggestion(&criterion.field, &names);
        let message = format!(
            "table {} has no field {}; {help}",
            table.alias, criterion.field
        );
        return Err(Refusal::unsupported(message).at("p4"));
    }
    Ok(OwnMatch {
        table: table.table,
        table_name: table.alias.clone(),
        field: criterion.field.clone(),
        matching: criterion.matching.clone(),
        used: false,
    })
}

fn find_table<'s>(name: &str, schema: &'s Schema) -> Result<&'s TableSchema, Refusal> {
    schema.table_named(name).ok_or_else(|| {
        let tables = schema.tables.iter();
        let names: Vec<_> = tables.map(|table| table.alias.as_str()).collect();
        let help = suggestion(name, &names);
        Refusal::unsupported(format!("it has no table {name}; {help}"))
    })
}

fn find_action(wanted: &TableAction, schema: &Schema) -> Result<OwnAction, Refusal> {
    let refuse = |message: String| Refusal::unsupported(message).at("table");
    let table = find_table(&wanted.name, schema).map_err(|refusal| refusal.at("table"))?;
    if table.profile.is_some() {
        let message = format!(
            "the actions of table {} are in an action profile",
            table.alias
        );
        return Err(refuse(message));
    }
    let usable = table.actions.iter();
    let usable = usable.filter(|action| action.scope != Scope::DefaultOnly);
    let actions: Vec<_> = usable
        .filter_map(|usable| Some((usable.action, schema.action(usable.id)?)))
        .collect();
    let named = |action: &str| action == wanted.action;
    let found = actions
        .iter()
        .find(|(_, action)| named(&action.name) || named(&action.alias));
    let Some((id, action)) = found else {
        let names: Vec<_> = actions
            .iter()
            .map(|(_, action)| action.alias.as_str())
            .collect();
        let help = suggestion(&wanted.action, &names);
        let message = format!(
            "the entries of table {} have no action {}; {help}",
            table.alias, wanted.action
        );
        return Err(refuse(message));
    };
    let names: Vec<_> = action
        .params
        .iter()
        .map(|param| param.name.as_str())
        .collect();
    if let Some(unknown) = wanted
        .args
        .keys()
        .find(|name| !names.contains(&name.as_str()))
    {
        let help = suggestion(unknown, &names);
        return Err(refuse(format!(
            "action {} has no parameter {unknown}; {help}",
            action.alias
        )));
    }
    let mut args = Vec::with_capacity(action.params.len());
    for param in &action.params {
        let Some(value) = wanted.args.get(&param.name) else {
            let message = format!("action {} needs its parameter {}", action.alias, param.name);
            return Err(refuse(message));
        };
        let value = Bits::from_be_bytes(&value.to_be_bytes());
        if value.bit_length() > param.width {
            let (name, width) = (&param.name, param.width);
            return Err(refuse(format!(
                "{value} does not fit into the {width} bits of {name}"
            )));
        }
        args.push(value);
    }
    let call = Call {
        action: *id,
        args: args.into(),
    };
    Ok(OwnAction {
        table: table.table,
        name: table.alias.clone(),
        call,
    })
}
