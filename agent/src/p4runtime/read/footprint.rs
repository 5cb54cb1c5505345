//! The parts of a switch that a Read looks at. A filter that makes no sense needs none.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Filter;

use crate::schema::Schema;
use crate::switch::{Access, Footprint, Part};

/// The parts that these filters may find something in.
pub(super) fn of(schema: &Schema, filters: &[p4::Entity]) -> Footprint {
    let mut parts = Footprint::default();
    for filter in filters.iter().filter_map(|filter| filter.entity.as_ref()) {
        let mut add = |part| parts.add(part, Access::Read);
        match filter {
            Filter::TableEntry(entry) => tables(schema, entry.table_id, add),
            Filter::DirectCounterEntry(entry) => {
                tables(schema, table_id(entry.table_entry.as_ref()), add);
            }
            Filter::DirectMeterEntry(entry) => {
                tables(schema, table_id(entry.table_entry.as_ref()), add);
            }
            Filter::ActionProfileMember(member) => profiles(schema, member.action_profile_id, add),
            Filter::ActionProfileGroup(group) => profiles(schema, group.action_profile_id, add),
            Filter::PacketReplicationEngineEntry(_) => add(Part::Replication),
            Filter::CounterEntry(entry) => {
                let all = schema.counters.iter();
                let wanted = all.filter(|c| entry.counter_id == 0 || entry.counter_id == c.id);
                wanted.for_each(|c| add(Part::Counter(c.ir)));
            }
            Filter::MeterEntry(entry) => {
                let all = schema.meters.iter();
                let wanted = all.filter(|m| entry.meter_id == 0 || entry.meter_id == m.id);
                wanted.for_each(|m| add(Part::Meter(m.ir)));
            }
            Filter::RegisterEntry(entry) => {
                let all = schema.registers.iter();
                let wanted = all.filter(|r| entry.register_id == 0 || entry.register_id == r.id);
                wanted.for_each(|r| add(Part::Register(r.ir)));
            }
            Filter::ValueSetEntry(entry) => {
                let all = schema.value_sets.iter();
                let wanted = all.filter(|s| entry.value_set_id == 0 || entry.value_set_id == s.id);
                wanted.for_each(|s| add(Part::ValueSet(s.set)));
            }
            Filter::DigestEntry(_) => add(Part::Digests),
            Filter::ExternEntry(_) => {}
        }
    }
    parts
}

fn table_id(entry: Option<&p4::TableEntry>) -> u32 {
    entry.map_or(0, |entry| entry.table_id)
}

fn tables(schema: &Schema, id: u32, add: impl FnMut(Part)) {
    let wanted = schema.tables.iter().filter(|t| id == 0 || id == t.id);
    wanted.map(|t| Part::Table(t.table)).for_each(add);
}

fn profiles(schema: &Schema, id: u32, add: impl FnMut(Part)) {
    let wanted = schema.profiles.iter().filter(|p| id == 0 || id == p.id);
    wanted.map(|p| Part::Profile(p.profile)).for_each(add);
}
