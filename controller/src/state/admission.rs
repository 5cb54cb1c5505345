//! Who may become a node: invitations, each good for one new node and for a time; nodes that have been admitted; and
//! the ids of those that were taken out, which nobody may use again.
//!
//! The secret of a join token is not here, only its digest: whoever reads the state cannot join with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Cluster, Effect, NodeCommand, NodeId, Rejection, Response, RowKey, State, Subject};
use crate::objective::is_usable_name;
use crate::status::Reason;

/// Invitations that are open at a time. They are asked for by operators, one for each new node.
const MAX_INVITATIONS: usize = 64;

/// What is known of nodes before they take part, and after.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admissions {
    /// The digest of each open invitation's secret, and until when it is good, in seconds since 1970.
    #[serde(default)]
    invitations: BTreeMap<String, u64>,
    /// Nodes that have a certificate, by the name that they were given.
    #[serde(default)]
    admitted: BTreeMap<NodeId, String>,
    #[serde(default)]
    removed: BTreeSet<NodeId>,
}

/// Something about who may become a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdmissionCommand {
    /// Lets one more node in.
    Invite {
        /// The digest of the secret.
        secret: String,
        /// Until when it is good.
        until: u64,
        /// The time now. Invitations that were good until earlier are forgotten.
        time: u64,
    },
    /// A node has shown a secret. Answered by [`Response::Admitted`], once.
    Redeem {
        /// The digest of the secret.
        secret: String,
        /// The time now.
        time: u64,
        /// The new node.
        node: NodeId,
        /// What it wants to be called; empty if it does not mind.
        name: String,
    },
    /// A node is one no more, and its id is never used again.
    Remove {
        /// The node.
        node: NodeId,
    },
}

impl Admissions {
    /// Nodes that have been admitted, whether or not they have started since.
    pub fn admitted(&self) -> &BTreeMap<NodeId, String> {
        &self.admitted
    }

    /// The node was taken out.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    /// Some node was taken out.
    pub fn has_removed_any(&self) -> bool {
        !self.removed.is_empty()
    }
}

impl State {
    /// Who may become a node, and who may not.
    pub fn admissions(&self) -> &Admissions {
        &self.admissions
    }

    /// The same wishes in another cluster, in which there is no node yet: devices have no master until one starts.
    #[must_use]
    pub fn in_cluster(mut self, cluster: Cluster) -> Self {
        self.cluster = cluster;
        self.nodes.clear();
        self.admissions = Admissions::default();
        for device in self.devices.values_mut() {
            device.mastership = None;
        }
        self
    }

    pub(super) fn apply_to_admissions(&mut self, command: AdmissionCommand) -> Effect {
        let result = match command {
            AdmissionCommand::Invite {
                secret,
                until,
                time,
            } => self.invite(secret, until, time),
            AdmissionCommand::Redeem {
                secret,
                time,
                node,
                name,
            } => self.redeem(&secret, time, node, name),
            AdmissionCommand::Remove { node } => Ok(self.expel(node)),
        };
        result.unwrap_or_else(|message| {
            let rejection = Rejection::new(Subject::Request, Reason::Conflict, message);
            Effect {
                response: Response::Rejected(vec![rejection]),
                touched: Vec::new(),
            }
        })
    }

    fn invite(&mut self, secret: String, until: u64, time: u64) -> Result<Effect, String> {
        let open = &mut self.admissions.invitations;
        open.retain(|_, until| *until > time);
        if open.len() >= MAX_INVITATIONS {
            return Err(format!(
                "{MAX_INVITATIONS} join tokens are open, and that is all there may be; use one, or wait until one expires"
            ));
        }
        open.insert(secret, until);
        Ok(changed(Response::Done))
    }

    fn redeem(
        &mut self,
        secret: &str,
        time: u64,
        node: NodeId,
        name: String,
    ) -> Result<Effect, String> {
        let another = "`pointsman cluster add` makes another one";
        let Some(until) = self.admissions.invitations.get(secret) else {
            return Err(format!(
                "this cluster knows no such join token: it was used already, or is older than the expired ones that are remembered; {another}"
            ));
        };
        if *until <= time {
            return Err(format!("the join token has expired; {another}"));
        }
        if self.admissions.is_removed(node) || self.admissions.admitted.contains_key(&node) {
            return Err(format!(
                "the id {node} is or was that of another node; join again, with an empty data directory, to draw another one"
            ));
        }
        let name = match name.is_empty() {
            true => self.free_name(),
            false if !is_usable_name(&name) => {
                return Err(format!("{name:?} cannot be the name of a node"));
            }
            false => name,
        };
        if self.has_node_named(&name) {
            return Err(format!(
                "there is a node {name} in the cluster; give another --node-name, or take that one out first with `pointsman cluster remove {name}`"
            ));
        }
        self.admissions.invitations.remove(secret);
        self.admissions.admitted.insert(node, name.clone());
        Ok(changed(Response::Admitted { name }))
    }

    /// What it was master of goes to others in the same step.
    fn expel(&mut self, node: NodeId) -> Effect {
        self.admissions.admitted.remove(&node);
        self.admissions.removed.insert(node);
        let mut effect = changed(Response::Done);
        if self.node(node).is_some() {
            let removed = self.apply_to_node(NodeCommand::Remove { node });
            effect.touched.extend(removed.touched);
        }
        effect
    }

