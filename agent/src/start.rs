//! From a configuration to an agent that can be served: target, saved state, journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pointsman_ebpf::switch::pins::{PinDirectory, PinError, Removed};
use pointsman_p4::p4info::{P4InfoError, parse_p4info};
use pointsman_p4::programs;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::agent::{Agent, Identity, RestoreError, Start, restore, snapshot};
use crate::arbitration::Bounds;
use crate::arbitration::ElectionId;
use crate::config::{Config, DEFAULT_PIN_DIR, Pins, PipelineChoice, TargetKind};
use crate::journal::{Journal, JournalError, StateDirectory};
use crate::ports::{Origin, PortError, PortRequest, Ports};
use crate::switch::{Pipeline, PipelineError, PipelineSource};
use crate::target::interpreter::InterpreterTarget;
use crate::target::p4runtime::{P4RuntimeTarget, Upstream, UpstreamTask};
use crate::target::xdp::{PuntLimits, XdpEvents, XdpTarget};
use crate::target::{LEARNT_QUEUE, Learnt, Target, TargetError};

/// Packets to controllers that may wait; more are dropped.
const PACKET_IN_QUEUE: usize = 4096;
/// Packets that go to controllers before other tasks get their turn.
const PACKETS_A_TURN: usize = 64;

/// Why the agent does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The target.
    #[error("target {target}: {error}")]
    Target {
        /// Which one.
        target: TargetKind,
        /// Why.
        error: TargetError,
    },
    /// Where programs are pinned.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] JournalError),
    /// The configured ports do not go together.
    #[error("configuration: {0}")]
    Port(#[from] PortError),
    /// What is in it.
    #[error("{error} (state directory {})", path.display())]
    Restore {
        /// The state directory.
        path: PathBuf,
        /// Why.
        error: Box<RestoreError>,
    },
    /// The configured pipeline makes no sense.
    #[error("pipeline {}: {error}", path.display())]
    Pipeline {
        /// Its directory.
        path: PathBuf,
        /// Why.
        error: Box<PipelineError>,
    },
    /// A file of the pipeline cannot be read.
    #[error("{}: {error}", path.display())]
    PipelineFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A certificate or key for the switch's server cannot be read.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The p4info is none.
    #[error("pipeline {pipeline}: {error}")]
    P4Info {
        /// Of which pipeline.
        pipeline: String,
        /// Why.
        error: P4InfoError,
    },
}

/// An agent, and the packets that its target sends to controllers.
pub struct Started {
    /// The agent.
    pub agent: Agent,
    /// Whole packets as they left at the CPU port.
    pub packet_in: mpsc::Receiver<Vec<u8>>,
    /// What packets learn.
    pub learnt: mpsc::Receiver<Learnt>,
    /// What the target needs to be run.
    pub task: TargetTask,
}

/// What a target needs somebody to run.
pub enum TargetTask {
    /// Nothing.
    None,
    /// What the kernel hands up.
    Xdp(Box<XdpEvents>),
    /// The connection to the switch.
    P4Runtime(UpstreamTask),
}

/// Makes an agent, with what an earlier run has saved. To be called within a runtime.
pub fn start(config: &Config) -> Result<Started, StartError> {
    let refused = |error| StartError::Target {
        target: config.target,
        error,
    };
    let (learner, learnt) = mpsc::channel(LEARNT_QUEUE);
    let (target, packet_in, task): (Box<dyn Target>, _, _) = match config.target {
        TargetKind::Xdp => {
            let (target, events, packet_in) =
                XdpTarget::new(config.cpu_port, pins(config)?, learner).map_err(refused)?;
            let limits = &config.serving.limits;
            target.limit(PuntLimits {
                packet_ins: limits.packet_ins_per_port,
                slow_path: limits.slow_path_per_port,
            });
            (
                Box::new(target),
                packet_in,
                TargetTask::Xdp(Box::new(events)),
            )
        }
        TargetKind::Interpreter => {
            let (packets, packet_in) = mpsc::channel(PACKET_IN_QUEUE);
            let target = InterpreterTarget::new(config.cpu_port, packets, learner);
            (Box::new(target), packet_in, TargetTask::None)
        }
        TargetKind::P4Runtime => {
            let (packets, packet_in) = mpsc::channel(PACKET_IN_QUEUE);
            let (target, task) = P4RuntimeTarget::new(upstream(config)?, packets);
            (Box::new(target), packet_in, TargetTask::P4Runtime(task))
        }
    };
    Ok(Started {
        agent: start_with(config, target)?,
        packet_in,
        learnt,
        task,
    })
}

/// Where the target `xdp` pins what outlives the agent.
fn pins(config: &Config) -> Result<Option<PinDirectory>, PinError> {
    match &config.pins {
        Pins::None => Ok(None),
        Pins::Directory(path) => PinDirectory::open(path, config.device_id).map(Some),
        Pins::Auto => match PinDirectory::open(Path::new(DEFAULT_PIN_DIR), config.device_id) {
            Err(error @ PinError::NotBpf { .. }) => {
                tracing::warn!(%error, "forwarding will end with the agent");
                Ok(None)
            }
            opened => opened.map(Some),
        },
    }
}

/// Takes down what an agent has left forwarding. Returns where it was.
pub fn detach(config: &Config) -> Result<(PathBuf, Removed), PinError> {
    let base = match &config.pins {
        Pins::Directory(path) => path.as_path(),
        Pins::Auto | Pins::None => Path::new(DEFAULT_PIN_DIR),
    };
    let pins = PinDirectory::open(base, config.device_id)?;
    let path = pins.path().to_owned();
    Ok((path, pins.remove_all()?))
}

