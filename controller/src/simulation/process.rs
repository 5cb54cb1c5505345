//! One process of a controller: the pure cores of liveness and distribution, and around them what their shells do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pointsman_model::holdings::Digests;

use super::agent::{FromAgent, StreamId, ToAgent};
use super::world::{Happening, Purpose, Run, Timer, World};
use crate::distribution::simulated::{
    Action, Beginning, Contact, DeviceSync, Difference, Event, Fault, Gathered, MAX_BATCH_CHANGES,
    Remedy, SyncCommand, add_wanted, differences, session_of, step, wanted,
};
use crate::liveness::core::{self, Cluster, Command as Decision, Event as Heard, Liveness};
use crate::state::{
    Acknowledged, BootId, Change, Command, DeviceSpec, DeviceState, MastershipCommand, NodeId,
    NodeSpec, Report, Response, Revision, Role, Said, State, Term,
};

/// How long things are quiet before devices are moved.
const BALANCE_DELAY: Duration = Duration::from_secs(1);
/// How long a master fails to reach a device before it hands it on.
const HAND_ON_DELAY: Duration = Duration::from_millis(500);
/// How long a call over a cut cable takes to fail.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What a process keeps in memory.
#[derive(Debug)]
pub struct Process {
    pub boot: BootId,
    pub liveness: Liveness,
    pub has_quorum: bool,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    pub sessions: BTreeMap<String, Session>,
    contacts: BTreeMap<String, Contact>,
    /// Devices of which the store is being told.
    telling: BTreeSet<String>,
    gathered: Gathered,
    /// Reports that it has made.
    reports: u64,
    /// Reports on their way into the store.
    reporting: Vec<Report>,
}

/// A session with a switch, or the wish to have one.
#[derive(Debug)]
pub struct Session {
    number: u64,
    pub spec: DeviceSpec,
    sync: DeviceSync,
    pub term: Term,
    pub stream: Option<StreamId>,
    acknowledged: Acknowledged,
    /// What the agent was asked for: as of which revision, in how many bits, in which buckets.
    asked: (Revision, u32, Vec<u32>),
}

impl Process {
    /// One that has just started.
    pub fn new(id: NodeId, boot: BootId, clock: Instant) -> Self {
        let spec = NodeSpec {
            name: format!("c{id}"),
            ..NodeSpec::default()
        };
        Self {
            boot,
            liveness: Liveness::new(id, boot, spec, clock),
            has_quorum: false,
            leader: None,
            sessions: BTreeMap::new(),
            contacts: BTreeMap::new(),
            telling: BTreeSet::new(),
            gathered: Gathered::default(),
            reports: 0,
            reporting: Vec::new(),
        }
    }
}

impl World {
    /// Feeds an event to the liveness of a process, and does what it says.
    pub fn hear(&mut self, run: Run, event: Heard) {
        let clock = self.clock(run.0);
        let Some(process) = self.process(run) else {
            return;
        };
        for decision in core::step(&mut process.liveness, event, clock) {
            match decision {
                Decision::Tell(command) => {
                    let purpose = Purpose::Tell(core::subject(&command));
                    self.submit(run, Command::Node(command), purpose);
                }
                Decision::Balance => {
                    let balance = MastershipCommand::Balance { anew: false };
                    self.submit(run, Command::Mastership(balance), Purpose::Balance);
                }
                Decision::Quorum(has_quorum) => {
                    if let Some(process) = self.process(run) {
                        process.has_quorum = has_quorum;
                    }
                    self.supervise(run);
                }
            }
        }
    }

    /// Shows a process' liveness what its state and its consensus say.
    pub fn look_at_cluster(&mut self, run: Run) {
        let voters = self.nodes.keys().copied().collect();
        let Some(node) = self.nodes.get(&run.0) else {
            return;
        };
        let leader = node.process.as_ref().and_then(|process| process.leader);
        let nodes = node.state.nodes().iter();
        let nodes = nodes.map(|(id, node)| (*id, (node.boot, node.presence)));
        let cluster = Cluster {
            voters,
            leader,
            nodes: nodes.collect(),
            is_balanced: leader != Some(run.0) || node.state.is_balanced(),
            balance_delay: Some(BALANCE_DELAY),
        };
        self.hear(run, Heard::Cluster(cluster));
    }

    /// A process' state has changed.
    pub fn state_changed(&mut self, run: Run) {
        self.supervise(run);
        let Some(process) = self.process(run) else {
            return;
        };
        let devices: Vec<_> = process.sessions.keys().cloned().collect();
        for device in devices {
            let held = self.held_term(run.0, &device);
            let Some(session) = self.session(run, &device) else {
                continue;
            };
            let is_other = session.stream.is_some() && held != Some(session.term);
            let event = match is_other {
                true => Event::TermChanged,
                false => Event::DesiredChanged,
            };
            self.feed(run, &device, event);
        }
    }