    fn has_node_named(&self, name: &str) -> bool {
        let mut admitted = self.admissions.admitted.values();
        admitted.any(|known| known == name) || self.node_named(name).is_some()
    }

    /// The first of `controller-1`, `controller-2` and so on that nobody has.
    fn free_name(&self) -> String {
        let mut names = (1..).map(|number: u64| format!("controller-{number}"));
        let free = names.find(|name| !self.has_node_named(name));
        free.expect("there are more numbers than nodes")
    }
}

fn changed(response: Response) -> Effect {
    Effect {
        response,
        touched: vec![RowKey::Cluster],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{BootId, Command, NodeSpec};

    const NOW: u64 = 1_000;

    fn apply(state: &mut State, command: AdmissionCommand) -> Response {
        state.apply(Command::Admission(command)).response
    }

    fn invite(state: &mut State, secret: &str) -> Response {
        let invite = AdmissionCommand::Invite {
            secret: secret.into(),
            until: NOW + 60,
            time: NOW,
        };
        apply(state, invite)
    }

    fn redeem(state: &mut State, secret: &str, time: u64, node: NodeId, name: &str) -> Response {
        let redeem = AdmissionCommand::Redeem {
            secret: secret.into(),
            time,
            node,
            name: name.into(),
        };
        apply(state, redeem)
    }

    #[track_caller]
    fn assert_refused(response: Response, why: &str) {
        let Response::Rejected(rejections) = response else {
            panic!("not refused: {response:?}");
        };
        assert!(rejections[0].message.contains(why), "{rejections:?}");
    }

    #[test]
    fn an_invitation_is_good_for_one_node() {
        let mut state = State::default();
        invite(&mut state, "s");
        let name = "controller-1".to_owned();
        assert_eq!(
            redeem(&mut state, "s", NOW, 7, ""),
            Response::Admitted { name }
        );
        assert_refused(redeem(&mut state, "s", NOW, 8, ""), "used already");
    }

    #[test]
    fn an_invitation_is_good_for_its_time() {
        let mut state = State::default();
        invite(&mut state, "s");
        assert_refused(redeem(&mut state, "s", NOW + 60, 7, ""), "has expired");
        redeem(&mut state, "s", NOW + 59, 7, "");
        assert!(state.admissions().admitted().contains_key(&7));
    }

    #[test]
    fn no_two_nodes_have_a_name() {
        let mut state = State::default();
        invite(&mut state, "s");
        invite(&mut state, "t");
        redeem(&mut state, "s", NOW, 7, "left");
        assert_refused(redeem(&mut state, "t", NOW, 8, "left"), "--node-name");
        let name = "right".to_owned();
        assert_eq!(
            redeem(&mut state, "t", NOW, 8, "right"),
            Response::Admitted { name }
        );
    }

    #[test]
    fn the_id_of_a_node_that_was_taken_out_is_never_used_again() {
        let mut state = State::default();
        invite(&mut state, "s");
        invite(&mut state, "t");
        redeem(&mut state, "s", NOW, 7, "left");
        apply(&mut state, AdmissionCommand::Remove { node: 7 });
        assert!(state.admissions().is_removed(7));
        assert_refused(redeem(&mut state, "t", NOW, 7, ""), "the id 7");
        let name = "left".to_owned();
        assert_eq!(
            redeem(&mut state, "t", NOW, 8, "left"),
            Response::Admitted { name },
            "its name is free again"
        );
    }

    #[test]
    fn a_node_that_was_taken_out_does_not_come_back_by_starting() {
        let mut state = State::default();
        let start = || {
            Command::Node(NodeCommand::Start {
                node: 7,
                boot: BootId(1),
                spec: NodeSpec::default(),
            })
        };
        state.apply(start());
        apply(&mut state, AdmissionCommand::Remove { node: 7 });
        assert!(state.node(7).is_none());
        assert_refused(state.apply(start()).response, "pointsman-controller join");
        assert!(state.node(7).is_none());
    }

    #[test]
    fn the_level_rises_with_the_last_node_and_never_falls() {
        let mut state = State::default();
        let mut start = |node: NodeId, level: u32| {
            let boot = BootId(u64::from(level));
            let spec = NodeSpec {
                level,
                ..NodeSpec::default()
            };
            let response = state.apply(Command::Node(NodeCommand::Start { node, boot, spec }));
            (state.level(), response.response)
        };
        assert_eq!(start(7, 1).0, 1);
        assert_eq!(start(8, 1).0, 1);
        assert_eq!(start(7, 2).0, 1, "one after the other is upgraded");
        assert_eq!(start(8, 2).0, 2);
        let (level, response) = start(7, 1);
        assert_eq!(level, 2);
        assert_refused(response, "install a newer version");
    }

    #[test]
    fn open_invitations_are_bounded_and_expired_ones_make_room() {
        let mut state = State::default();
        for number in 0..MAX_INVITATIONS {
            invite(&mut state, &number.to_string());
        }
        assert_refused(invite(&mut state, "more"), "64 join tokens");
        let later = AdmissionCommand::Invite {
            secret: "more".into(),
            until: NOW + 120,
            time: NOW + 60,
        };
        assert_eq!(apply(&mut state, later), Response::Done);
    }
}
