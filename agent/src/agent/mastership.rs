//! Who may write, and the writes that are under way: the shell around [`Arbitration`].
//!
//! A Write asks for a [`Permit`] and keeps it until its updates are applied and in the journal.
//! A stream that becomes primary is told so only when the permits of its role that are out have come
//! back, as the specification has it (section 5.2, "MasterArbitrationUpdate"): from the message of the
//! new primary on, writes of the old one are refused; the other streams hear of it at once; what is under
//! way ends; then the new primary is told. Its own writes wait for that, too.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pointsman_proto::pointsman::agent::v1::StateRecord;

use super::Agent;
use super::stream::{Inbox, StreamNote};
use crate::arbitration::{
    Arbitration, ArbitrationError, Command, ElectionId, Event, Notice, RoleConfig, RoleName,
    Standing, StreamId,
};
use crate::p4runtime::role;

/// Who may write.
#[derive(Debug)]
pub struct Mastership {
    roles: Mutex<Roles>,
    /// A permit has come back, or a primary has been told.
    changed: Condvar,
}

/// What the lock protects. It is held while an election id goes to the disk, which happens once
/// in a change of mastership.
#[derive(Debug)]
struct Roles {
    arbitration: Arbitration,
    /// Permits that are out.
    writing: HashMap<RoleName, usize>,
    /// New primaries that wait for them.
    waiting: HashMap<RoleName, usize>,
}

/// The right to write. While it is out, no other stream becomes primary of the role.
#[derive(Debug)]
#[must_use = "a write is under way for as long as its permit is out"]
pub struct Permit<'a> {
    mastership: &'a Mastership,
    role: RoleName,
    config: Option<Arc<RoleConfig>>,
}

impl Mastership {
    /// Starts with what arbitration knows.
    pub fn new(arbitration: Arbitration) -> Mastership {
        Mastership {
            roles: Mutex::new(Roles {
                arbitration,
                writing: HashMap::new(),
                waiting: HashMap::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Lets a request write in a role, if it is the primary's.
    pub fn admit(
        &self,
        role: &RoleName,
        election_id: Option<ElectionId>,
    ) -> Result<Permit<'_>, ArbitrationError> {
        self.admit_if(role, |arbitration| {
            arbitration.check_write(role, election_id)?;
            arbitration.role_config(role)
        })
    }

    /// Lets the stream of a controller change objectives; `None` if it is not primary.
    pub fn admit_controller(&self, stream: StreamId) -> Option<Permit<'_>> {
        let role = RoleName::default();
        let is_primary = |arbitration: &Arbitration| match arbitration.primary(&role) {
            Some(primary) if primary == stream => Ok(None),
            _ => Err(()),
        };
        self.admit_if(&role, is_primary).ok()
    }

    fn admit_if<E>(
        &self,
        role: &RoleName,
        check: impl Fn(&Arbitration) -> Result<Option<Arc<RoleConfig>>, E>,
    ) -> Result<Permit<'_>, E> {
        let mut roles = self.lock();
        let mut config = check(&roles.arbitration)?;
        while roles.waiting.contains_key(role) {
            roles = self.wait(roles);
            config = check(&roles.arbitration)?;
        }
        *roles.writing.entry(role.clone()).or_default() += 1;
        Ok(Permit {
            mastership: self,
            role: role.clone(),
            config,
        })
    }

    /// The primary stream of a role.
    pub fn primary(&self, role: &RoleName) -> Option<StreamId> {
        self.lock().arbitration.primary(role)
    }

    /// Looks at arbitration. No election id is kept meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&Arbitration) -> T) -> T {
        look(&self.lock().arbitration)
    }

    fn lock(&self) -> MutexGuard<'_, Roles> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, roles: MutexGuard<'a, Roles>) -> MutexGuard<'a, Roles> {
        let roles = self.changed.wait(roles);
        roles.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// What the role may do; everything without.
    pub fn role_config(&self) -> Option<&Arc<RoleConfig>> {
        self.config.as_ref()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        count_down(&mut self.mastership.lock().writing, &self.role);
        self.mastership.changed.notify_all();
    }
}

fn count_down(counts: &mut HashMap<RoleName, usize>, role: &RoleName) {
    if let Some(count) = counts.get_mut(role) {
        *count -= 1;
        if *count == 0 {
            counts.remove(role);
        }
    }
}

