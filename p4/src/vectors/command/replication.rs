//! Multicast groups and clone sessions, as simple_switch's command line makes them.
//!
//! Nodes are numbered in the order of their creation; a group is the nodes associated with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::dataplane::{CloneSession, Operation, Replica};

use super::Parsed;
use super::value::numbers;

/// Groups, nodes and sessions so far.
#[derive(Debug, Default)]
pub(super) struct Replication {
    nodes: Vec<Node>,
    /// The nodes of each group.
    groups: BTreeMap<u32, Vec<usize>>,
    sessions: BTreeMap<u32, Session>,
    /// What a data plane has not been told yet.
    changed_groups: BTreeSet<u32>,
    changed_sessions: BTreeSet<u32>,
}

#[derive(Debug)]
struct Node {
    rid: u32,
    ports: Vec<u32>,
}

/// Where the clones of a session go.
#[derive(Debug, Clone, Copy)]
enum Session {
    Port(u32),
    Group(u32),
}

impl Replication {
    /// Reads a command; returns whether there is one of that name.
    pub(super) fn add(&mut self, name: &str, rest: &str) -> Parsed<bool> {
        let numbers = match name {
            "mc_mgrp_create" | "mc_mgrp_destroy" | "mc_node_create" | "mc_node_update"
            | "mc_node_associate" | "mc_node_dissociate" | "mirroring_add" | "mirroring_add_mc"
            | "mirroring_delete" => numbers(rest)?,
            _ => return Ok(false),
        };
        match (name, numbers.as_slice()) {
            ("mc_mgrp_create", [group]) => {
                self.groups.insert(*group, Vec::new());
            }
            ("mc_mgrp_destroy", [group]) => {
                self.groups.remove(group);
                self.group_changed(*group);
            }
            ("mc_node_create", [rid, ports @ ..]) => self.nodes.push(Node {
                rid: *rid,
                ports: sorted(ports),
            }),
            ("mc_node_update", [node, ports @ ..]) => self.update(*node, ports)?,
            ("mc_node_associate", [group, node]) => {
                let node = self.node(*node)?;
                self.nodes_of(*group)?.push(node);
                self.group_changed(*group);
            }
            ("mc_node_dissociate", [group, node]) => {
                let node = self.node(*node)?;
                self.nodes_of(*group)?.retain(|n| *n != node);
                self.group_changed(*group);
            }
            ("mirroring_add", [session, port]) => {
                self.session(*session, Some(Session::Port(*port)))
            }
            ("mirroring_add_mc", [session, group]) => {
                self.session(*session, Some(Session::Group(*group)));
            }
            ("mirroring_delete", [session]) => self.session(*session, None),
            _ => return Err(format!("{name} does not take {} numbers", numbers.len())),
        }
        Ok(true)
    }

    /// What has changed since the last call.
    pub(super) fn take(&mut self) -> Vec<Operation> {
        let groups = std::mem::take(&mut self.changed_groups);
        let sessions = std::mem::take(&mut self.changed_sessions);
        let groups = groups
            .into_iter()
            .map(|group| Operation::SetMulticastGroup {
                group,
                replicas: self.replicas(group),
            });
        let sessions = sessions.into_iter().map(|session| {
            let replicas = self.sessions.get(&session).map(|to| match to {
                Session::Group(group) => self.replicas(*group),
                Session::Port(port) => vec![Replica::new(*port, 0)],
            });
            Operation::SetCloneSession {
                session,
                clone: replicas.map(|replicas| CloneSession {
                    replicas,
                    packet_length_bytes: 0,
                }),
            }
        });
        groups.chain(sessions).collect()
    }

    fn update(&mut self, number: u32, ports: &[u32]) -> Parsed<()> {
        let node = self.node(number)?;
        self.nodes[node].ports = sorted(ports);
        let member = |(group, nodes): (&u32, &Vec<usize>)| nodes.contains(&node).then_some(*group);
        let groups: Vec<u32> = self.groups.iter().filter_map(member).collect();
        groups
            .into_iter()
            .for_each(|group| self.group_changed(group));
        Ok(())
    }

    fn session(&mut self, session: u32, to: Option<Session>) {
        match to {
            Some(to) => self.sessions.insert(session, to),
            None => self.sessions.remove(&session),
        };
        self.changed_sessions.insert(session);
    }

    /// A session copies what a group is, so that it changes with it.
    fn group_changed(&mut self, group: u32) {
        self.changed_groups.insert(group);
        let users = self.sessions.iter().filter_map(|(session, to)| match to {
            Session::Group(of) if *of == group => Some(*session),
            _ => None,
        });
        self.changed_sessions.extend(users);
    }

    fn node(&self, number: u32) -> Parsed<usize> {
        let node = number as usize;
        match node < self.nodes.len() {
            true => Ok(node),
            false => Err(format!("there is no node {number}")),
        }
    }

    fn nodes_of(&mut self, group: u32) -> Parsed<&mut Vec<usize>> {
        let nodes = self.groups.get_mut(&group);
        nodes.ok_or_else(|| format!("there is no group {group}"))
    }

    fn replicas(&self, group: u32) -> Vec<Replica> {
        let nodes = self.groups.get(&group).into_iter().flatten();
        nodes
            .map(|node| &self.nodes[*node])
            .flat_map(|node| node.ports.iter().map(|port| Replica::new(*port, node.rid)))
            .collect()
    }
}

/// A node's ports are a set, which BMv2 goes through in ascending order.
fn sorted(ports: &[u32]) -> Vec<u32> {
    let ports: BTreeSet<u32> = ports.iter().copied().collect();
    ports.into_iter().collect()
}
