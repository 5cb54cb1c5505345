//! What ports say of a next that is in the data plane: whether all of it is of use.
//!
//! The data plane finds its way round a dead port by itself; this only tells people. So it is called after the event,
//! by whoever knows the ports ([`crate::agent`]), and when an objective is applied.

use pointsman_model::{
    Bucket, Instruction, Kind, Next, NextType, Objective, ObjectiveId, ObjectiveKind, PortRef,
};
use pointsman_proto::pointsman::objective::v1::State;

use super::drift::drifted;
use super::{Objectives, Status};
use crate::pipeliner::{Book, Ports};

impl Objectives {
    /// Ports have come up or gone down.
    pub fn ports_turned(&mut self, ports: &Ports) {
        let nexts = self
            .wanted
            .iter_mut()
            .filter(|(id, wanted)| id.kind == Kind::Next && wanted.status.state == State::Applied);
        for (id, wanted) in nexts {
            let revision = wanted.status.revision;
            let status = in_force(&self.book, &wanted.objective, ports, revision);
            if wanted.status != status {
                wanted.status = status;
                self.changed.insert(id.clone());
            }
        }
    }
}

/// How an objective fares that the data plane holds.
pub(super) fn in_force(book: &Book, objective: &Objective, ports: &Ports, revision: u64) -> Status {
    if let Some(drifted) = drifted(book, &objective.id(), revision) {
        return drifted;
    }
    let degraded = match &objective.kind {
        ObjectiveKind::Next(next) => what_is_down(book, next, ports),
        ObjectiveKind::Filter(_) | ObjectiveKind::Forward(_) => None,
    };
    match degraded {
        Some(message) => Status::degraded(revision, message),
        None => Status::applied(revision),
    }
}

/// Which buckets lead to a port that is down, and what becomes of packets; `None` if none does.
fn what_is_down(book: &Book, next: &Next, ports: &Ports) -> Option<String> {
    let outputs = (1..).zip(&next.buckets);
    let outputs = outputs.map(|(number, bucket)| (number, output(book, bucket)));
    let (down, live): (Vec<_>, Vec<_>) =
        outputs.partition(|(_, port)| port.is_some_and(|port| ports.is_down(port)));
    let is_down = |(number, port): &(u32, Option<&PortRef>)| {
        let port = port.expect("a bucket without a port is never down");
        format!("port {port} of bucket {number} is down")
    };
    if down.is_empty() {
        return None;
    }
    let down: Vec<_> = down.iter().map(is_down).collect();
    let so = match (next.next_type, live.first()) {
        (_, None) => "packets are lost".to_owned(),
        (NextType::Failover, Some((number, port))) => {
            let port = port.map_or_else(String::new, |port| format!(", port {port}"));
            format!("packets take bucket {number}{port}")
        }
        (NextType::Broadcast, _) => "no copy leaves there".to_owned(),
        (NextType::Hashed | NextType::Simple, _) => "its flows take the others".to_owned(),
    };
    Some(format!("{}; {so}", down.join(", ")))
}

/// Where a bucket sends packets to, itself or by the next that it names.
fn output<'a>(book: &'a Book, bucket: &'a Bucket) -> Option<&'a PortRef> {
    let named = bucket.next.as_ref().and_then(|name| {
        let id = ObjectiveId {
            kind: Kind::Next,
            name: name.clone(),
        };
        match &book.objective(&id)?.kind {
            ObjectiveKind::Next(next) => next.buckets.first(),
            _ => None,
        }
    });
    let treatment = &named.unwrap_or(bucket).treatment;
    treatment.iter().find_map(|step| match step {
        Instruction::Output(port) => Some(port),
        _ => None,
    })
}
