//! What happens on the fabric, one line or one JSON document for each batch.

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::agent::v1::{gone, inventory_event, link_key};
use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use super::fabric;
use super::hosts::{self, HostView};
use super::links::LinkView;
use super::ports::PortView;

/// A batch of news of a device.
#[derive(Debug, Serialize)]
pub struct NewsView {
    pub device: String,
    pub device_id: u64,
    /// Where the device is after it; can be given to any controller.
    pub boot_id: String,
    pub sequence: u64,
    /// fresh, loading or stale.
    pub view: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Forget what was known.
    pub snapshot: bool,
    /// The device has left the cluster.
    pub removed: bool,
    pub events: Vec<EventView>,
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub struct EventView {
    /// 0 in snapshots.
    pub sequence: u64,
    #[serde(flatten)]
    pub change: ChangeView,
}

/// What is new, otherwise or gone.
#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum ChangeView {
    Port(Box<PortView>),
    Link(Box<LinkView>),
    Host(HostView),
    Table(TableView),
    Gone(GoneView),
}

/// How full a table is.
#[derive(Debug, Serialize)]
pub struct TableView {
    pub name: String,
    pub id: u32,
    pub entries: u64,
    pub capacity: u64,
}

/// What is no longer there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GoneView {
    Port(u32),
    /// The port here, and who was there.
    Link(String),
    /// Its address.
    Host(String),
    Table(u32),
}

impl From<pb::TopologyBatch> for NewsView {
    fn from(batch: pb::TopologyBatch) -> Self {
        let fresh = batch.freshness.unwrap_or_default();
        let (view, _) = fabric::freshness(&fresh);
        let events = batch.events.into_iter().filter_map(|event| {
            Some(EventView {
                sequence: event.sequence,
                change: ChangeView::new(event.change?)?,
            })
        });
        Self {
            device: batch.device,
            device_id: batch.device_id,
            boot_id: batch.boot_id,
            sequence: batch.sequence,
            view,
            reason: fresh.reason,
            snapshot: batch.snapshot,
            removed: batch.removed,
            events: events.collect(),
        }
    }
}

impl ChangeView {
    fn new(change: inventory_event::Change) -> Option<Self> {
        Some(match change {
            inventory_event::Change::Port(port) => Self::Port(Box::new(port.into())),
            inventory_event::Change::Link(link) => Self::Link(Box::new(link.into())),
            inventory_event::Change::Host(host) => Self::Host(host.into()),
            inventory_event::Change::Table(table) => Self::Table(TableView {
                name: table.name,
                id: table.id,
                entries: table.entries,
                capacity: table.capacity,
            }),
            inventory_event::Change::Gone(gone) => Self::Gone(match gone.item? {
                gone::Item::Port(number) => GoneView::Port(number),
                gone::Item::Link(key) => GoneView::Link(link_words(&key)),
                gone::Item::Host(key) => GoneView::Host(hosts::mac_text(&key.mac)),
                gone::Item::Table(id) => GoneView::Table(id),
            }),
        })
    }

    fn words(&self) -> String {
        match self {
            Self::Port(port) => format!("port {} is {}", port.name, port.state),
            Self::Link(link) => {
                let who = match link.device_id {
                    Some(id) => format!("device {id}, port {}", link.remote_port.unwrap_or(0)),
                    None => link.chassis_id.clone(),
                };
                format!("port {} leads to {who}: {}", link.local_port, link.state)
            }
            Self::Host(host) => {
                let ports: Vec<_> = host.ports.iter().map(u32::to_string).collect();
                let addresses = hosts::addresses_text(&host.addresses);
                let ports = ports.join(", ");
                format!("host {} is at port {ports}: {addresses}", host.mac)
            }
            Self::Table(table) => {
                format!(
                    "table {} has {} of {}",
                    table.name, table.entries, table.capacity
                )
            }
            Self::Gone(GoneView::Port(number)) => format!("port {number} is gone"),
            Self::Gone(GoneView::Link(link)) => format!("{link} no more"),
            Self::Gone(GoneView::Host(mac)) => format!("host {mac} is gone"),
            Self::Gone(GoneView::Table(id)) => format!("table {id} is gone"),
        }
    }
}

