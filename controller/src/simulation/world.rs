//! Everything that is simulated, and the queue of what happens when. Each happening takes its place in time from the
//! seed; two of the same moment happen in the order in which they were caused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::agent::{Agent, FromAgent, StreamId, ToAgent};
use super::checks::Checks;
use super::consensus::{Consensus, Pending};
use super::network::Network;
use super::process::Process;
use super::rng::Rng;
use crate::liveness::core::{BEAT_INTERVAL, Event as Heard};
use crate::state::{BootId, Command, NodeId, Response, State};

/// How often a process looks at its contacts with switches.
const CONTACT_INTERVAL: Duration = Duration::from_millis(100);
/// How long a request waits for an answer that does not come.
const NO_ANSWER: Duration = Duration::from_millis(300);
/// How long voters believe in a leader that they do not hear.
const LEASE: Duration = Duration::from_millis(100);

/// One process of a node.
pub type Run = (NodeId, BootId);

/// Who submitted a command, and what it was to them.
#[derive(Debug, Clone)]
pub struct Origin {
    pub from: Run,
    pub purpose: Purpose,
}

/// What a command is to whoever submitted it.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// The liveness tells of a node.
    Tell(NodeId),
    /// The liveness balances.
    Balance,
    /// A session renews its term.
    Renew,
    /// What switches have acknowledged.
    Report,
    /// A device is handed on, or was reached.
    Contact(String),
    /// A client's change set.
    Client,
    /// An operator's command.
    Operator,
}

/// Which timer of a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    Retry,
    Check,
}

/// Something that happens.
#[derive(Debug)]
pub enum Happening {
    /// A process' timer.
    Tick(Run),
    /// A process looks at its contacts.
    LookAtContacts(Run),
    /// A process hears of another.
    Heard(Run, Heard),
    /// A process hears from the leader.
    CatchUp(Run),
    /// A command reaches whom its sender takes for the leader.
    Submitted {
        to: NodeId,
        command: Command,
        origin: Origin,
    },
    /// A command is answered; nothing if it is not known what became of it.
    Answered {
        origin: Origin,
        response: Option<Response>,
    },
    /// The leader's disk and a majority's have the next entry.
    Commit,
    /// Voters look whether somebody leads.
    Election,
    /// A message reaches a switch.
    AtAgent {
        from: Run,
        device: String,
        stream: StreamId,
        message: ToAgent,
    },
    /// A switch notices that a stream is closed.
    StreamClosed { device: String, stream: StreamId },
    /// A message reaches a controller.
    AtProcess {
        to: Run,
        device: String,
        stream: StreamId,
        message: FromAgent,
    },
    /// A switch does not answer a call.
    ConnectFailed {
        to: Run,
        device: String,
        stream: StreamId,
    },
    /// A session's timer is over.
    SessionTimer {
        to: Run,
        device: String,
        session: u64,
        timer: Timer,
    },
    /// A client changes something.
    Client,
    /// Something breaks, or is mended.
    Fault,
}

/// What messages go after one another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Beats(NodeId, NodeId),
    ToAgent(StreamId),
    FromAgent(StreamId),
}

/// A node: what outlives its processes, and the one that runs.
#[derive(Debug)]
pub struct Node {
    pub process: Option<Process>,
    pub state: State,
    /// The entries that it has applied.
    pub applied: usize,
    /// How many processes of it there were.
    pub starts: u64,
    /// It does not run before this.
    pub paused_until: Duration,
    /// How far its clock is ahead.
    pub clock_ahead: Duration,
}

/// The whole of it.
pub struct World {
    pub rng: Rng,
    pub now: Duration,
    epoch: Instant,
    queue: BTreeMap<(Duration, u64), Happening>,
    numbers: u64,
    lanes: BTreeMap<Lane, Duration>,
    pub nodes: BTreeMap<NodeId, Node>,
    pub agents: BTreeMap<String, Agent>,
    pub network: Network,
    pub consensus: Consensus,
    pub checks: Checks,
    /// Since when nobody leads with a majority.
    leaderless_since: Option<Duration>,
    /// Faults and changes happen until then.
    pub faults_until: Duration,
}

impl World {
    /// Nodes 1 to `nodes` and switches d0, d1, ..., of which no controller knows yet.
    pub fn new(seed: u64, nodes: u64, devices: usize, faults_until: Duration) -> Self {
        let mut world = Self {
            rng: Rng::new(seed),
            now: Duration::ZERO,
            epoch: Instant::now(),
            queue: BTreeMap::new(),
            numbers: 0,
            lanes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            agents: BTreeMap::new(),
            network: Network::default(),
            consensus: Consensus::default(),
            checks: Checks::default(),
            leaderless_since: None,
            faults_until,
        };
        for device in 0..devices {
            world.agents.insert(format!("d{device}"), Agent::new());
        }
        for id in 1..=nodes {
            let node = Node {
                process: None,
                state: State::default(),
                applied: 0,
                starts: 0,
                paused_until: Duration::ZERO,
                clock_ahead: Duration::ZERO,
            };
            world.nodes.insert(id, node);
            world.start(id);
        }
        world.after(Duration::ZERO, Happening::Election);
        world.after(Duration::from_millis(20), Happening::Client);
        world.after(Duration::from_millis(500), Happening::Fault);
        world
    }

