//! The programs that the suite sets, and their names.
//!
//! They are in `bench/p4`, compiled by stock p4c. What a p4info of 1.5 says in fields and older p4c
//! only in annotations is filled in here, so that a server is asked the same whatever compiled them.

use std::sync::LazyLock;

use pointsman_p4::p4info::parse_p4info;
use pointsman_proto::p4::config::v1 as info;
use pointsman_proto::p4::v1 as p4;

/// Every kind of table, key and extern.
pub static ENTITIES: LazyLock<Program> = LazyLock::new(|| {
    Program::new(
        include_str!("../../p4/entities/p4info.txtpb"),
        include_bytes!("../../p4/entities/bmv2.json"),
    )
});

/// The same with `set_base` as an action for groups only, which servers before 1.5 refuse to read.
pub static GROUP_ACTIONS: LazyLock<Program> = LazyLock::new(|| {
    let mut p4info = ENTITIES.p4info.clone();
    let references = p4info
        .tables
        .iter_mut()
        .flat_map(|table| &mut table.action_refs);
    for action in references {
        if action.annotations.iter().any(|a| a == "@groupaction") {
            action.scope = info::action_ref::Scope::GroupAction.into();
        }
    }
    Program {
        p4info,
        device_config: ENTITIES.device_config,
    }
});

/// Types that controllers see otherwise than the program.
pub static TRANSLATION: LazyLock<Program> = LazyLock::new(|| {
    Program::new(
        include_str!("../../p4/translation/p4info.txtpb"),
        include_bytes!("../../p4/translation/bmv2.json"),
    )
});

/// Restrictions and references.
pub static CONSTRAINTS: LazyLock<Program> = LazyLock::new(|| {
    Program::new(
        include_str!("../../p4/constraints/p4info.txtpb"),
        include_bytes!("../../p4/constraints/bmv2.json"),
    )
});

/// A compiled program.
#[derive(Debug)]
pub struct Program {
    /// What it is called by.
    pub p4info: info::P4Info,
    /// What BMv2 and those who read its format run.
    pub device_config: &'static [u8],
}

impl Program {
    /// Reads what p4c wrote.
    ///
    /// # Panics
    /// If it did not.
    pub fn new(p4info: &str, device_config: &'static [u8]) -> Program {
        let mut p4info = parse_p4info(p4info).expect("p4c wrote it");
        complete(&mut p4info);
        Program {
            p4info,
            device_config,
        }
    }

    /// As it is set.
    pub fn config(&self) -> p4::ForwardingPipelineConfig {
        p4::ForwardingPipelineConfig {
            p4info: Some(self.p4info.clone()),
            p4_device_config: self.device_config.to_vec(),
            cookie: None,
        }
    }

    /// A table by the last part of its name.
    pub fn table(&self, name: &str) -> &info::Table {
        named(&self.p4info.tables, name, |table| table.preamble.as_ref())
    }

    /// An action of a table, by the last part of its name.
    pub fn action_of(&self, table: &info::Table, name: &str) -> &info::Action {
        let actions = table.action_refs.iter().filter_map(|reference| {
            let id = |action: &&info::Action| id(action.preamble.as_ref()) == reference.id;
            self.p4info.actions.iter().find(id)
        });
        named(actions, name, |action| action.preamble.as_ref())
    }

    /// The identifier of an extern by its name: a counter, meter, register, profile or digest.
    pub fn id(&self, name: &str) -> u32 {
        let info = &self.p4info;
        let preambles = (info.action_profiles.iter().map(|o| &o.preamble))
            .chain(info.counters.iter().map(|o| &o.preamble))
            .chain(info.meters.iter().map(|o| &o.preamble))
            .chain(info.value_sets.iter().map(|o| &o.preamble))
            .chain(info.registers.iter().map(|o| &o.preamble))
            .chain(info.digests.iter().map(|o| &o.preamble));
        id(named(preambles, name, |preamble| preamble.as_ref()).as_ref())
    }

    /// The fields of `packet_in` or `packet_out`.
    pub fn header(&self, name: &str) -> &[info::controller_packet_metadata::Metadata] {
        let headers = &self.p4info.controller_packet_metadata;
        &named(headers, name, |header| header.preamble.as_ref()).metadata
    }
}

/// The identifier in a preamble.
pub fn id(preamble: Option<&info::Preamble>) -> u32 {
    preamble.map_or(0, |preamble| preamble.id)
}

/// The object of that name. The programs are our own: a name that is not there is a mistake here.
fn named<'a, T: 'a>(
    objects: impl IntoIterator<Item = &'a T>,
    name: &str,
    preamble: impl Fn(&T) -> Option<&info::Preamble>,
) -> &'a T {
    let mut objects = objects.into_iter();
    let found = objects.find(|object| {
        preamble(object).is_some_and(|preamble| preamble.name.rsplit('.').next() == Some(name))
    });
    found.unwrap_or_else(|| panic!("the program has no {name}"))
}

/// Fields from annotations.
fn complete(p4info: &mut info::P4Info) {
    use info::action_profile::{SelectorSizeSemantics, SumOfMembers, SumOfWeights};
    use info::meter_spec::Type;
    for table in &mut p4info.tables {
        let name = table
            .preamble
            .as_ref()
            .map_or("", |preamble| &preamble.name);
        // Older compilers know only `const entries`.
        if name.ends_with("initial_table") {
            table.is_const_table = false;
            table.has_initial_entries = true;
        }
        table.has_initial_entries |= table.is_const_table;
    }
    for profile in &mut p4info.action_profiles {
        let annotations = annotations(profile.preamble.as_ref());
        profile.weights_disallowed = annotations.iter().any(|a| a == "@weights_disallowed");
        if !profile.with_selector || profile.selector_size_semantics.is_some() {
            continue;
        }
        let members = annotations.iter().any(|a| a.contains("sum_of_members"));
        let weight = annotations.iter().find_map(|a| {
            let number = a.strip_prefix("@max_member_weight(")?.strip_suffix(')')?;
            number.parse().ok()
        });
        profile.selector_size_semantics = Some(if members {
            SelectorSizeSemantics::SumOfMembers(SumOfMembers {
                max_member_weight: weight.unwrap_or_default(),
            })
        } else {
            SelectorSizeSemantics::SumOfWeights(SumOfWeights {})
        });
    }
    for meter in &mut p4info.meters {
        let annotations = annotations(meter.preamble.as_ref());
        let Some(spec) = &mut meter.spec else {
            continue;
        };
        if annotations.iter().any(|a| a == "@single_rate_three_color") {
            spec.r#type = Type::SingleRateThreeColor.into();
        } else if annotations.iter().any(|a| a == "@single_rate_two_color") {
            spec.r#type = Type::SingleRateTwoColor.into();
        }
    }
    for counter in &mut p4info.counters {
        let name = counter.preamble.as_ref().map_or("", |p| &p.name);
        if name.ends_with("port_counts") {
            let name = "port_t".to_owned();
            counter.index_type_name = Some(info::P4NamedType { name });
        }
    }
}

fn annotations(preamble: Option<&info::Preamble>) -> Vec<String> {
    preamble.map_or_else(Vec::new, |preamble| preamble.annotations.clone())
}
