//! The state of arbitration and its one transition function.

use std::collections::{BTreeMap, HashMap};

use thiserror::Error;
use tonic::Code;

/// Identifies a stream for as long as the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// P4Runtime's 128-bit election id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElectionId(pub u128);

impl ElectionId {
    /// From its two halves.
    pub fn new(high: u64, low: u64) -> ElectionId {
        ElectionId(u128::from(high) << 64 | u128::from(low))
    }

    /// Its two halves, high first.
    pub fn halves(self) -> (u64, u64) {
        ((self.0 >> 64) as u64, self.0 as u64)
    }
}

impl std::fmt::Display for ElectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (high, low) = self.halves();
        write!(f, "{high}:{low}")
    }
}

/// A role; the default role has the empty name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(pub String);

/// Something that happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An arbitration message came.
    Update {
        /// On which stream.
        stream: StreamId,
        /// For which device.
        device_id: u64,
        /// In which role.
        role: RoleName,
        /// The role's configuration, opaque.
        role_config: Option<Vec<u8>>,
        /// `None` is a backup for ever.
        election_id: Option<ElectionId>,
    },
    /// The stream ended.
    Closed {
        /// Which one.
        stream: StreamId,
    },
}

/// What a stream is to its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may write.
    Primary,
    /// Another one may.
    Backup,
    /// Nobody may.
    NoPrimary,
}

impl Standing {
    /// The status code of the notification (specification, section 5.3).
    pub fn code(self) -> Code {
        match self {
            Standing::Primary => Code::Ok,
            Standing::Backup => Code::AlreadyExists,
            Standing::NoPrimary => Code::NotFound,
        }
    }
}

/// What to tell a stream about its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The role.
    pub role: RoleName,
    /// As the last primary sent it.
    pub role_config: Option<Vec<u8>>,
    /// The highest ever seen; `None` if there never was a primary.
    pub highest: Option<ElectionId>,
    /// What the stream is.
    pub standing: Standing,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keep the highest id, before anybody is told of it.
    Persist {
        /// Of which role.
        role: RoleName,
        /// The new highest id.
        highest: ElectionId,
    },
    /// Tell a stream where it stands.
    Notify {
        /// Which one.
        stream: StreamId,
        /// What.
        notice: Notice,
    },
    /// End a stream.
    Refuse {
        /// Which one.
        stream: StreamId,
        /// Why.
        error: ArbitrationError,
    },
}

/// Why a stream is ended, or a write refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArbitrationError {
    /// Another switch.
    #[error("device_id {given} is not known here; this switch has device_id {device_id}")]
    UnknownDevice {
        /// What was asked for.
        given: u64,
        /// What there is.
        device_id: u64,
    },
    /// A live stream of the role has this id.
    #[error("election id {election_id} is already in use by another stream of this role")]
    DuplicateElectionId {
        /// The id.
        election_id: ElectionId,
    },
    /// The stream spoke for another role or device before.
    #[error(
        "a stream keeps the role and device of its first arbitration message; open another stream"
    )]
    RoleChanged,
    /// There are too many.
    #[error("there are {limit} streams already")]
    TooManyStreams {
        /// How many there may be.
        limit: usize,
    },
    /// Not the primary.
    #[error("election id {} is not the primary's{}", show(.given), hint(.highest))]
    NotPrimary {
        /// What the request has.
        given: Option<ElectionId>,
        /// The highest ever seen.
        highest: Option<ElectionId>,
    },
}

fn show(id: &Option<ElectionId>) -> String {
    id.map_or_else(|| "(unset)".to_owned(), |id| id.to_string())
}

fn hint(highest: &Option<ElectionId>) -> String {
    match highest {
        Some(id) => format!("; the highest seen is {id}, open a stream with that or a higher one"),
        None => "; no stream has claimed the role yet, open one with an election id".to_owned(),
    }
}

impl ArbitrationError {
    /// The canonical code that the specification gives to this refusal.
    pub fn code(&self) -> Code {
        match self {
            ArbitrationError::UnknownDevice { .. } => Code::NotFound,
            ArbitrationError::DuplicateElectionId { .. } => Code::InvalidArgument,
            ArbitrationError::RoleChanged => Code::FailedPrecondition,
            ArbitrationError::TooManyStreams { .. } => Code::ResourceExhausted,
            ArbitrationError::NotPrimary { .. } => Code::PermissionDenied,
        }
    }
}

/// Who is primary for which role.
#[derive(Debug)]
pub struct Arbitration {
    device_id: u64,
    stream_limit: usize,
    roles: HashMap<RoleName, Role>,
    streams: HashMap<StreamId, RoleName>,
}

#[derive(Debug, Default)]
struct Role {
    highest: Option<ElectionId>,
    config: Option<Vec<u8>>,
    primary: Option<StreamId>,
    streams: BTreeMap<StreamId, Option<ElectionId>>,
}

impl Arbitration {
    /// The state after a start: no streams, and the highest ids that were kept.
    pub fn new(
        device_id: u64,
        stream_limit: usize,
        highest: impl IntoIterator<Item = (RoleName, ElectionId)>,
    ) -> Arbitration {
        let roles = highest.into_iter().map(|(role, highest)| {
            let kept = Role {
                highest: Some(highest),
                ..Role::default()
            };
            (role, kept)
        });
        Arbitration {
            device_id,
            stream_limit,
            roles: roles.collect(),
            streams: HashMap::new(),
        }
    }

