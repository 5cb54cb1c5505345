//! Drift of devices, and its repair: asked of their agents, which alone know what is there.

use futures::future::join_all;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use tonic::Status as GrpcStatus;

use super::ControllerService;
use super::reads::agent_error;

impl ControllerService {
    pub(super) async fn read_drift(
        &self,
        request: pb::GetDriftRequest,
    ) -> Result<pb::GetDriftResponse, GrpcStatus> {
        let consistency = request.consistency();
        let asked = request.request.unwrap_or_default();
        let specs = self
            .select(&request.device, consistency, |device| device.spec().clone())
            .await?;
        let devices = specs.into_iter().map(|spec| async move {
            let (drift, error) = match self.agents.drift(&spec.address, asked).await {
                Ok(drift) => (Some(drift), String::new()),
                Err(error) => (None, error.to_string()),
            };
            pb::DeviceDrift {
                device: spec.name,
                error,
                drift,
            }
        });
        Ok(pb::GetDriftResponse {
            devices: join_all(devices).await,
        })
    }

    pub(super) async fn repair_device(
        &self,
        request: pb::RepairRequest,
    ) -> Result<agent_pb::RepairResponse, GrpcStatus> {
        if request.device.is_empty() {
            let message = "repairs are made on one device; name it";
            return Err(GrpcStatus::invalid_argument(message));
        }
        let devices = self.select(&request.device, pb::Consistency::Linearizable, |device| {
            device.spec().address.clone()
        });
        let address = devices.await?.pop().unwrap_or_default();
        let repaired = self
            .agents
            .repair(&address, request.request.unwrap_or_default());
        repaired.await.map_err(agent_error)
    }
}
