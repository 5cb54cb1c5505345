//! Says that this node leads, and notices when nobody does.
//!
//! openraft's own timers are tied to its time limits for requests, which have to
//! be long enough for large ones. So this task keeps a faster pace: a leader says
//! every [`BEAT`] that it is there, past all queues, and a voter that has heard
//! nothing for a [`LEASE`] stands for election, if a majority would have it ([`canvass`]).
//! Voters do so one after the other, so that the first one has won before the second begins. The rules of Raft are
//! openraft's. Its voters believe in a leader for longer than a [`LEASE`], and
//! refuse to vote until then; one that is asked, and has heard nothing either,
//! ends that by standing for election itself. Of two candidates of one term the one
//! with the higher id wins, so mostly one round decides; not if the other one has more
//! of the log, which no voter goes without. So whoever has not won waits for longer
//! each time, and as long as chance has it: the other one wins meanwhile.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::metrics::RaftServerMetrics;
use openraft::{BasicNode, ServerState};
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::append_entries_response::Outcome;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::canvass;
use super::links::Links;
use super::network;
use super::types::{Raft, Vote};
use super::wire;
use crate::state::NodeId;

/// How often a leader says that it leads.
pub const BEAT: Duration = Duration::from_millis(25);
/// How long voters believe in a leader that says nothing.
pub const LEASE: Duration = Duration::from_millis(100);
/// A voter that is next in line gets this long to win before the one after it tries.
const HEAD_START: Duration = Duration::from_millis(30);
/// How often that can double for those who have not won: to half a second.
const MOST_DOUBLINGS: u32 = 4;
/// Before a voter whom the others would not have asks them once more.
const PAUSE: Duration = Duration::from_millis(15);
/// A leader that has heard no majority for this long takes no more requests, and nobody makes any to a leader that was not
/// heard for as long.
const SILENCE: Duration = Duration::from_millis(500);

/// When this node last heard of its leader, and as a leader of a majority.
pub struct Contact {
    leader: Mutex<Instant>,
    majority: Mutex<(Vote, Instant)>,
    appending: AtomicUsize,
    lost: Notify,
}

fn lock<T>(moment: &Mutex<T>) -> MutexGuard<'_, T> {
    moment.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Contact {
    /// As if all had just been heard.
    pub fn new() -> Self {
        Self {
            leader: Mutex::new(Instant::now()),
            majority: Mutex::new((Vote::default(), Instant::now())),
            appending: AtomicUsize::new(0),
            lost: Notify::new(),
        }
    }

    /// The leader has sent something. While the guard lives, it is being dealt with, however slow the disk is.
    pub fn hear(&self) -> Hearing<'_> {
        self.appending.fetch_add(1, Ordering::Relaxed);
        *lock(&self.leader) = Instant::now();
        Hearing(self)
    }

    fn last_heard(&self) -> Instant {
        match self.appending.load(Ordering::Relaxed) {
            0 => *lock(&self.leader),
            _ => Instant::now(),
        }
    }

    /// The leader has said nothing for so long that another one is needed.
    pub fn is_lost(&self) -> bool {
        self.last_heard().elapsed() >= LEASE
    }

    /// The leader has said nothing for so long that nobody knows whether there is one.
    pub fn is_silent(&self) -> bool {
        self.last_heard().elapsed() >= SILENCE
    }

    /// The process that led is known to be gone: nobody has to wait until it has been silent for long. To be told again
    /// does not make it younger, or whoever waits for its turn would do so forever.
    pub fn lose(&self) {
        if let Some(long_ago) = Instant::now().checked_sub(LEASE) {
            let mut leader = lock(&self.leader);
            *leader = long_ago.min(*leader);
            self.lost.notify_one();
        }
    }

    /// On a leader by this vote: a majority has lately taken it for one, be it by electing it.
    pub fn has_majority(&self, vote: Vote) -> bool {
        let (counted, last) = *lock(&self.majority);
        counted != vote || last.elapsed() < SILENCE
    }
}

/// See [`Contact::hear`].
pub struct Hearing<'a>(&'a Contact);

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        *lock(&self.0.leader) = Instant::now();
        self.0.appending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What this node knows of the cluster.
pub type Metrics = RaftServerMetrics<NodeId, BasicNode>;

