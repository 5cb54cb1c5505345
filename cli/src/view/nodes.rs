//! The controller's nodes.

use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::table::{Cell, Table};
use crate::words;

/// The cluster as the node that was asked sees it.
#[derive(Debug, Serialize)]
pub struct ClusterView {
    pub cluster_id: String,
    pub asked: String,
    pub leader: Option<String>,
    pub nodes: Vec<String>,
    pub revision: u64,
    pub term: u64,
    /// The last entry of the replicated log.
    pub log_index: u64,
    pub version: String,
    /// What is taken back unless it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialView>,
}

/// A change on trial.
#[derive(Debug, Serialize)]
pub struct TrialView {
    pub revision: u64,
    pub back_to: u64,
    /// UTC, as in RFC 3339.
    pub until: String,
}

impl From<pb::ClusterStatus> for ClusterView {
    fn from(status: pb::ClusterStatus) -> Self {
        Self {
            cluster_id: status.cluster_id,
            asked: status.node,
            leader: Some(status.leader).filter(|leader| !leader.is_empty()),
            nodes: status.voters,
            revision: status.revision,
            term: status.term,
            log_index: status.log_index,
            version: status.version,
            trial: status.trial.map(|trial| TrialView {
                revision: trial.revision,
                back_to: trial.back_to,
                until: words::time(trial.until),
            }),
        }
    }
}

/// The columns that are shown only if more are wanted.
pub const WIDE: &[&str] = &["LOG"];

/// The nodes for people.
pub fn table(cluster: &ClusterView) -> Table {
    let mut table = Table::new([
        "NODE", "ROLE", "TERM", "REVISION", "LOG", "CLUSTER", "VERSION",
    ]);
    for node in &cluster.nodes {
        let role = if cluster.leader.as_ref() == Some(node) {
            "leader"
        } else {
            "follower"
        };
        // Only the node that was asked tells its version.
        let version = if *node == cluster.asked {
            cluster.version.as_str()
        } else {
            ""
        };
        table.row([
            node.as_str().into(),
            role.into(),
            Cell::number(cluster.term),
            Cell::number(cluster.revision),
            Cell::number(cluster.log_index),
            cluster.cluster_id.as_str().into(),
            version.into(),
        ]);
    }
    table
}

/// One line about the cluster.
pub fn summary(cluster: &ClusterView) -> String {
    let leader = match &cluster.leader {
        Some(leader) => format!("led by {leader}"),
        None => "without a leader: nothing can be changed".to_owned(),
    };
    let nodes = words::count(cluster.nodes.len(), "node");
    let trial = match &cluster.trial {
        Some(TrialView { back_to, until, .. }) => {
            format!(", on trial: back to {back_to} at {until} unless `pointsman confirm`")
        }
        None => String::new(),
    };
    format!(
        "cluster {} of {nodes}, {leader}, revision {}{trial}",
        cluster.cluster_id, cluster.revision
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_cluster_is_shown_with_its_leader() {
        let cluster = ClusterView::from(pb::ClusterStatus {
            cluster_id: "c0ffee".into(),
            node: "controller-1".into(),
            leader: "controller-1".into(),
            voters: vec!["controller-1".into()],
            revision: 42,
            term: 3,
            log_index: 57,
            version: "0.1.0".into(),
            trial: None,
        });
        expect![[r#"
            NODE          ROLE    TERM  REVISION  CLUSTER  VERSION
            controller-1  leader     3        42  c0ffee   0.1.0
        "#]]
        .assert_eq(&table(&cluster).without(WIDE).render(false));
        expect!["cluster c0ffee of 1 node, led by controller-1, revision 42"]
            .assert_eq(&summary(&cluster));
    }
}