fn link_words(key: &agent_pb::LinkKey) -> String {
    let who = match &key.neighbor {
        Some(link_key::Neighbor::Cluster(cluster)) => {
            format!("device {}, port {}", cluster.device_id, cluster.port)
        }
        Some(link_key::Neighbor::Foreign(_)) | None => "its neighbour".to_owned(),
    };
    format!("port {} leads to {who}", key.local_port)
}

/// A batch for people: a line for each change, or one for all of a snapshot.
pub fn text(news: &NewsView) -> String {
    let device = &news.device;
    if news.removed {
        return format!("{device}  -  is no device of the cluster any more\n");
    }
    let line = |sequence: u64, words: &str| format!("{device}  {sequence}  {words}\n");
    let of_view = || match news.reason.as_str() {
        "" => format!("the view is {}", news.view),
        reason => format!("the view is {}: {reason}", news.view),
    };
    if news.snapshot {
        let count = news.events.len();
        let words = format!("everything anew, {count} items or more; {}", of_view());
        return line(news.sequence, &words);
    }
    if news.events.is_empty() {
        return line(news.sequence, &of_view());
    }
    let lines = news.events.iter().filter(|event| event.sequence > 0);
    lines
        .map(|event| line(event.sequence, &event.change.words()))
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn batch(changes: Vec<inventory_event::Change>) -> pb::TopologyBatch {
        let events = (8..).zip(changes).map(|(sequence, change)| {
            let change = Some(change);
            agent_pb::InventoryEvent { sequence, change }
        });
        pb::TopologyBatch {
            device: "leaf1".into(),
            device_id: 1,
            boot_id: "boot".into(),
            sequence: 9,
            events: events.collect(),
            freshness: Some(pb::Freshness {
                state: pb::freshness::State::Fresh.into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn port_down() -> inventory_event::Change {
        inventory_event::Change::Port(agent_pb::Port {
            number: 1,
            name: "swp1".into(),
            oper_state: agent_pb::OperState::Down.into(),
            ..Default::default()
        })
    }

    #[test]
    fn each_change_is_a_line() {
        let cluster = agent_pb::ClusterNeighbor {
            device_id: 11,
            port: 2,
        };
        let key = agent_pb::LinkKey {
            local_port: 1,
            neighbor: Some(link_key::Neighbor::Cluster(cluster)),
        };
        let gone = inventory_event::Change::Gone(agent_pb::Gone {
            item: Some(gone::Item::Link(key)),
        });
        let news = NewsView::from(batch(vec![port_down(), gone]));
        expect![[r#"
            leaf1  8  port swp1 is down
            leaf1  9  port 1 leads to device 11, port 2 no more
        "#]]
        .assert_eq(&text(&news));
    }

    #[test]
    fn a_view_that_becomes_stale_says_why() {
        let stale = pb::TopologyBatch {
            freshness: Some(pb::Freshness {
                state: pb::freshness::State::Stale.into(),
                milliseconds: 0,
                reason: "its agent has ended the stream".into(),
            }),
            ..batch(vec![])
        };
        expect![[r#"
            leaf1  9  the view is stale: its agent has ended the stream
        "#]]
        .assert_eq(&text(&stale.into()));
    }

    #[test]
    fn programs_read_one_document_a_line() {
        let gone = inventory_event::Change::Gone(agent_pb::Gone {
            item: Some(gone::Item::Port(3)),
        });
        let news = NewsView::from(batch(vec![gone]));
        expect![[r#"{"device":"leaf1","device_id":1,"boot_id":"boot","sequence":9,"view":"fresh","snapshot":false,"removed":false,"events":[{"sequence":8,"what":"gone","port":3}]}"#]].assert_eq(&serde_json::to_string(&news).unwrap());
    }
}