/// The task. It runs until it is cancelled or consensus ends.
pub struct Pacemaker {
    /// Consensus.
    pub raft: Raft,
    /// This node.
    pub node_id: NodeId,
    /// The way to the others.
    pub links: Links,
    /// What it notices.
    pub contact: Arc<Contact>,
}

impl Pacemaker {
    /// Runs until `stop` or the end of consensus.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_pace()).await;
    }

    async fn keep_pace(self) {
        let mut changes = self.raft.server_metrics();
        let mut beats = Beats::default();
        let mut known = (Vote::default(), Instant::now());
        let mut patience = Patience::default();
        let mut unwanted_until = Instant::now();
        loop {
            let metrics = changes.borrow_and_update().clone();
            if known.0 != metrics.vote {
                if metrics.vote.committed {
                    let leader = metrics.vote.leader_id.node_id;
                    let term = metrics.vote.leader_id.term;
                    tracing::info!(leader, term, "a node leads the cluster");
                }
                // Whoever this node voted for gets time to win.
                known = (metrics.vote, Instant::now());
            }
            if metrics.vote.committed {
                patience = Patience::default();
            }
            self.links.keep(|node| is_member(&metrics, node));
            let next = match metrics.state {
                ServerState::Leader => {
                    self.beat(&metrics, &mut beats);
                    Instant::now() + BEAT
                }
                ServerState::Follower | ServerState::Candidate => {
                    let due = self.due(&metrics, known.1) + patience.wait;
                    let due = due.max(unwanted_until);
                    if due > Instant::now() {
                        due
                    } else if !self.is_wanted(&metrics).await {
                        tracing::debug!(node = self.node_id, "would not be elected");
                        unwanted_until = Instant::now() + PAUSE;
                        unwanted_until
                    } else {
                        tracing::debug!(node = self.node_id, "stands for election");
                        if self.raft.trigger().elect().await.is_err() {
                            return;
                        }
                        known.1 = Instant::now();
                        patience = patience.after_defeat();
                        Instant::now() + HEAD_START
                    }
                }
                ServerState::Learner | ServerState::Shutdown => Instant::now() + LEASE,
            };
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.contact.lost.notified() => {}
                changed = changes.changed() => if changed.is_err() { return },
                heard = beats.heard.join_next(), if !beats.heard.is_empty() => {
                    if let Some(Ok(heard)) = heard {
                        self.heard(&metrics, &mut beats, heard).await;
                    }
                }
            }
        }
    }

    async fn is_wanted(&self, metrics: &Metrics) -> bool {
        canvass::is_wanted(&self.raft, self.node_id, &self.links, metrics, HEAD_START).await
    }

    /// When this voter stands for election, if nothing is heard until then.
    fn due(&self, metrics: &Metrics, vote_known_since: Instant) -> Instant {
        let voters: Vec<_> = metrics.membership_config.membership().voter_ids().collect();
        if voters == [self.node_id] {
            return Instant::now();
        }
        let last = self.contact.last_heard().max(vote_known_since);
        last + LEASE
            + HEAD_START.mul_f64(f64::from(rank(&voters, metrics.vote, self.node_id)) + jitter())
    }

    fn beat(&self, metrics: &Metrics, beats: &mut Beats) {
        let now = Instant::now();
        if beats.last.is_some_and(|last| now < last + BEAT) {
            return;
        }
        beats.last = Some(now);
        if beats.vote != metrics.vote {
            // It has just been elected, by a majority.
            *beats = Beats {
                vote: metrics.vote,
                last: Some(now),
                ..Beats::default()
            };
            *lock(&self.contact.majority) = (metrics.vote, now);
        }
        let request = pb::AppendEntriesRequest {
            vote: Some(wire::vote_to_proto(&metrics.vote)),
            ..pb::AppendEntriesRequest::default()
        };
        for (node, BasicNode { addr }) in metrics.membership_config.nodes() {
            let is_waiting = beats.sent.get(node).is_some_and(|sent| now < *sent + LEASE);
            if *node == self.node_id || is_waiting {
                continue;
            }
            let Ok(link) = self.links.to(*node, addr) else {
                continue;
            };
            beats.sent.insert(*node, now);
            let (node, request) = (*node, request.clone());
            beats.heard.spawn(async move {
                let mut client = network::client(link.urgent);
                let answer = client.append_entries(request);
                let answer = tokio::time::timeout(LEASE, answer).await;
                let outcome = answer.ok().and_then(Result::ok);
                let outcome = outcome.and_then(|answer| answer.into_inner().outcome);
                Heard {
                    node,
                    sent: now,
                    outcome,
                }
            });
        }
        self.count_majority(metrics, beats);
    }

    async fn heard(&self, metrics: &Metrics, beats: &mut Beats, heard: Heard) {
        beats.sent.remove(&heard.node);
        match heard.outcome {
            None => {}
            // openraft finds out who leads now when it sends something itself.
            Some(Outcome::HigherVote(_)) => {
                if let Err(fatal) = self.raft.trigger().heartbeat().await {
                    tracing::debug!(%fatal, "consensus has ended");
                }
            }
            Some(_) => {
                beats.answered.insert(heard.node, heard.sent);
                self.count_majority(metrics, beats);
            }
        }
    }

    fn count_majority(&self, metrics: &Metrics, beats: &Beats) {
        let voters: Vec<_> = metrics.membership_config.membership().voter_ids().collect();
        let now = Instant::now();
        let mut answered: Vec<_> = voters
            .iter()
            .filter_map(|voter| match *voter == self.node_id {
                true => Some(now),
                false => beats.answered.get(voter).copied(),
            })
            .collect();
        answered.sort_unstable();
        let majority = voters.len() / 2 + 1;
        if let Some(at) = answered.len().checked_sub(majority) {
            let mut last = lock(&self.contact.majority);
            last.1 = answered[at].max(last.1);
        }
    }
}

