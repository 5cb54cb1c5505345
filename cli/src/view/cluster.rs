//! The nodes of the controller.

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::cluster_node::Role;
use serde::Serialize;

use crate::table::{Cell, Table};
use crate::words;

/// The cluster as the node that was asked sees it.
#[derive(Debug, Serialize)]
pub struct ClusterNodesView {
    pub cluster_id: String,
    pub epoch: u64,
    pub level: u32,
    pub revision: u64,
    pub term: u64,
    pub log_index: u64,
    /// The name of the node that was asked.
    pub asked: String,
    pub nodes: Vec<NodeView>,
}

/// A node.
#[derive(Debug, Serialize)]
pub struct NodeView {
    /// As text, because programs that read JSON may have no integers of 64 bits.
    pub id: String,
    pub name: String,
    pub role: &'static str,
    pub state: &'static str,
    pub devices: u32,
    pub peer_address: String,
    pub api_address: String,
    pub version: String,
    pub level: u32,
}

impl From<pb::GetClusterResponse> for ClusterNodesView {
    fn from(answer: pb::GetClusterResponse) -> Self {
        let asked = answer.nodes.iter().find(|node| node.id == answer.asked);
        Self {
            cluster_id: answer.cluster_id,
            epoch: answer.epoch,
            level: answer.level,
            revision: answer.revision,
            term: answer.term,
            log_index: answer.log_index,
            asked: asked.map(|node| node.name.clone()).unwrap_or_default(),
            nodes: answer.nodes.into_iter().map(NodeView::from).collect(),
        }
    }
}

impl From<pb::ClusterNode> for NodeView {
    fn from(node: pb::ClusterNode) -> Self {
        Self {
            id: node.id.to_string(),
            role: match node.role() {
                Role::Leader => "leader",
                Role::Voter => "voter",
                Role::Learner => "learner",
                Role::Unspecified => "admitted",
            },
            state: match (node.live, node.draining) {
                (false, _) => "down",
                (true, true) => "drained",
                (true, false) => "up",
            },
            name: node.name,
            devices: node.devices,
            peer_address: node.peer_address,
            api_address: node.api_address,
            version: node.version,
            level: node.level,
        }
    }
}

impl ClusterNodesView {
    fn voters(&self) -> impl Iterator<Item = &NodeView> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| matches!(node.role, "leader" | "voter"))
    }

    fn leader(&self) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.role == "leader")
    }

    /// Somebody leads, and everybody is there.
    pub fn is_well(&self) -> bool {
        self.leader().is_some() && self.voters().all(|node| node.state != "down")
    }

    /// How many more nodes may be lost.
    fn spare(&self) -> usize {
        let voters = self.voters().count();
        let live = self.voters().filter(|node| node.state != "down").count();
        live.saturating_sub(voters / 2 + 1)
    }
}

/// The columns that are shown only if more are wanted.
pub const WIDE: &[&str] = &["ID", "LEVEL"];

/// The nodes for people.
pub fn table(cluster: &ClusterNodesView) -> Table {
    let mut table = Table::new([
        "NODE", "ID", "ROLE", "STATE", "DEVICES", "API", "PEERS", "VERSION", "LEVEL",
    ]);
    for node in &cluster.nodes {
        let style = match node.state {
            "up" => words::GOOD,
            "down" => words::BAD,
            _ => words::WAITING,
        };
        table.row([
            node.name.as_str().into(),
            Cell::number(&node.id),
            node.role.into(),
            Cell::styled(node.state, style),
            Cell::number(node.devices),
            node.api_address.as_str().into(),
            node.peer_address.as_str().into(),
            node.version.as_str().into(),
            Cell::number(node.level),
        ]);
    }
    table
}

/// One line about the cluster.
pub fn summary(cluster: &ClusterNodesView) -> String {
    let leader = match cluster.leader() {
        Some(leader) => format!("led by {}", leader.name),
        None => "without a leader: nothing can be changed".to_owned(),
    };
    let spare = match cluster.spare() {
        0 => "no node may be lost".to_owned(),
        spare => format!("{} more may be lost", words::count(spare, "node")),
    };
    let id = &cluster.cluster_id;
    format!("cluster {id}, {leader}; {spare}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn node(id: u64, role: Role, live: bool) -> pb::ClusterNode {
        pb::ClusterNode {
            id,
            name: format!("controller-{id}"),
            role: role.into(),
            peer_address: format!("10.0.0.{id}:9701"),
            api_address: format!("10.0.0.{id}:9700"),
            version: "0.1.0".into(),
            level: 1,
            live,
            draining: false,
            devices: 2,
        }
    }

    fn three_of_which_one_is_down() -> ClusterNodesView {
        ClusterNodesView::from(pb::GetClusterResponse {
            cluster_id: "c0ffee".into(),
            asked: 2,
            nodes: vec![
                node(1, Role::Voter, false),
                node(2, Role::Leader, true),
                node(3, Role::Voter, true),
            ],
            ..Default::default()
        })
    }

    #[test]
    fn a_node_that_is_down_is_shown_and_makes_the_cluster_unwell() {
        let cluster = three_of_which_one_is_down();
        assert!(!cluster.is_well());
        expect![[r#"
            NODE          ROLE    STATE  DEVICES  API            PEERS          VERSION
            controller-1  voter   down         2  10.0.0.1:9700  10.0.0.1:9701  0.1.0
            controller-2  leader  up           2  10.0.0.2:9700  10.0.0.2:9701  0.1.0
            controller-3  voter   up           2  10.0.0.3:9700  10.0.0.3:9701  0.1.0
        "#]]
        .assert_eq(&table(&cluster).without(WIDE).render(false));
    }

    #[test]
    fn the_summary_says_how_many_may_be_lost() {
        let cluster = three_of_which_one_is_down();
        expect!["cluster c0ffee, led by controller-2; no node may be lost"]
            .assert_eq(&summary(&cluster));
    }
}