    fn held_term(&self, node: NodeId, device: &str) -> Option<Term> {
        let held = self.nodes[&node].state.device(device)?.mastership()?;
        (held.node == node).then_some(held.term)
    }

    /// Brings a process' sessions to what its state says.
    fn supervise(&mut self, run: Run) {
        let (id, boot) = run;
        let Some(process) = self.process(run) else {
            return;
        };
        let has_quorum = process.has_quorum;
        let known: Vec<_> = process.sessions.keys().cloned().collect();
        let state = &self.nodes[&id].state;
        let names = state.devices().keys().cloned().chain(known);
        let names: BTreeSet<_> = names.collect();
        let wishes: Vec<(String, Option<DeviceSpec>)> = names
            .into_iter()
            .map(|name| {
                let spec = wanted(state, id, boot, has_quorum, &name).cloned();
                (name, spec)
            })
            .collect();
        for (name, spec) in wishes {
            let session = self.session(run, &name);
            if session.is_some_and(|session| Some(&session.spec) == spec.as_ref()) {
                continue;
            }
            self.end_session(run, &name);
            if let Some(spec) = spec {
                self.begin_session(run, spec);
            }
        }
    }

    fn end_session(&mut self, run: Run, device: &str) {
        let Some(process) = self.process(run) else {
            return;
        };
        let session = process.sessions.remove(device);
        if let Some(stream) = session.and_then(|session| session.stream) {
            self.close(run.0, device, stream);
        }
    }

    fn begin_session(&mut self, run: Run, spec: DeviceSpec) {
        let number = self.number();
        let device = spec.name.clone();
        let session = Session {
            number,
            spec,
            sync: DeviceSync::default(),
            term: Term::default(),
            stream: None,
            acknowledged: Acknowledged::default(),
            asked: (Revision::default(), 0, Vec::new()),
        };
        if let Some(process) = self.process(run) {
            process.sessions.insert(device.clone(), session);
        }
        self.feed(run, &device, Event::Start);
    }

    fn session(&mut self, run: Run, device: &str) -> Option<&mut Session> {
        self.process(run)?.sessions.get_mut(device)
    }

