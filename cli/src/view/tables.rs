//! Tables of pipelines, how full they are and what is in them.

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::table::{Cell, Table};

/// The tables of one device, or why they are not known.
#[derive(Debug, Serialize)]
pub struct TablesView {
    pub device: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    pub tables: Vec<TableView>,
}

/// One table.
#[derive(Debug, Serialize)]
pub struct TableView {
    pub name: String,
    pub id: u32,
    pub entries: u64,
    pub capacity: u64,
    pub structure: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_text: Vec<String>,
}

impl TablesView {
    /// The tables of one device.
    pub fn new(device: String, tables: Vec<agent_pb::Table>) -> Self {
        let tables = tables.into_iter().map(|table| TableView {
            name: table.name,
            id: table.id,
            entries: table.entries,
            capacity: table.capacity,
            structure: table.structure,
            entry_text: table.entry_text,
        });
        Self {
            device,
            error: String::new(),
            tables: tables.collect(),
        }
    }
}

impl From<pb::DeviceTables> for TablesView {
    fn from(answer: pb::DeviceTables) -> Self {
        Self {
            error: answer.error,
            ..Self::new(answer.device, answer.tables)
        }
    }
}

/// A share of a capacity in percent, rounded up so that only nothing is 0%.
fn percent(used: u64, capacity: u64) -> String {
    if capacity == 0 {
        String::new()
    } else {
        format!("{}%", (used * 100).div_ceil(capacity))
    }
}

/// The columns that are shown only if more are wanted.
pub const WIDE: &[&str] = &["ID"];

/// Tables for people, each with the entries that were asked for below it.
pub fn table(devices: &[TablesView]) -> Table {
    let mut text = Table::new([
        "DEVICE",
        "TABLE",
        "ID",
        "ENTRIES",
        "CAPACITY",
        "USED",
        "STRUCTURE",
    ]);
    for device in devices {
        for table in &device.tables {
            text.row([
                device.device.as_str().into(),
                table.name.as_str().into(),
                Cell::number(table.id),
                Cell::number(table.entries),
                Cell::number(table.capacity),
                Cell::number(percent(table.entries, table.capacity)),
                table.structure.as_str().into(),
            ]);
            for entry in &table.entry_text {
                text.note(&**entry);
            }
        }
        if !device.error.is_empty() {
            text.note(format!("{}: {}", device.device, device.error));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn tables_show_how_full_they_are_and_their_entries() {
        let routes = agent_pb::Table {
            name: "routing_v4".into(),
            id: 1,
            entries: 1,
            capacity: 1000,
            structure: "dir-24-8".into(),
            entry_text: vec!["ipv4_dst=10.0.0.0/8 -> set_next(id=1)".into()],
        };
        let acl = agent_pb::Table {
            name: "acl".into(),
            capacity: 64,
            ..Default::default()
        };
        let devices = [TablesView::new("leaf1".into(), vec![routes, acl])];
        expect![[r#"
            DEVICE  TABLE       ENTRIES  CAPACITY  USED  STRUCTURE
            leaf1   routing_v4        1      1000    1%  dir-24-8
              ipv4_dst=10.0.0.0/8 -> set_next(id=1)
            leaf1   acl               0        64    0%
        "#]]
        .assert_eq(&table(&devices).without(WIDE).render(false));
    }
}
