//! Settings of the cluster, a line each, or one with all that is to be said of it.

use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::table::{Cell, Table};
use crate::words;

/// A setting.
#[derive(Debug, Serialize)]
pub struct SettingView {
    pub name: String,
    pub value: String,
    pub default: String,
    /// Somebody has set it.
    pub set: bool,
    pub accepts: String,
    pub description: String,
}

impl From<pb::Setting> for SettingView {
    fn from(setting: pb::Setting) -> Self {
        Self {
            name: setting.name,
            value: setting.value,
            default: setting.default_value,
            set: setting.set,
            accepts: setting.accepts,
            description: setting.description,
        }
    }
}

impl SettingView {
    /// The value for people.
    pub fn shown(&self) -> &str {
        shown(&self.value)
    }

    /// All of it for people.
    pub fn text(&self) -> String {
        let default = shown(&self.default);
        format!(
            "{}\n\nvalue:    {}\ndefault:  {default}\naccepts:  {}\n\n{}\n",
            self.name,
            self.shown(),
            self.accepts,
            self.description
        )
    }
}

fn shown(value: &str) -> &str {
    match value {
        "" => "(empty)",
        value => value,
    }
}

/// A line each.
pub fn table(settings: &[SettingView]) -> Table {
    let mut table = Table::new(["SETTING", "VALUE", "DEFAULT", "ACCEPTS"]);
    for setting in settings {
        let value = match setting.set {
            true => Cell::styled(setting.shown(), words::WAITING),
            false => Cell::from(setting.shown()),
        };
        table.row([
            Cell::from(setting.name.as_str()),
            value,
            Cell::from(shown(&setting.default)),
            Cell::from(setting.accepts.as_str()),
        ]);
    }
    table
}
