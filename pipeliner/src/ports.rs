//! The ports that objectives may name.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_model::PortRef;
use pointsman_proto::pointsman::objective::v1::Reason;

use super::Refusal;

/// How many known ports a refusal lists.
const LISTED: usize = 12;

/// The switch's ports by name. A number is known if one of the names has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    numbers: BTreeMap<String, u32>,
    down: BTreeSet<u32>,
}

impl Ports {
    /// From names with their P4 port numbers. All are up.
    pub fn new(ports: impl IntoIterator<Item = (String, u32)>) -> Ports {
        Ports {
            numbers: ports.into_iter().collect(),
            down: BTreeSet::new(),
        }
    }

    /// The same, with these numbers down.
    pub fn with_down(self, down: BTreeSet<u32>) -> Ports {
        Ports { down, ..self }
    }

    /// Whether a port is there that cannot carry packets.
    pub fn is_down(&self, port: &PortRef) -> bool {
        self.number(port)
            .is_ok_and(|number| self.down.contains(&number))
    }

    /// The P4 port number of `port`.
    pub(super) fn number(&self, port: &PortRef) -> Result<u32, Refusal> {
        let number = match port {
            PortRef::Number(number) => self
                .numbers
                .values()
                .find(|known| *known == number)
                .copied(),
            PortRef::Name(name) => self.numbers.get(name).copied(),
        };
        number.ok_or_else(|| {
            let mut known: Vec<_> = self
                .numbers
                .iter()
                .map(|(name, number)| (number, name))
                .collect();
            known.sort();
            let known = known
                .iter()
                .map(|(number, name)| format!("{name} ({number})"));
            let mut known: Vec<_> = known.collect();
            let more = known.len().saturating_sub(LISTED);
            known.truncate(LISTED);
            let list = match (known.is_empty(), more) {
                (true, _) => "it has no ports yet".to_owned(),
                (false, 0) => format!("it has {}", known.join(", ")),
                (false, more) => format!("it has {} and {more} more", known.join(", ")),
            };
            let message = format!("the switch has no port {port}; {list}");
            Refusal::new(Reason::UnknownPort, message)
        })
    }
}