impl Agent {
    /// Lets an event change who is primary, and tells the streams concerned. Whoever becomes
    /// primary hears of it when the writes under way in its role are done.
    pub fn arbitrate(&self, event: Event) {
        if let Event::Closed { stream } = event {
            self.streams.close(stream);
        }
        let roles = self.mastership.lock();
        drop(self.step(roles, event));
    }

    /// Opens the stream of a controller. A stream of the same controller with the same
    /// election id is the same connection before it broke, and ends.
    pub fn open_controller(
        &self,
        name: String,
        device_id: u64,
        election_id: ElectionId,
    ) -> (StreamId, Inbox) {
        let role = RoleName::default();
        let (stream, inbox) = self.streams.open();
        let mut roles = self.mastership.lock();
        let old = roles.arbitration.primary(&role);
        let same = old.filter(|old| self.streams.controller(*old).as_ref() == Some(&name));
        let claims = roles.arbitration.check_write(&role, Some(election_id));
        if let Some(old) = same.filter(|_| claims.is_ok()) {
            let refused = ArbitrationError::DuplicateElectionId { election_id };
            self.streams.tell(old, StreamNote::Refused(refused));
            self.streams.forget_controller(old);
            roles = self.step(roles, Event::Closed { stream: old });
        }
        self.streams.set_controller(stream, name);
        let event = Event::Update {
            stream,
            device_id,
            role,
            role_config: Ok(None),
            election_id: Some(election_id),
        };
        drop(self.step(roles, event));
        (stream, inbox)
    }

    fn step<'a>(&'a self, mut roles: MutexGuard<'a, Roles>, event: Event) -> MutexGuard<'a, Roles> {
        let mut commands = roles.arbitration.step(event);
        // It comes last.
        let crowned = commands.pop_if(|command| {
            matches!(command, Command::Notify { notice, .. } if notice.standing == Standing::Primary)
        });
        for command in commands {
            self.carry_out(command);
        }
        if let Some(Command::Notify { stream, notice }) = crowned {
            roles = self.settle(roles, &notice.role);
            // Another may have taken over meanwhile, and has told this one.
            if roles.arbitration.primary(&notice.role) == Some(stream) {
                self.notify(stream, notice);
            }
        }
        self.publish_subscribers(&roles);
        roles
    }

    /// Waits until no write of a role is under way.
    fn settle<'a>(
        &'a self,
        mut roles: MutexGuard<'a, Roles>,
        role: &RoleName,
    ) -> MutexGuard<'a, Roles> {
        if !roles.writing.contains_key(role) {
            return roles;
        }
        tracing::info!(role = %role.0, "a new primary waits for writes under way");
        *roles.waiting.entry(role.clone()).or_default() += 1;
        self.publish_subscribers(&roles);
        while roles.writing.contains_key(role) {
            roles = self.mastership.wait(roles);
        }
        count_down(&mut roles.waiting, role);
        self.mastership.changed.notify_all();
        roles
    }

    fn carry_out(&self, command: Command) {
        match command {
            Command::Persist(kept) => {
                let ticket = self.journal.append(StateRecord {
                    elections: vec![role::to_saved(kept)],
                    ..StateRecord::default()
                });
                // Nobody must hear of it before it is on the disk.
                if let Err(error) = ticket.wait() {
                    tracing::error!(%error, "the highest election id is not kept");
                }
            }
            Command::Notify { stream, notice } => self.notify(stream, notice),
            Command::Refuse { stream, error } => {
                tracing::info!(stream = stream.0, %error, "stream refused");
                self.streams.tell(stream, StreamNote::Refused(error));
            }
        }
    }

    fn notify(&self, stream: StreamId, notice: Notice) {
        tracing::info!(
            stream = stream.0, role = %notice.role.0, standing = ?notice.standing,
            election_id = ?notice.highest.map(|id| id.to_string()), "arbitration"
        );
        self.streams.tell(stream, StreamNote::Standing(notice));
    }

    /// News go to the primary of each role, once it knows that it is.
    fn publish_subscribers(&self, roles: &Roles) {
        let primaries = roles.arbitration.primaries();
        let told = primaries.filter(|primary| !roles.waiting.contains_key(primary.role));
        self.packet_io
            .subscribers
            .set(self.streams.subscribers(told));
    }
}
