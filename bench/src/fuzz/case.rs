//! A difference as a file: the steps that lead to it, in the program's own names.
//!
//! ```json
//! {
//!   "about": "what was wrong",
//!   "steps": [
//!     { "insert": { "table": "ingress.t", "match": ["0x1", "0xa000000/8", "0x1&&&0xff", "*", "0x1..0x5"],
//!                   "priority": 7, "action": "ingress.set_port(0x1, 0x2)" } },
//!     { "packet": { "port": 1, "bytes": "0123...", "out": ["2 0123..."] } }
//!   ]
//! }
//! ```
//! Matches are in the order of the table's key. An action is a call, `member 3` or `group 2`. What should leave
//! (`out`, by port) may be missing; then the planes only have to agree.

use std::sync::Arc;

use pointsman_p4::ir::Program;
use serde::{Deserialize, Serialize};

use super::names::NameError;
use super::replay::interpret;
use super::script::{Script, Shape};

/// A case: steps, and why they are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// What was wrong, for readers.
    pub about: String,
    /// Instructions of each program of a chain, if it was one.
    #[serde(default)]
    pub chain: Option<usize>,
    /// Whether it was loaded as for an old kernel.
    #[serde(default)]
    pub floor: bool,
    /// The steps, in order.
    pub steps: Vec<StepText>,
}

/// A step in names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum StepText {
    Insert(EntryText),
    Modify(EntryText),
    Delete(KeyText),
    Default {
        table: String,
        action: Option<String>,
    },
    Member {
        profile: String,
        member: u32,
        action: String,
    },
    DeleteMember {
        profile: String,
        member: u32,
    },
    Group {
        profile: String,
        group: u32,
        #[serde(default, skip_serializing_if = "is_false")]
        first_live: bool,
        members: Vec<MemberText>,
    },
    DeleteGroup {
        profile: String,
        group: u32,
    },
    Multicast {
        group: u32,
        replicas: Vec<[u32; 2]>,
    },
    CloneSession {
        session: u32,
        replicas: Option<Vec<[u32; 2]>>,
        #[serde(default)]
        cut_to_bytes: u32,
    },
    ValueSet {
        set: String,
        members: Vec<String>,
    },
    Register {
        register: String,
        index: u32,
        value: String,
    },
    Counter {
        counter: String,
        index: u32,
        packets: u64,
        bytes: u64,
    },
    Meter {
        meter: String,
        index: u32,
        config: Option<[u64; 4]>,
    },
    DirectMeter {
        entry: KeyText,
        config: Option<[u64; 4]>,
    },
    DefaultMeter {
        table: String,
        config: Option<[u64; 4]>,
    },
    Port {
        port: u32,
        up: bool,
    },
    Packet {
        port: u32,
        bytes: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out: Option<Vec<String>>,
    },
}

/// What makes an entry the one it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct KeyText {
    pub table: String,
    #[serde(rename = "match")]
    pub matches: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

/// An entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EntryText {
    #[serde(flatten)]
    pub key: KeyText,
    pub action: String,
}

/// A member of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MemberText {
    pub member: u32,
    pub weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_port: Option<u32>,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers can be written")
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl CaseFile {
    /// The script that is meant.
    pub fn script(&self, program: &Program) -> Result<Script, NameError> {
        let steps = self.steps.iter().map(|step| step.step(program));
        Ok(Script {
            shape: Shape {
                chain: self.chain,
                floor: self.floor,
            },
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// Steps with what leaves the interpreter after each packet.
    pub fn record(about: String, program: &Arc<Program>, script: &Script) -> CaseFile {
        let Script { shape, steps } = script;
        let outputs = interpret(program, steps);
        let text = steps.iter().zip(outputs).map(|(step, outputs)| {
            let mut text = StepText::new(program, step);
            if let StepText::Packet { out, .. } = &mut text {
                *out = Some(outputs);
            }
            text
        });
        CaseFile {
            about,
            chain: shape.chain,
            floor: shape.floor,
            steps: text.collect(),
        }
    }

    /// As text, a line for each step.
    pub fn to_json(&self) -> String {
        let about = json(&self.about);
        let steps = self.steps.iter().map(|step| format!("    {}", json(step)));
        let steps: Vec<String> = steps.collect();
        let steps = steps.join(",\n");
        let chain = self.chain.map(|chain| format!("  \"chain\": {chain},\n"));
        let chain = chain.unwrap_or_default();
        let floor = if self.floor {
            "  \"floor\": true,\n"
        } else {
            ""
        };
        format!("{{\n  \"about\": {about},\n{chain}{floor}  \"steps\": [\n{steps}\n  ]\n}}\n")
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}