    /// Feeds an event to the core of a session, does what it says, and feeds back what comes of that.
    fn feed(&mut self, run: Run, device: &str, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let clock = self.clock(run.0);
            let Some(session) = self.session(run, device) else {
                return;
            };
            for command in step(&mut session.sync, event, clock) {
                events.extend(self.execute(run, device, command));
            }
        }
    }

    fn execute(&mut self, run: Run, device: &str, command: SyncCommand) -> Option<Event> {
        match command {
            SyncCommand::Connect => self.connect(run, device),
            SyncCommand::Disconnect => {
                let session = self.session(run, device)?;
                if let Some(stream) = session.stream.take() {
                    self.close(run.0, device, stream);
                }
                None
            }
            SyncCommand::SendSnapshot => {
                let tail = self.wanted_of(run, device, DeviceState::snapshot)?;
                Some(self.put(run, device, tail.changes, true, tail.revision))
            }
            SyncCommand::SendTail(after) => Some(self.send_tail(run, device, after)),
            SyncCommand::SendDifferences(found, revision) => {
                let changes = self.wanted_of(run, device, |wanted| mend(wanted, &found))?;
                Some(self.put(run, device, changes, false, revision))
            }
            SyncCommand::AskDigests => {
                let count = self.wanted_of(run, device, |wanted| wanted.objectives().len())?;
                let bits = Digests::for_objectives(count).bits();
                self.put_message(run, device, ToAgent::AskDigests(bits));
                None
            }
            SyncCommand::AskHoldings { at, bits, buckets } => {
                self.session(run, device)?.asked = (at, bits, buckets.clone());
                self.put_message(run, device, ToAgent::AskHoldings { bits, buckets });
                None
            }
            SyncCommand::Renew => {
                let term = self.session(run, device)?.term;
                let renew = MastershipCommand::Renew {
                    device: device.to_owned(),
                    node: run.0,
                    term,
                };
                self.submit(run, Command::Mastership(renew), Purpose::Renew);
                None
            }
            SyncCommand::Wait(delay) => self.set_timer(run, device, Timer::Retry, delay),
            SyncCommand::WaitToCheck(delay) => self.set_timer(run, device, Timer::Check, delay),
            SyncCommand::Report(said) => self.report(run, device, said),
            // Nothing expires here.
            SyncCommand::Expire(_) | SyncCommand::ExpireLater(_) => None,
        }
    }

    fn connect(&mut self, run: Run, device: &str) -> Option<Event> {
        let held = self.held_term(run.0, device);
        let jitter = self.rng.fraction();
        let Some(term) = held else {
            let fault = Fault::Fenced("not the master".to_owned());
            return Some(Event::Lost { fault, jitter });
        };
        let stream = StreamId(self.number());
        let election_id = self.nodes[&run.0].state.election_id(term);
        let session = self.session(run, device)?;
        session.term = term;
        session.stream = Some(stream);
        if self.network.reaches(run.0, device) {
            self.send(run, device, stream, ToAgent::Hello(election_id));
        } else {
            let failed = Happening::ConnectFailed {
                to: run,
                device: device.to_owned(),
                stream,
            };
            self.after(CONNECT_TIMEOUT, failed);
        }
        None
    }

    fn send_tail(&mut self, run: Run, device: &str, after: Revision) -> Event {
        let tail = self.wanted_of(run, device, |wanted| {
            let has_tail = wanted.has_tail_after(after);
            has_tail.then(|| wanted.tail_after(after, MAX_BATCH_CHANGES))
        });
        match tail {
            None => Event::Sent(None),
            Some(None) => Event::TailForgotten,
            Some(Some(tail)) if tail.changes.is_empty() => Event::Sent(None),
            Some(Some(tail)) => self.put(run, device, tail.changes, false, tail.revision),
        }
    }

    fn wanted_of<T>(
        &self,
        run: Run,
        device: &str,
        look: impl FnOnce(&DeviceState) -> T,
    ) -> Option<T> {
        self.nodes[&run.0].state.device(device).map(look)
    }

    fn put(
        &mut self,
        run: Run,
        device: &str,
        changes: Vec<Change>,
        is_snapshot: bool,
        revision: Revision,
    ) -> Event {
        let batch = ToAgent::Batch {
            changes,
            is_snapshot,
            revision,
        };
        match self.put_message(run, device, batch) {
            true => Event::Sent(Some(revision)),
            false => Event::Sent(None),
        }
    }

    fn put_message(&mut self, run: Run, device: &str, message: ToAgent) -> bool {
        let stream = self.session(run, device).and_then(|session| session.stream);
        if let Some(stream) = stream {
            self.send(run, device, stream, message);
        }
        stream.is_some()
    }

    fn set_timer(
        &mut self,
        run: Run,
        device: &str,
        timer: Timer,
        delay: Duration,
    ) -> Option<Event> {
        let session = self.session(run, device)?.number;
        let over = Happening::SessionTimer {
            to: run,
            device: device.to_owned(),
            session,
            timer,
        };
        self.after(delay, over);
        None
    }

    /// The timer of a session is over, if it is still that session.
    pub fn session_timer(&mut self, run: Run, device: &str, number: u64, timer: Timer) {
        let session = self.session(run, device);
        if session.is_some_and(|session| session.number == number) {
            let event = match timer {
                Timer::Retry => Event::RetryDue,
                Timer::Check => Event::CheckDue,
            };
            self.feed(run, device, event);
        }
    }

    fn report(&mut self, run: Run, device: &str, said: Option<Said>) -> Option<Event> {
        let process = self.process(run)?;
        let session = process.sessions.get_mut(device)?;
        process.reports += 1;
        let report = Report {
            spec: session.spec.clone(),
            term: session.term,
            number: process.reports,
            fault: session.sync.fault(),
            said,
        };
        session.acknowledged.record(report.clone());
        process.gathered.add(report);
        self.send_reports(run);
        None
    }

    fn send_reports(&mut self, run: Run) {
        let Some(process) = self.process(run) else {
            return;
        };
        if !process.reporting.is_empty() {
            return;
        }
        process.reporting = process.gathered.take();
        if process.reporting.is_empty() {
            return;
        }
        let acknowledge = Command::Acknowledge {
            node: run.0,
            reports: process.reporting.clone(),
        };
        self.submit(run, acknowledge, Purpose::Report);
    }

    /// What an agent has sent arrives.
    pub fn at_process(&mut self, run: Run, device: &str, stream: StreamId, message: FromAgent) {
        let session = self.session(run, device);
        if session.is_none_or(|session| session.stream != Some(stream)) {
            return;
        }
        let jitter = self.rng.fraction();
        let event = match message {
            FromAgent::Hello(revision) => {
                self.feed(run, device, Event::Connected);
                self.greeted(run, device, revision)
            }
            FromAgent::Refused => {
                let fault = Fault::Fenced("another is master".to_owned());
                Some(Event::Lost { fault, jitter })
            }
            FromAgent::Closed => {
                let fault = Fault::Unreachable("gone".to_owned());
                Some(Event::Lost { fault, jitter })
            }
            FromAgent::Acks { taken, batches } => Some(Event::Acked {
                acks: Vec::new(),
                taken,
                batches,
            }),
            FromAgent::Digests { digests, at } => self.compare(run, device, &digests, at),
            FromAgent::Holdings(held) => {
                let asked = self
                    .session(run, device)
                    .map(|session| session.asked.clone());
                let (at, bits, buckets) = asked.unwrap_or_default();
                self.wanted_of(run, device, |wanted| {
                    Event::Listed(differences(wanted, at, bits, &buckets, held))
                })
            }
        };
        if let Some(event) = event {
            self.feed(run, device, event);
        }
    }

    fn greeted(&self, run: Run, device: &str, revision: Revision) -> Option<Event> {
        let has_tail = self.wanted_of(run, device, |wanted| wanted.has_tail_after(revision))?;
        let beginning = match has_tail {
            true => Beginning::Tail(revision),
            false => Beginning::Walk,
        };
        Some(Event::AgentGreeted {
            beginning,
            can_be_asked: true,
            statuses: Vec::new(),
        })
    }

    fn compare(&self, run: Run, device: &str, theirs: &Digests, agent: Revision) -> Option<Event> {
        self.wanted_of(run, device, |wanted| {
            let bits = theirs.bits();
            let mut ours = Digests::new(bits);
            add_wanted(&mut ours, wanted.objectives().iter());
            let at = wanted.revision();
            Event::Compared {
                at,
                is_current: agent == at,
                bits,
                differing: ours.differing(theirs),
            }
        })
    }

    /// Looks whether devices have to be handed on, and whether offline ones are reached.
    pub fn look_at_contacts(&mut self, run: Run) {
        let (id, _) = run;
        let clock = self.clock(id);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let Some(process) = node.process.as_mut() else {
            return;
        };
        if !process.has_quorum {
            process.contacts.clear();
            return;
        }
        let mut actions = Vec::new();
        for (name, device) in node.state.devices() {
            let Some(held) = device.mastership() else {
                continue;
            };
            let contact = process.contacts.entry(name.clone()).or_default();
            let action = match (device.role_of(id), process.sessions.get(name)) {
                (Role::Master, Some(session)) => {
                    let session = session_of(&session.acknowledged, held.term);
                    contact.of_master(held, session, HAND_ON_DELAY, clock)
                }
                (Role::Standby, _) => contact.of_standby(held, id, clock),
                (Role::Master | Role::None, _) => None,
            };
            actions.extend(action.map(|action| (name.clone(), action)));
        }
        for (device, action) in actions {
            self.act(run, device, action);
        }
    }

    fn act(&mut self, run: Run, device: String, action: Action) {
        let node = run.0;
        let is_reached = self.network.reaches(node, &device) && self.agents[&device].is_up;
        let name = device.clone();
        let command = match action {
            Action::HandOn(term) => MastershipCommand::Unreachable {
                device: name,
                node,
                term,
            },
            Action::SayReached => MastershipCommand::Reached { device: name, node },
            Action::Probe if is_reached => MastershipCommand::Reached { device: name, node },
            Action::Probe | Action::KeepWarm => return,
        };
        let Some(process) = self.process(run) else {
            return;
        };
        if process.telling.insert(device.clone()) {
            let purpose = Purpose::Contact(device);
            self.submit(run, Command::Mastership(command), purpose);
        }
    }

    /// What was submitted is answered.
    pub fn answered(&mut self, origin: super::world::Origin, response: Option<Response>) {
        let run = origin.from;
        match origin.purpose {
            Purpose::Tell(node) => self.hear(run, Heard::Told { node }),
            Purpose::Balance => self.hear(run, Heard::Balanced),
            Purpose::Contact(device) => {
                if let Some(process) = self.process(run) {
                    process.telling.remove(&device);
                }
            }
            Purpose::Report => {
                if let Some(process) = self.process(run) {
                    let reports = std::mem::take(&mut process.reporting);
                    if response.is_none() {
                        process.gathered.put_back(reports);
                    }
                    self.send_reports(run);
                }
            }
            Purpose::Client => {
                if let Some(Response::Applied { revision, .. }) = response {
                    self.checks.acknowledged(revision);
                }
            }
            Purpose::Renew | Purpose::Operator => {}
        }
    }

    /// The state that a node has applied.
    pub fn state_of(&self, id: NodeId) -> &State {
        &self.nodes[&id].state
    }
}

/// The changes that mend differences.
fn mend(wanted: &DeviceState, found: &[Difference]) -> Vec<Change> {
    let change = |difference: &Difference| match difference.remedy {
        Remedy::Put | Remedy::Revise => {
            let stored = wanted.objectives().get(&difference.key)?;
            // What has been changed meanwhile comes with the tail.
            let is_same = stored.revision == difference.revision;
            is_same.then(|| Change::Put {
                objective: stored.objective.clone(),
                revision: stored.revision,
            })
        }
        Remedy::Delete => Some(Change::Delete {
            key: difference.key.clone(),
            revision: difference.revision,
        }),
    };
    found.iter().filter_map(change).collect()
}
