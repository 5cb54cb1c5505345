//! Streams of clients: who is told what about mastership.

use std::collections::HashMap;

use pointsman_proto::pointsman::agent::v1::{Ack, StateElection, StateObjectives, StateRecord};
use tokio::sync::mpsc;

use super::packet::PacketIn;
use super::{Agent, State};
use crate::arbitration::{
    ArbitrationError, Command, ElectionId, Event, Notice, RoleName, StreamId,
};

/// What a stream has to know.
#[derive(Debug, Clone)]
pub enum StreamNote {
    /// Where it stands.
    Standing(Notice),
    /// It is ended, and why.
    Refused(ArbitrationError),
    /// A packet for the controller.
    PacketIn(PacketIn),
    /// How objectives fare.
    Acks(Vec<Ack>),
}

/// The open streams. A queue that is full loses packets but not notices: a stream that
/// cannot take a notice is closed.
#[derive(Debug, Default)]
pub struct Streams {
    last: u64,
    outboxes: HashMap<StreamId, mpsc::Sender<StreamNote>>,
    /// The controllers that synchronise objectives.
    controllers: HashMap<StreamId, String>,
    /// News of objectives that no stream has been given yet.
    acks: Vec<Ack>,
}

impl Streams {
    /// Adds a stream.
    pub fn open(&mut self, outbox: mpsc::Sender<StreamNote>) -> StreamId {
        self.last += 1;
        let stream = StreamId(self.last);
        self.outboxes.insert(stream, outbox);
        stream
    }

    /// Notes that a stream is a controller's, which synchronises objectives.
    pub fn set_controller(&mut self, stream: StreamId, name: String) {
        self.controllers.insert(stream, name);
    }

    /// The controller whose stream this is.
    pub fn controller(&self, stream: StreamId) -> Option<&str> {
        self.controllers.get(&stream).map(String::as_str)
    }

    /// Notes news of objectives.
    pub fn acknowledge(&mut self, acks: Vec<Ack>) {
        self.acks.extend(acks);
    }

    /// The news that no stream has been given yet.
    pub fn take_acks(&mut self) -> Vec<Ack> {
        std::mem::take(&mut self.acks)
    }

    /// Gives the news to the controller.
    fn send_acks(&mut self, master: Option<StreamId>) {
        let acks = self.take_acks();
        match master.filter(|stream| self.controllers.contains_key(stream)) {
            Some(stream) if !acks.is_empty() => self.tell(stream, StreamNote::Acks(acks)),
            // The next controller is told in its hello.
            _ => {}
        }
    }

    /// Ends all streams.
    pub fn close_all(&mut self) {
        self.outboxes.clear();
    }

    /// Gives a stream a packet; `false` if its queue is full.
    pub fn packet_in(&self, stream: StreamId, packet: PacketIn) -> bool {
        let outbox = self.outboxes.get(&stream);
        outbox.is_some_and(|outbox| outbox.try_send(StreamNote::PacketIn(packet)).is_ok())
    }

    fn tell(&mut self, stream: StreamId, note: StreamNote) {
        let ends = matches!(note, StreamNote::Refused(_));
        let sent = match self.outboxes.get(&stream) {
            Some(outbox) => outbox.try_send(note).is_ok(),
            None => return,
        };
        if ends || !sent {
            // Its task sees the end of the queue and closes the stream.
            self.outboxes.remove(&stream);
        }
    }
}

impl Agent {
    /// Keeps what has changed of objectives outside a batch, and tells the controller.
    pub fn objectives_changed(&self, state: &mut State, record: Option<StateObjectives>) {
        if let Some(objectives) = record {
            // Nobody is told of more than what follows from what is kept already.
            let _ticket = self.journal.append(StateRecord {
                objectives: Some(objectives),
                ..StateRecord::default()
            });
        }
        let master = state.arbitration.primary(&RoleName::default());
        state.streams.send_acks(master);
    }

    /// Opens the stream of a controller. A stream of the same controller with the same
    /// election id is the same connection before it broke, and ends.
    pub fn open_controller(
        &self,
        outbox: mpsc::Sender<StreamNote>,
        name: String,
        device_id: u64,
        election_id: ElectionId,
    ) -> StreamId {
        let mut state = self.lock();
        let role = RoleName::default();
        let stream = state.streams.open(outbox);
        let old = state.arbitration.primary(&role);
        let same = old.filter(|old| state.streams.controller(*old) == Some(&name));
        if let Some(old) = same.filter(|_| {
            state
                .arbitration
                .check_write(&role, Some(election_id))
                .is_ok()
        }) {
            let refused =
                StreamNote::Refused(ArbitrationError::DuplicateElectionId { election_id });
            state.streams.tell(old, refused);
            state.streams.controllers.remove(&old);
            let commands = state.arbitration.step(Event::Closed { stream: old });
            self.carry_out(&mut state, commands);
        }
        state.streams.set_controller(stream, name);
        let commands = state.arbitration.step(Event::Update {
            stream,
            device_id,
            role,
            role_config: None,
            election_id: Some(election_id),
        });
        self.carry_out(&mut state, commands);
        stream
    }

    /// Lets an event change who is primary, and tells the streams concerned.
    pub fn arbitrate(&self, event: Event) {
        let mut state = self.lock();
        if let Event::Closed { stream } = event {
            state.streams.outboxes.remove(&stream);
            state.streams.controllers.remove(&stream);
        }
        let commands = state.arbitration.step(event);
        self.carry_out(&mut state, commands);
    }

    fn carry_out(&self, state: &mut State, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Persist { role, highest } => {
                    let (high, low) = highest.halves();
                    let ticket = self.journal.append(StateRecord {
                        elections: vec![StateElection {
                            role: role.0,
                            high,
                            low,
                        }],
                        ..StateRecord::default()
                    });
                    // The new primary must not hear of it before it is on the disk.
                    if let Err(error) = ticket.wait() {
                        tracing::error!(%error, "the highest election id is not kept");
                    }
                }
                Command::Notify { stream, notice } => {
                    tracing::info!(
                        stream = stream.0, role = %notice.role.0, standing = ?notice.standing,
                        election_id = ?notice.highest.map(|id| id.to_string()), "arbitration"
                    );
                    state.streams.tell(stream, StreamNote::Standing(notice));
                }
                Command::Refuse { stream, error } => {
                    tracing::info!(stream = stream.0, %error, "stream refused");
                    state.streams.tell(stream, StreamNote::Refused(error));
                }
            }
        }
    }
}
