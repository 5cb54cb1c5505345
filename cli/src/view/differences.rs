//! Differences between what files or revisions say, by the lines of YAML.

use anstyle::Style;
use pointsman_model::{Device, Objective, ObjectiveId};
use serde::Serialize;

use crate::table::paint;
use crate::words;

/// One thing that differs: its lines in files before and after.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `device/NAME`, or `DEVICE KIND/NAME`.
    pub subject: String,
    pub before: Vec<String>,
    pub after: Vec<String>,
}

impl Difference {
    /// Of a device.
    pub fn of_device(name: &str, before: Option<&Device>, after: Option<&Device>) -> Difference {
        let lines = |device| lines_of(&pointsman_model::devices_to_yaml([device]), 1);
        Difference {
            subject: format!("device/{name}"),
            before: before.map(lines).unwrap_or_default(),
            after: after.map(lines).unwrap_or_default(),
        }
    }

    /// Of an objective.
    pub fn of_objective(
        device: &str,
        id: &ObjectiveId,
        before: Option<&Objective>,
        after: Option<&Objective>,
    ) -> Difference {
        let lines = |objective| lines_of(&pointsman_model::to_yaml(device, [objective]), 2);
        Difference {
            subject: format!("{device} {}/{}", id.kind, id.name),
            before: before.map(lines).unwrap_or_default(),
            after: after.map(lines).unwrap_or_default(),
        }
    }
}

/// The lines of a document without its first ones, which name the device.
fn lines_of(yaml: &str, head: usize) -> Vec<String> {
    yaml.lines().skip(head).map(str::to_owned).collect()
}

/// Differences for people.
pub fn render(differences: &[Difference], is_coloured: bool) -> String {
    let mut text = String::new();
    let bold = Style::new().bold();
    for Difference {
        subject,
        before,
        after,
    } in differences
    {
        text += &format!("{}\n", paint(subject, bold, is_coloured));
        for line in before.iter().filter(|line| !after.contains(line)) {
            text += &format!("{}\n", paint(&format!("- {line}"), words::BAD, is_coloured));
        }
        for line in after {
            let is_kept = before.contains(line);
            let (mark, style) = if is_kept {
                (' ', Style::new())
            } else {
                ('+', words::GOOD)
            };
            text += &format!("{}\n", paint(&format!("{mark} {line}"), style, is_coloured));
        }
    }
    text
}
