//! Puts answers together from the store, the distribution and the agents.
//!
//! What agents say is asked of all of them at once; one that does not answer
//! costs its own part of the answer, never the rest.

use std::collections::HashMap;

use futures::future::join_all;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use tonic::Status as GrpcStatus;

use super::consistency::catch_up;
use super::{ControllerService, convert};
use crate::agents::AgentError;
use crate::objective::Objective;
use crate::state::{DeviceSpec, DeviceState, Mastership};
use crate::status::{Progress, Status};

impl ControllerService {
    /// The devices that a request is about: the named one, or all.
    pub(super) async fn select<T>(
        &self,
        name: &str,
        consistency: pb::Consistency,
        take: impl Fn(&DeviceState) -> T,
    ) -> Result<Vec<T>, GrpcStatus> {
        catch_up(&self.store, consistency).await?;
        self.store.read(|state| {
            if name.is_empty() {
                return Ok(state.devices().values().map(take).collect());
            }
            let device = state.device(name).ok_or_else(|| {
                let known: Vec<_> = state.devices().keys().map(String::as_str).collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                GrpcStatus::not_found(format!(
                    "there is no device {name:?}; known devices: {known}"
                ))
            })?;
            Ok(vec![take(device)])
        })
    }

    pub(super) async fn read_objectives(
        &self,
        request: pb::GetObjectivesRequest,
    ) -> Result<pb::GetObjectivesResponse, GrpcStatus> {
        let devices = self.select(&request.device, request.consistency(), |device| {
            let statuses = self.distribution.statuses_of(device);
            let objectives = device.objectives().values().zip(statuses);
            let objectives = objectives.map(|(stored, status)| objective_pb::ObjectiveStatus {
                objective: Some(stored.objective.to_proto()),
                status: Some(status.to_proto()),
                ..objective_pb::ObjectiveStatus::default()
            });
            let name = device.spec().name.clone();
            let answer = pb::DeviceObjectives {
                device: name,
                objectives: objectives.collect(),
                error: String::new(),
            };
            (answer, device.spec().address.clone())
        });
        let devices = devices
            .await?
            .into_iter()
            .map(|(mut answer, address)| async move {
                if request.entries {
                    match self.agents.objectives(&address).await {
                        Ok(held) => add_entries(&mut answer.objectives, held.objectives),
                        Err(error) => answer.error = error.to_string(),
                    }
                }
                answer
            });
        Ok(pb::GetObjectivesResponse {
            devices: join_all(devices).await,
        })
    }

    pub(super) async fn read_devices(
        &self,
        consistency: pb::Consistency,
    ) -> Result<pb::GetDevicesResponse, GrpcStatus> {
        let devices = self.select("", consistency, |device| {
            let statuses = self.distribution.statuses_of(device);
            (
                device.spec().clone(),
                device.mastership().cloned(),
                statuses,
            )
        });
        let devices = devices
            .await?
            .into_iter()
            .map(|(spec, mastership, statuses)| self.describe(spec, mastership, statuses));
        Ok(pb::GetDevicesResponse {
            devices: join_all(devices).await,
        })
    }