    /// A number that nothing else has.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Lets something happen later.
    pub fn after(&mut self, delay: Duration, happening: Happening) {
        let number = self.number();
        self.queue.insert((self.now + delay, number), happening);
    }

    /// The same, but not before what was sent on the same lane.
    fn after_in_order(&mut self, lane: Lane, delay: Duration, happening: Happening) {
        let last = self.lanes.entry(lane).or_default();
        let at = (self.now + delay).max(*last);
        *last = at;
        let number = self.number();
        self.queue.insert((at, number), happening);
    }

    /// What a node's clock shows.
    pub fn clock(&self, node: NodeId) -> Instant {
        let ahead = self.nodes.get(&node).map(|node| node.clock_ahead);
        self.epoch + self.now + ahead.unwrap_or_default()
    }

    /// The process, if it still runs.
    pub fn process(&mut self, run: Run) -> Option<&mut Process> {
        let process = self.nodes.get_mut(&run.0)?.process.as_mut()?;
        (process.boot == run.1).then_some(process)
    }

    /// Starts a process of a node.
    pub fn start(&mut self, id: NodeId) {
        let clock = self.clock(id);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        if node.process.is_some() {
            return;
        }
        node.starts += 1;
        node.paused_until = Duration::ZERO;
        let process = Process::new(id, BootId(id * 1000 + node.starts), clock);
        let run = (id, process.boot);
        node.process = Some(process);
        self.after(Duration::ZERO, Happening::Tick(run));
        self.after(CONTACT_INTERVAL, Happening::LookAtContacts(run));
        self.after(Duration::from_millis(5), Happening::CatchUp(run));
    }

