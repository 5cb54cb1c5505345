//! The state of arbitration and its one transition function.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tonic::Code;

use super::error::ArbitrationError;
use super::role_config::{RoleConfig, RoleConfigError};

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
        /// What the role may do; everything without it.
        role_config: Result<Option<Arc<RoleConfig>>, RoleConfigError>,
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
    pub role_config: Option<Arc<RoleConfig>>,
    /// The highest ever seen; `None` if there never was a primary.
    pub highest: Option<ElectionId>,
    /// What the stream is.
    pub standing: Standing,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keep what a role has come to, before anybody is told of it.
    Persist(Kept),
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

/// The primary of a role.
#[derive(Debug, Clone, Copy)]
pub struct Primary<'a> {
    /// Of which role.
    pub role: &'a RoleName,
    /// Which stream it is.
    pub stream: StreamId,
    /// What the role may do; everything without.
    pub config: Option<&'a Arc<RoleConfig>>,
}

/// What of a role outlives its streams and a warm restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which role.
    pub role: RoleName,
    /// The highest id ever seen.
    pub highest: ElectionId,
    /// As the last primary sent it.
    pub config: Option<Arc<RoleConfig>>,
}

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Streams of one role.
    pub streams_per_role: usize,
    /// Roles, but for the default role.
    pub roles: usize,
}

/// Who is primary for which role.
#[derive(Debug)]
pub struct Arbitration {
    device_id: u64,
    bounds: Bounds,
    roles: HashMap<RoleName, Role>,
    streams: HashMap<StreamId, RoleName>,
}

#[derive(Debug, Default)]
struct Role {
    highest: Option<ElectionId>,
    config: Option<Arc<RoleConfig>>,
    primary: Option<StreamId>,
    streams: BTreeMap<StreamId, Option<ElectionId>>,
}

impl Arbitration {
    /// The state after a start: no streams, and what was kept of roles.
    pub fn new(
        device_id: u64,
        bounds: Bounds,
        kept: impl IntoIterator<Item = Kept>,
    ) -> Arbitration {
        let roles = kept.into_iter().map(|kept| {
            let role = Role {
                highest: Some(kept.highest),
                config: kept.config,
                ..Role::default()
            };
            (kept.role, role)
        });
        Arbitration {
            device_id,
            bounds,
            roles: roles.collect(),
            streams: HashMap::new(),
        }
    }

    /// What is to be kept of each role that ever had a primary.
    pub fn kept(&self) -> impl Iterator<Item = Kept> {
        let roles = self.roles.iter();
        roles.filter_map(|(name, role)| role.kept(name))
    }

    /// What a role may do; `None` is everything (specification, sections 5.1 and 5.2).
    pub fn role_config(
        &self,
        role: &RoleName,
    ) -> Result<Option<Arc<RoleConfig>>, ArbitrationError> {
        match self.roles.get(role) {
            Some(known) => Ok(known.config.clone()),
            None if role.0.is_empty() => Ok(None),
            None => Err(ArbitrationError::UnknownRole {
                role: role.0.clone(),
            }),
        }
    }

    /// The primary stream of a role.
    pub fn primary(&self, role: &RoleName) -> Option<StreamId> {
        self.roles.get(role)?.primary
    }

    /// The primary streams of all roles.
    pub fn primaries(&self) -> impl Iterator<Item = Primary<'_>> {
        self.roles.iter().filter_map(|(name, role)| {
            Some(Primary {
                role: name,
                stream: role.primary?,
                config: role.config.as_ref(),
            })
        })
    }

    /// The role of a stream that has sent its first arbitration message.
    pub fn role_of(&self, stream: StreamId) -> Option<&RoleName> {
        self.streams.get(&stream)
    }

    /// May a request with this election id write in this role? The role has to be known first
    /// (specification, section "Write RPC").
    pub fn check_write(
        &self,
        role: &RoleName,
        election_id: Option<ElectionId>,
    ) -> Result<(), ArbitrationError> {
        self.role_config(role)?;
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
            } => match self.admit(stream, device_id, &role, role_config, election_id) {
                Ok(role_config) => self.update(stream, role, role_config, election_id),
                Err(error) => {
                    let mut commands = vec![Command::Refuse { stream, error }];
                    commands.extend(self.close(stream));
                    commands
                }
            },
        }
    }

    /// The checks of section 5.3 in its order. Returns what the role may do.
    fn admit(
        &self,
        stream: StreamId,
        device_id: u64,
        name: &RoleName,
        config: Result<Option<Arc<RoleConfig>>, RoleConfigError>,
        election_id: Option<ElectionId>,
    ) -> Result<Option<Arc<RoleConfig>>, ArbitrationError> {
        let before = self.streams.get(&stream);
        match before {
            Some(known) if known != name || device_id != self.device_id => {
                return Err(ArbitrationError::RoleChanged);
            }
            None if device_id != self.device_id => {
                return Err(ArbitrationError::UnknownDevice {
                    given: device_id,
                    device_id: self.device_id,
                });
            }
            _ => {}
        }
        let role = self.roles.get(name);
        let mut others = role.into_iter().flat_map(|role| &role.streams);
        if let Some(election_id) = election_id
            && others.any(|(other, id)| *other != stream && *id == Some(election_id))
        {
            return Err(ArbitrationError::DuplicateElectionId { election_id });
        }
        let config = config?;
        if let Some(config) = &config {
            self.check_beside_others(name, config)?;
        }
        match role {
            Some(role)
                if before.is_none() && role.streams.len() >= self.bounds.streams_per_role =>
            {
                Err(ArbitrationError::TooManyStreams {
                    role: name.0.clone(),
                    limit: self.bounds.streams_per_role,
                })
            }
            None if !name.0.is_empty() && self.named_roles() >= self.bounds.roles => {
                Err(ArbitrationError::TooManyRoles {
                    limit: self.bounds.roles,
                })
            }
            _ => Ok(config),
        }
    }

    /// Does a configuration go with those of the other roles?
    fn check_beside_others(
        &self,
        name: &RoleName,
        config: &RoleConfig,
    ) -> Result<(), RoleConfigError> {
        if name.0.is_empty() {
            return Err(RoleConfigError::DefaultRole);
        }
        let others = self.roles.iter().filter(|(other, _)| *other != name);
        let mut others = others.filter_map(|(name, role)| Some((name, role.config.as_ref()?)));
        others.try_for_each(|(other, theirs)| config.check_beside(theirs, &other.0))
    }

    fn named_roles(&self) -> usize {
        let named = self.roles.keys().filter(|name| !name.0.is_empty());
        named.count()
    }

    fn update(
        &mut self,
        stream: StreamId,
        name: RoleName,
        role_config: Option<Arc<RoleConfig>>,
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
                let before = role.kept(&name);
                role.primary = Some(stream);
                role.config = role_config;
                role.highest = Some(id);
                let after = role.kept(&name);
                if before != after {
                    commands.extend(after.map(Command::Persist));
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
        if role.primary == Some(stream) {
            role.primary = None;
            return role.notify_all(&name, None);
        }
        if role.streams.is_empty() && role.highest.is_none() {
            // There is nothing to remember of it.
            self.roles.remove(&name);
        }
        Vec::new()
    }
}

impl Role {
    fn kept(&self, name: &RoleName) -> Option<Kept> {
        Some(Kept {
            role: name.clone(),
            highest: self.highest?,
            config: self.config.clone(),
        })
    }

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