    async fn describe(
        &self,
        spec: DeviceSpec,
        mastership: Option<Mastership>,
        statuses: Vec<Status>,
    ) -> pb::Device {
        let answer = self.agents.status(&spec.address).await;
        let (agent, message) = match (answer, self.distribution.fault(&spec.name)) {
            (Ok(status), fault) => (Some(status), fault.unwrap_or_default()),
            (Err(error), _) => (None, error.to_string()),
        };
        let count = |progress| {
            let count = statuses
                .iter()
                .filter(|status| status.progress == progress)
                .count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        pb::Device {
            spec: Some(convert::device_spec(&spec)),
            reachable: agent.is_some(),
            message,
            master: mastership
                .as_ref()
                .map(|held| self.name_of(held.node))
                .unwrap_or_default(),
            term: mastership.map_or(0, |held| held.term.0),
            agent,
            objectives_applied: count(Progress::Applied),
            objectives_pending: count(Progress::Pending),
            objectives_failed: count(Progress::Failed),
        }
    }

    pub(super) async fn read_ports(
        &self,
        request: pb::GetPortsRequest,
    ) -> Result<pb::GetPortsResponse, GrpcStatus> {
        let specs = self
            .select(&request.device, request.consistency(), |device| {
                device.spec().clone()
            })
            .await?;
        let devices = specs.into_iter().map(|spec| async move {
            let (ports, error) = match self.agents.ports(&spec.address).await {
                Ok(ports) => (ports, String::new()),
                Err(error) => (Vec::new(), error.to_string()),
            };
            pb::DevicePorts {
                device: spec.name,
                error,
                ports,
            }
        });
        Ok(pb::GetPortsResponse {
            devices: join_all(devices).await,
        })
    }

    pub(super) async fn read_tables(
        &self,
        request: pb::GetTablesRequest,
    ) -> Result<pb::GetTablesResponse, GrpcStatus> {
        let specs = self
            .select(&request.device, request.consistency(), |device| {
                device.spec().clone()
            })
            .await?;
        let devices = specs.into_iter().map(|spec| async move {
            let (tables, error) = match self.agents.tables(&spec.address, request.entries).await {
                Ok(tables) => (tables, String::new()),
                Err(error) => (Vec::new(), error.to_string()),
            };
            pb::DeviceTables {
                device: spec.name,
                error,
                tables,
            }
        });
        Ok(pb::GetTablesResponse {
            devices: join_all(devices).await,
        })
    }

    pub(super) async fn trace_packet(
        &self,
        request: pb::TraceRequest,
    ) -> Result<agent_pb::TraceResponse, GrpcStatus> {
        let pb::TraceRequest { device, packet } = request;
        let packet = packet.ok_or_else(|| GrpcStatus::invalid_argument("the packet is missing"))?;
        if device.is_empty() {
            let message = "a packet is traced on one device; name it";
            return Err(GrpcStatus::invalid_argument(message));
        }
        let devices = self.select(&device, pb::Consistency::Linearizable, |device| {
            device.spec().address.clone()
        });
        let address = devices.await?.pop().unwrap_or_default();
        let traced = self.agents.trace(&address, packet).await;
        traced.map_err(agent_error)
    }

    /// What this node knows of the cluster, also without a majority.
    pub(super) fn read_status(&self) -> pb::ClusterStatus {
        let membership = self.store.membership();
        let (cluster_id, revision, trial) = self
            .store
            .read(|state| (state.cluster().id.clone(), state.revision(), state.trial()));
        pb::ClusterStatus {
            cluster_id,
            node: self.node_name.clone(),
            leader: membership
                .leader
                .map(|node| self.name_of(node))
                .unwrap_or_default(),
            voters: membership
                .voters
                .into_iter()
                .map(|node| self.name_of(node))
                .collect(),
            revision: revision.0,
            term: membership.term,
            log_index: membership.log_index,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            trial: trial.map(|trial| pb::Trial {
                revision: trial.revision.0,
                back_to: trial.back_to.0,
                until: i64::try_from(trial.until).unwrap_or(i64::MAX),
            }),
        }
    }
}

/// An agent's error as the API carries it.
pub(super) fn agent_error(error: AgentError) -> GrpcStatus {
    match error {
        AgentError::Unreachable { .. } | AgentError::TimedOut { .. } => {
            GrpcStatus::unavailable(error.to_string())
        }
        error => GrpcStatus::failed_precondition(error.to_string()),
    }
}

fn add_entries(
    objectives: &mut [objective_pb::ObjectiveStatus],
    held: Vec<objective_pb::ObjectiveStatus>,
) {
    let key = |objective: &Option<objective_pb::Objective>| {
        objective
            .as_ref()
            .and_then(|objective| Objective::key_of(objective).ok())
    };
    let mut entries: HashMap<_, _> = held
        .into_iter()
        .map(|held| {
            (
                key(&held.objective),
                (held.entries, held.drift, held.counts, held.counted),
            )
        })
        .collect();
    for objective in objectives {
        (
            objective.entries,
            objective.drift,
            objective.counts,
            objective.counted,
        ) = entries
            .remove(&key(&objective.objective))
            .unwrap_or_default();
    }
}