    /// Kills a node's process. Its host, if it is well, says so to whoever listens.
    pub fn kill(&mut self, id: NodeId, host_is_well: bool) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some(process) = node.process.take() else {
            return;
        };
        for (device, session) in process.sessions {
            if let Some(stream) = session.stream {
                self.close(id, &device, stream);
            }
        }
        for to in self.runs() {
            if host_is_well && self.network.connects(id, to.0) {
                let delay = self.rng.milliseconds(0, 2);
                let refused = Happening::Heard(to, Heard::Refused { node: id });
                self.after_in_order(Lane::Beats(id, to.0), delay, refused);
            }
        }
    }

    /// All processes that run.
    pub fn runs(&self) -> Vec<Run> {
        let running = |(id, node): (&NodeId, &Node)| Some((*id, node.process.as_ref()?.boot));
        self.nodes.iter().filter_map(running).collect()
    }

    fn is_functional(&self, id: NodeId) -> bool {
        let node = &self.nodes[&id];
        node.process.is_some() && node.paused_until <= self.now
    }

    /// Does this node hear that one, which runs?
    pub fn reaches(&self, id: NodeId, other: NodeId) -> bool {
        self.is_functional(other) && self.network.connects(id, other)
    }

    /// Does a majority of the nodes run and reach this one, which runs?
    fn has_majority(&self, id: NodeId) -> bool {
        let others = self.nodes.keys();
        let there = others.filter(|other| self.reaches(id, **other)).count();
        self.is_functional(id) && there * 2 > self.nodes.len()
    }

    /// Lets the next thing happen.
    pub fn step(&mut self) {
        let Some(((at, _), happening)) = self.queue.pop_first() else {
            panic!("nothing happens any more");
        };
        self.now = at;
        if let Some(resumes) = self.paused_until(&happening) {
            let delay = resumes - self.now;
            self.after(delay, happening);
            return;
        }
        self.happen(happening);
        if let Err(broken) = self.check() {
            panic!("{broken}");
        }
    }

    /// When whoever this is for runs again, if it does not now.
    fn paused_until(&self, happening: &Happening) -> Option<Duration> {
        let node = match happening {
            Happening::Tick(run)
            | Happening::LookAtContacts(run)
            | Happening::Heard(run, _)
            | Happening::CatchUp(run)
            | Happening::AtProcess { to: run, .. }
            | Happening::ConnectFailed { to: run, .. }
            | Happening::SessionTimer { to: run, .. } => run.0,
            Happening::Submitted { to, .. } => *to,
            Happening::Answered { origin, .. } => origin.from.0,
            _ => return None,
        };
        Some(self.nodes[&node].paused_until).filter(|until| *until > self.now)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(run) => self.tick(run),
            Happening::LookAtContacts(run) => {
                if self.process(run).is_some() {
                    self.look_at_contacts(run);
                    self.after(CONTACT_INTERVAL, Happening::LookAtContacts(run));
                }
            }
            Happening::Heard(run, heard) => self.hear(run, heard),
            Happening::CatchUp(run) => self.catch_up(run),
            Happening::Submitted {
                to,
                command,
                origin,
            } => self.submitted(to, command, origin),
            Happening::Answered { origin, response } => self.answered(origin, response),
            Happening::Commit => self.commit(),
            Happening::Election => self.elect(),
            Happening::AtAgent {
                from,
                device,
                stream,
                message,
            } => self.at_agent(from, &device, stream, message),
            Happening::StreamClosed { device, stream } => {
                if let Some(agent) = self.agents.get_mut(&device) {
                    agent.closed(stream);
                }
            }
            Happening::AtProcess {
                to,
                device,
                stream,
                message,
            } => self.at_process(to, &device, stream, message),
            Happening::ConnectFailed { to, device, stream } => {
                self.at_process(to, &device, stream, FromAgent::Closed);
            }
            Happening::SessionTimer {
                to,
                device,
                session,
                timer,
            } => self.session_timer(to, &device, session, timer),
            Happening::Client => self.client(),
            Happening::Fault => self.fault(),
        }
    }

    fn tick(&mut self, run: Run) {
        if self.process(run).is_none() {
            return;
        }
        let (node, boot) = run;
        for to in self.runs() {
            if to.0 != node && self.network.connects(node, to.0) {
                let delay = self.rng.milliseconds(0, 3);
                let beat = Happening::Heard(to, Heard::Beat { node, boot });
                self.after_in_order(Lane::Beats(node, to.0), delay, beat);
            }
        }
        self.hear(run, Heard::Tick);
        self.look_at_cluster(run);
        self.after(BEAT_INTERVAL, Happening::Tick(run));
    }

    /// Brings a node's state up to the log, if it hears the leader.
    fn catch_up(&mut self, run: Run) {
        if self.process(run).is_none() {
            return;
        }
        let delay = self.rng.milliseconds(2, 20);
        self.after(delay, Happening::CatchUp(run));
        let leader = self.consensus.leader;
        let Some(leader) = leader.filter(|leader| self.network.connects(*leader, run.0)) else {
            return;
        };
        if self.is_functional(leader) {
            if let Some(process) = self.process(run) {
                process.leader = Some(leader);
            }
            self.apply_entries(run.0);
        }
    }

    fn apply_entries(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let before = node.applied;
        for entry in &self.consensus.entries[before..] {
            node.state.apply(entry.clone());
        }
        node.applied = self.consensus.entries.len();
        if let Some(process) = node.process.as_ref().filter(|_| node.applied > before) {
            let run = (id, process.boot);
            self.look_at_cluster(run);
            self.state_changed(run);
        }
    }

    /// Sends a command to whom this process takes for the leader.
    pub fn submit(&mut self, from: Run, command: Command, purpose: Purpose) {
        let origin = Origin { from, purpose };
        let leader = self.process(from).and_then(|process| process.leader);
        match leader.filter(|leader| self.network.connects(*leader, from.0)) {
            Some(to) => {
                let delay = self.rng.milliseconds(0, 2);
                let submitted = Happening::Submitted {
                    to,
                    command,
                    origin,
                };
                self.after(delay, submitted);
            }
            None => self.answer(origin, None, NO_ANSWER),
        }
    }

    fn submitted(&mut self, to: NodeId, command: Command, origin: Origin) {
        if self.consensus.leader == Some(to) && self.is_functional(to) {
            self.consensus
                .pending
                .push_back(Pending { command, origin });
            let delay = self.rng.milliseconds(1, 6);
            self.after(delay, Happening::Commit);
        } else {
            self.answer(origin, None, NO_ANSWER);
        }
    }

    fn answer(&mut self, origin: Origin, response: Option<Response>, delay: Duration) {
        self.after(delay, Happening::Answered { origin, response });
    }

    /// Commits the first entry that is under way, if its leader has a majority; else it stays under way.
    fn commit(&mut self) {
        let Some(leader) = self.consensus.leader else {
            return;
        };
        if self.consensus.pending.is_empty() {
            return;
        }
        if !self.has_majority(leader) {
            self.after(Duration::from_millis(5), Happening::Commit);
            return;
        }
        let Pending { command, origin } =
            self.consensus.pending.pop_front().expect("it is not empty");
        let response = self.commit_one(command);
        self.apply_entries(leader);
        let reaches = self.network.connects(leader, origin.from.0);
        let delay = self.rng.milliseconds(0, 2);
        match reaches {
            true => self.answer(origin, Some(response), delay),
            false => self.answer(origin, None, NO_ANSWER),
        }
    }

    fn commit_one(&mut self, command: Command) -> Response {
        let before = self.consensus.state.clone();
        let response = self.consensus.commit(command.clone());
        let after = &self.consensus.state;
        if let Err(broken) = self.checks.committed(&before, &command, after) {
            panic!("{broken}");
        }
        response
    }

    /// Replaces a leader that has no majority any more. Whatever it had under way is committed up to some entry.
    fn elect(&mut self) {
        let delay = self.rng.milliseconds(5, 30);
        self.after(delay, Happening::Election);
        let leader = self.consensus.leader;
        if leader.is_some_and(|leader| self.has_majority(leader)) {
            self.leaderless_since = None;
            return;
        }
        let since = *self.leaderless_since.get_or_insert(self.now);
        if leader.is_some() && self.now - since < LEASE {
            return;
        }
        let able = self.nodes.keys().copied();
        let able: Vec<_> = able.filter(|id| self.has_majority(*id)).collect();
        if able.is_empty() {
            return;
        }
        let kept = self.rng.below(self.consensus.pending.len() + 1);
        for (index, pending) in std::mem::take(&mut self.consensus.pending)
            .into_iter()
            .enumerate()
        {
            if index < kept {
                self.commit_one(pending.command);
            }
            self.answer(pending.origin, None, NO_ANSWER);
        }
        let elected = self.rng.pick(&able);
        self.consensus.leader = Some(elected);
        self.leaderless_since = None;
        if let Some(process) = &mut self.nodes.get_mut(&elected).expect("it is able").process {
            process.leader = Some(elected);
        }
        self.apply_entries(elected);
        let boot = self.nodes[&elected].process.as_ref().expect("it runs").boot;
        self.look_at_cluster((elected, boot));
    }

    /// Puts a message on a stream to a switch.
    pub fn send(&mut self, from: Run, device: &str, stream: StreamId, message: ToAgent) {
        let delay = self.rng.milliseconds(0, 2);
        let arrives = Happening::AtAgent {
            from,
            device: device.to_owned(),
            stream,
            message,
        };
        self.after_in_order(Lane::ToAgent(stream), delay, arrives);
    }

    /// A controller closes a stream, or its end does.
    pub fn close(&mut self, from: NodeId, device: &str, stream: StreamId) {
        // Over a cut cable the switch does not learn of it; its keepalive does, in the end.
        let delay = match self.network.reaches(from, device) {
            true => self.rng.milliseconds(0, 2),
            false => self.rng.milliseconds(1000, 3000),
        };
        let closed = Happening::StreamClosed {
            device: device.to_owned(),
            stream,
        };
        self.after_in_order(Lane::ToAgent(stream), delay, closed);
    }

    fn at_agent(&mut self, from: Run, device: &str, stream: StreamId, message: ToAgent) {
        let reaches = self.network.reaches(from.0, device);
        let agent = self.agents.get_mut(device).expect("switches stay");
        if !reaches || !agent.is_up {
            // The controller notices by its keepalive, or at once if the host is there to say so.
            let delay = match reaches {
                true => self.rng.milliseconds(0, 2),
                false => self.rng.milliseconds(300, 1000),
            };
            let failed = Happening::ConnectFailed {
                to: from,
                device: device.to_owned(),
                stream,
            };
            self.after_in_order(Lane::FromAgent(stream), delay, failed);
            return;
        }
        let (answer, replaced) = agent.take(stream, message);
        self.reply(from, device, stream, answer);
        if let Some(replaced) = replaced {
            self.end_stream(device, replaced);
        }
    }

    fn reply(&mut self, to: Run, device: &str, stream: StreamId, message: FromAgent) {
        let delay = self.rng.milliseconds(0, 2);
        let arrives = Happening::AtProcess {
            to,
            device: device.to_owned(),
            stream,
            message,
        };
        self.after_in_order(Lane::FromAgent(stream), delay, arrives);
    }

    /// A switch ends a stream.
    pub fn end_stream(&mut self, device: &str, stream: StreamId) {
        for to in self.runs() {
            if self.network.reaches(to.0, device) {
                self.reply(to, device, stream, FromAgent::Closed);
            }
        }
    }

    /// The cable between a controller and a switch is cut: both notice after a while.
    pub fn cut(&mut self, node: NodeId, device: &str) {
        self.network.cut.insert((node, device.to_owned()));
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        let Some(process) = process else { return };
        let run = (node, process.boot);
        let session = process.sessions.get(device);
        if let Some(stream) = session.and_then(|session| session.stream) {
            let delay = self.rng.milliseconds(300, 1000);
            let failed = Happening::ConnectFailed {
                to: run,
                device: device.to_owned(),
                stream,
            };
            self.after_in_order(Lane::FromAgent(stream), delay, failed);
            self.close(node, device, stream);
        }
    }
}