    /// The highest id of each role that ever had a primary.
    pub fn highest(&self) -> impl Iterator<Item = (&RoleName, ElectionId)> {
        let roles = self.roles.iter();
        roles.filter_map(|(name, role)| Some((name, role.highest?)))
    }

    /// The primary stream of a role.
    pub fn primary(&self, role: &RoleName) -> Option<StreamId> {
        self.roles.get(role)?.primary
    }

    /// The primary streams of all roles.
    pub fn primaries(&self) -> impl Iterator<Item = (&RoleName, StreamId)> {
        let roles = self.roles.iter();
        roles.filter_map(|(name, role)| Some((name, role.primary?)))
    }

    /// The role of a stream that has sent its first arbitration message.
    pub fn role_of(&self, stream: StreamId) -> Option<&RoleName> {
        self.streams.get(&stream)
    }

    /// May a request with this election id write in this role?
    pub fn check_write(
        &self,
        role: &RoleName,
        election_id: Option<ElectionId>,
    ) -> Result<(), ArbitrationError> {
        let known = self.roles.get(role);
        let primary = known.and_then(|role| {
            let stream = role.primary?;
            role.streams.get(&stream).copied().flatten()
        });
        match (election_id, primary) {
            (Some(given), Some(primary)) if given == primary => Ok(()),
            _ => Err(ArbitrationError::NotPrimary {
                given: election_id,
                highest: known.and_then(|role| role.highest),
            }),
        }
    }

    /// What follows from an event.
    pub fn step(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Closed { stream } => self.close(stream),
            Event::Update {
                stream,
                device_id,
                role,
                role_config,
                election_id,
            } => match self.admit(stream, device_id, &role, election_id) {
                Ok(()) => self.update(stream, role, role_config, election_id),
                Err(error) => {
                    let mut commands = vec![Command::Refuse { stream, error }];
                    commands.extend(self.close(stream));
                    commands
                }
            },
        }
    }

    fn admit(
        &self,
        stream: StreamId,
        device_id: u64,
        role: &RoleName,
        election_id: Option<ElectionId>,
    ) -> Result<(), ArbitrationError> {
        match self.streams.get(&stream) {
            Some(known) if known != role || device_id != self.device_id => {
                return Err(ArbitrationError::RoleChanged);
            }
            None if device_id != self.device_id => {
                return Err(ArbitrationError::UnknownDevice {
                    given: device_id,
                    device_id: self.device_id,
                });
            }
            None if self.streams.len() >= self.stream_limit => {
                return Err(ArbitrationError::TooManyStreams {
                    limit: self.stream_limit,
                });
            }
            _ => {}
        }
        let Some(election_id) = election_id else {
            return Ok(());
        };
        let others = self.roles.get(role).map(|role| role.streams.iter());
        let taken = others
            .into_iter()
            .flatten()
            .any(|(other, id)| *other != stream && *id == Some(election_id));
        match taken {
            true => Err(ArbitrationError::DuplicateElectionId { election_id }),
            false => Ok(()),
        }
    }

    fn update(
        &mut self,
        stream: StreamId,
        name: RoleName,
        role_config: Option<Vec<u8>>,
        election_id: Option<ElectionId>,
    ) -> Vec<Command> {
        self.streams.insert(stream, name.clone());
        let role = self.roles.entry(name.clone()).or_default();
        role.streams.insert(stream, election_id);
        let wins = election_id.filter(|id| role.highest.is_none_or(|highest| *id >= highest));
        let was_primary = role.primary == Some(stream);
        let mut commands = Vec::new();
        let everybody = match wins {
            Some(id) => {
                role.primary = Some(stream);
                role.config = role_config;
                if role.highest != Some(id) {
                    role.highest = Some(id);
                    commands.push(Command::Persist {
                        role: name.clone(),
                        highest: id,
                    });
                }
                true
            }
            None if was_primary => {
                role.primary = None;
                true
            }
            None => false,
        };
        if everybody {
            commands.extend(role.notify_all(&name, Some(stream)));
        } else {
            commands.push(role.notice(&name, stream));
        }
        commands
    }

    fn close(&mut self, stream: StreamId) -> Vec<Command> {
        let Some(name) = self.streams.remove(&stream) else {
            return Vec::new();
        };
        let Some(role) = self.roles.get_mut(&name) else {
            return Vec::new();
        };
        role.streams.remove(&stream);
        if role.primary != Some(stream) {
            return Vec::new();
        }
        role.primary = None;
        role.notify_all(&name, None)
    }
}

impl Role {
    /// Notices to all streams of the role; the one that caused them comes last, so that a
    /// new primary hears of it after everybody else.
    fn notify_all(&self, name: &RoleName, last: Option<StreamId>) -> Vec<Command> {
        let others = self.streams.keys().filter(|stream| Some(**stream) != last);
        let all = others.copied().chain(last);
        all.map(|stream| self.notice(name, stream)).collect()
    }

    fn notice(&self, name: &RoleName, stream: StreamId) -> Command {
        let standing = match self.primary {
            Some(primary) if primary == stream => Standing::Primary,
            Some(_) => Standing::Backup,
            None => Standing::NoPrimary,
        };
        Command::Notify {
            stream,
            notice: Notice {
                role: name.clone(),
                role_config: self.config.clone(),
                highest: self.highest,
                standing,
            },
        }
    }
}
