//! Keys and values of applications, and what changes of them.

use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::table::{Cell, Table};

/// What is shown of a value in a line.
const SHOWN_CHARACTERS: usize = 60;

/// A key and its value: as text if it is text, else in hexadecimal.
#[derive(Debug, Serialize)]
pub struct EntryView {
    pub namespace: String,
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_hex: Option<String>,
    pub revision: u64,
    pub created_revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
}

impl From<pb::KvEntry> for EntryView {
    fn from(entry: pb::KvEntry) -> Self {
        let (value, value_hex) = match String::from_utf8(entry.value) {
            Ok(text) => (Some(text), None),
            Err(error) => {
                let bytes = error.as_bytes().iter();
                (
                    None,
                    Some(bytes.map(|byte| format!("{byte:02x}")).collect()),
                )
            }
        };
        Self {
            namespace: entry.namespace,
            key: entry.key,
            value,
            value_hex,
            revision: entry.revision,
            created_revision: entry.created_revision,
            lease: (entry.lease != 0).then_some(entry.lease),
        }
    }
}

impl EntryView {
    /// The value in one line.
    fn shown(&self) -> String {
        let (text, start) = match (&self.value, &self.value_hex) {
            (Some(text), _) => (text.as_str(), ""),
            (None, hex) => (hex.as_deref().unwrap_or_default(), "0x"),
        };
        let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < text.len() {
            shown += "...";
        }
        // Line breaks and the like would spoil the columns.
        let shown: String = shown.chars().flat_map(char::escape_debug).collect();
        format!("{start}{}", shown.replace("\\\"", "\"").replace("\\'", "'"))
    }
}

/// A line each.
pub fn table(entries: &[EntryView]) -> Table {
    let mut table = Table::new(["NAMESPACE", "KEY", "REVISION", "LEASE", "VALUE"]);
    for entry in entries {
        let lease = entry.lease.map(|lease| lease.to_string());
        table.row([
            Cell::from(entry.namespace.as_str()),
            Cell::from(entry.key.as_str()),
            Cell::number(entry.revision),
            Cell::number(lease.unwrap_or_default()),
            Cell::from(entry.shown()),
        ]);
    }
    table
}

/// A change of a key.
#[derive(Debug, Serialize)]
pub struct ChangeView {
    pub revision: u64,
    pub namespace: String,
    pub key: String,
    pub deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryView>,
}

impl ChangeView {
    /// What the controller says of it.
    pub fn new(revision: u64, event: pb::KvEvent) -> Self {
        Self {
            revision,
            namespace: event.namespace,
            key: event.key,
            deleted: event.entry.is_none(),
            entry: event.entry.map(EntryView::from),
        }
    }

    /// The change for people.
    pub fn line(&self) -> String {
        let what = match &self.entry {
            Some(entry) => format!(
                "put     {}/{} = {}",
                self.namespace,
                self.key,
                entry.shown()
            ),
            None => format!("delete  {}/{}", self.namespace, self.key),
        };
        format!("{:>8}  {what}\n", self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_in_one_line_and_anything_else_in_hexadecimal() {
        let entry = |value: &[u8], lease| {
            EntryView::from(pb::KvEntry {
                namespace: "app".into(),
                key: "a".into(),
                value: value.to_vec(),
                created_revision: 1,
                revision: 7,
                lease,
            })
        };
        let long = "x".repeat(100);
        let entries = [
            entry(b"{\"a\": 1}\n", 0),
            entry(&[0xff, 0], 12),
            entry(long.as_bytes(), 0),
        ];
        expect_test::expect![[r#"
            NAMESPACE  KEY  REVISION  LEASE  VALUE
            app        a           7         {"a": 1}\n
            app        a           7     12  0xff00
            app        a           7         xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
        "#]]
        .assert_eq(&table(&entries).render(false));
    }
}