fn is_member(metrics: &Metrics, node: NodeId) -> bool {
    metrics
        .membership_config
        .membership()
        .get_node(&node)
        .is_some()
}

/// How many voters are before this one in the line of those that try: whoever is a candidate already, then those after
/// the last leader.
fn rank(voters: &[NodeId], vote: Vote, node: NodeId) -> u8 {
    let last = vote.leader_id.node_id;
    let mut line = voters.to_vec();
    line.rotate_left(voters.partition_point(|voter| *voter < last));
    if vote.committed {
        line.retain(|voter| *voter != last);
    }
    let place = line.iter().position(|voter| *voter == node);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or_default()
}

/// How much longer than others a candidate waits that has not won.
#[derive(Debug, Default, Clone, Copy)]
struct Patience {
    defeats: u32,
    wait: Duration,
}

impl Patience {
    /// Up to twice as long as after the last defeat.
    fn after_defeat(self) -> Self {
        let longest = HEAD_START * 2u32.pow(self.defeats.min(MOST_DOUBLINGS));
        Self {
            defeats: self.defeats + 1,
            wait: longest.mul_f64(chance()),
        }
    }
}

/// Something between 0.1 and 0.5, so that two voters do not try at the same moment.
fn jitter() -> f64 {
    0.1 + 0.4 * chance()
}

/// Something between 0 and 1.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0) % 1000;
    f64::from(u16::try_from(random).unwrap_or_default()) / 1000.0
}

#[derive(Default)]
struct Beats {
    vote: Vote,
    last: Option<Instant>,
    /// To whom there is one under way, and since when.
    sent: BTreeMap<NodeId, Instant>,
    /// When the last one was sent that was answered.
    answered: BTreeMap<NodeId, Instant>,
    heard: JoinSet<Heard>,
}

struct Heard {
    node: NodeId,
    sent: Instant,
    outcome: Option<Outcome>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_is_known_to_be_gone_stays_gone_from_when_it_was() {
        let contact = Contact::new();
        contact.lose();
        let first = contact.last_heard();
        std::thread::sleep(LEASE / 20);
        contact.lose();
        assert_eq!(contact.last_heard(), first);
        assert!(contact.is_lost());
    }

    #[test]
    fn voters_stand_in_line_behind_a_candidate_and_after_the_last_leader() {
        let voters = [3, 5, 9];
        let line = |vote| voters.map(|voter| rank(&voters, vote, voter));
        assert_eq!(line(Vote::new_committed(7, 5)), [1, 0, 0]);
        assert_eq!(line(Vote::new_committed(7, 9)), [0, 1, 0]);
        assert_eq!(line(Vote::new(8, 9)), [1, 2, 0]);
        // A leader that has left the cluster meanwhile.
        assert_eq!(line(Vote::new_committed(7, 4)), [2, 0, 1]);
    }
}