/// Makes an agent on a target, with what an earlier run has saved.
pub fn start_with(config: &Config, target: Box<dyn Target>) -> Result<Agent, StartError> {
    let directory = StateDirectory::open(&config.state_dir, config.device_id)?;
    let records = directory.read()?;
    let mut ports = Ports::new(config.cpu_port);
    for request in &config.ports {
        match request {
            PortRequest::One(spec) => {
                ports.add(spec.clone(), Origin::Configured)?;
            }
            PortRequest::Every(pattern) => ports.add_pattern(pattern.clone()),
        }
    }
    let presentation = config.presentation();
    let limits = &config.serving.limits;
    let start = Start {
        bounds: Bounds {
            streams_per_role: limits.streams_per_role,
            roles: limits.roles,
        },
        device_id: config.device_id,
        target,
        ports,
        pipeline: pipeline(&config.pipeline)?,
        presentation: presentation.clone(),
        drift: config.drift,
    };
    let restored = !records.is_empty();
    let (state, arbitration) = restore(start, records).map_err(|error| StartError::Restore {
        path: config.state_dir.clone(),
        error: Box::new(error),
    })?;
    let journal = Journal::start(directory, snapshot(&state, &arbitration))?;
    let pipeline = state.switch.pipeline().map(|p| p.schema.name.clone());
    tracing::info!(
        state_dir = %config.state_dir.display(), restored, pipeline,
        objectives = state.objectives.iter().count(), "state is loaded"
    );
    let identity = Identity {
        device_id: config.device_id,
        name: config.name.clone(),
        boot_id: boot_id(),
        started: Instant::now(),
        presentation,
    };
    Ok(Agent::new(
        identity,
        limits.clone(),
        state,
        arbitration,
        journal,
    ))
}

/// The pipeline that is configured.
pub fn pipeline(choice: &PipelineChoice) -> Result<Option<PipelineSource>, StartError> {
    let (name, device_config, p4info, manifest) = match choice {
        PipelineChoice::None => return Ok(None),
        PipelineChoice::Embedded(name) => {
            let program = programs::embedded(name);
            let program = program.expect("the configuration names only what is built in");
            let device_config = program.bmv2_json.as_bytes().to_vec();
            let manifest = Some(program.manifest.to_owned());
            (
                name.clone(),
                device_config,
                program.p4info.to_owned(),
                manifest,
            )
        }
        PipelineChoice::Directory(directory) => {
            let device_config = read(&directory.join("bmv2.json"))?;
            let p4info = read(&directory.join("p4info.txtpb"))?;
            let manifest = directory.join("pipeline.yaml");
            let manifest = match manifest.is_file() {
                true => Some(read(&manifest)?),
                false => None,
            };
            let name = directory.display().to_string();
            (name, device_config.into_bytes(), p4info, manifest)
        }
    };
    let p4info = parse_p4info(&p4info).map_err(|error| StartError::P4Info {
        pipeline: name,
        error,
    })?;
    let source = PipelineSource {
        p4info,
        device_config,
        cookie: None,
        manifest,
        configured: true,
    };
    if let PipelineChoice::Directory(path) = choice {
        // Here it is known which files an error is about.
        Pipeline::read(source.clone()).map_err(|error| StartError::Pipeline {
            path: path.clone(),
            error: Box::new(error),
        })?;
    }
    Ok(Some(source))
}

fn read(path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|error| StartError::PipelineFile {
        path: path.to_owned(),
        error,
    })
}

/// Different at every start: the time and the process.
fn boot_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = now.map_or(0, |now| now.as_nanos());
    format!("{nanoseconds:x}-{:x}", std::process::id())
}

/// The server behind the agent, with its certificates.
fn upstream(config: &Config) -> Result<Upstream, StartError> {
    let configured = config.upstream.as_ref();
    let configured = configured.expect("the configuration gives one to this target");
    let pem = |path: &Path| {
        std::fs::read(path).map_err(|error| StartError::Certificate {
            path: path.to_owned(),
            error,
        })
    };
    let tls = match &configured.ca {
        None => None,
        Some(ca) => {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(ca)?));
            Some(match &configured.identity {
                None => tls,
                Some((cert, key)) => {
                    tls.identity(tonic::transport::Identity::from_pem(pem(cert)?, pem(key)?))
                }
            })
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(1, |now| now.as_secs());
    let election_id = configured.election_id.unwrap_or(seconds);
    Ok(Upstream {
        address: configured.address.clone(),
        device_id: configured.device_id,
        election_id: ElectionId::new(0, election_id),
        policy: configured.policy,
        tls,
    })
}

/// Runs what the target needs, until it is cancelled.
pub async fn run_target(task: TargetTask, agent: Arc<Agent>, cancel: CancellationToken) {
    match task {
        TargetTask::None => {}
        TargetTask::Xdp(mut events) => {
            if let Some(Err(error)) = cancel.run_until_cancelled(events.run()).await {
                tracing::error!(%error, "the slow path has ended; restart the agent");
            }
        }
        TargetTask::P4Runtime(upstream) => {
            if let Err(error) = upstream.run(agent, cancel).await {
                tracing::error!(%error, "the connection to the switch cannot be run; restart the agent");
            }
        }
    }
}

/// Gives packets from the target to the controllers, until it is cancelled.
pub async fn forward_packet_ins(
    agent: Arc<Agent>,
    mut packets: mpsc::Receiver<Vec<u8>>,
    cancel: CancellationToken,
) {
    let mut taken = Vec::with_capacity(PACKETS_A_TURN);
    loop {
        let count = tokio::select! {
            () = cancel.cancelled() => return,
            count = packets.recv_many(&mut taken, PACKETS_A_TURN) => count,
        };
        if count == 0 {
            return;
        }
        for packet in taken.drain(..) {
            agent.packet_in(packet);
        }
    }
}
