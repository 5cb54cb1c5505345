//! The API of settings: what there is, what it means, and changing it.

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::configuration_server::Configuration;
use tonic::{Request, Response, Status};

use super::consistency::catch_up;
use super::store_error;
use crate::raft::Store;
use crate::state::settings::{AnySetting, Settings, check, definitions};
use crate::state::{Command, ConfigureCommand};

/// The service on one node.
pub struct ConfigurationService {
    store: Store,
}

impl ConfigurationService {
    /// The service over a node's store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Configuration for ConfigurationService {
    async fn get_settings(
        &self,
        request: Request<pb::GetSettingsRequest>,
    ) -> Result<Response<pb::GetSettingsResponse>, Status> {
        let request = request.into_inner();
        catch_up(&self.store, request.consistency()).await?;
        let wanted = |setting: &&&dyn AnySetting| setting.name().starts_with(&request.prefix);
        let answer = self.store.read(|state| {
            let all = definitions::ALL.iter().filter(wanted);
            pb::GetSettingsResponse {
                settings: all
                    .map(|setting| describe(*setting, state.settings()))
                    .collect(),
                revision: state.settings().revision(),
            }
        });
        Ok(Response::new(answer))
    }

    async fn configure(
        &self,
        request: Request<pb::ConfigureRequest>,
    ) -> Result<Response<pb::ConfigureResponse>, Status> {
        let request = request.into_inner();
        let changes = request.changes.iter().map(change);
        let command = ConfigureCommand {
            changes: changes.collect::<Result<_, _>>()?,
            expected: request.expected_revision,
        };
        let names = command.changes.clone();
        let answer = self.store.submit(Command::Configure(command)).await;
        match answer.map_err(store_error)? {
            crate::state::Response::Configured {
                accepted: true,
                revision,
            } => {
                for (setting, value) in names {
                    tracing::info!(setting, ?value, "a setting of the cluster is changed");
                }
                Ok(Response::new(pb::ConfigureResponse { revision }))
            }
            crate::state::Response::Configured { revision, .. } => Err(Status::aborted(format!(
                "the settings are at revision {revision}, and not at the one that was expected; nothing was changed"
            ))),
            other => Err(Status::internal(format!("the store answered {other:?}"))),
        }
    }
}

/// A change that this version accepts. What it does not know can be reset, so that nothing stays for ever.
fn change(change: &pb::SettingChange) -> Result<(String, Option<String>), Status> {
    let value = match &change.value {
        None => None,
        Some(value) => {
            let value = check(&change.name, value);
            Some(value.map_err(|error| Status::invalid_argument(error.to_string()))?)
        }
    };
    Ok((change.name.clone(), value))
}

fn describe(setting: &dyn AnySetting, settings: &Settings) -> pb::Setting {
    let set = settings.text(setting.name());
    // What this version cannot read counts as the default.
    let used = set.and_then(|text| setting.canonical(text));
    pb::Setting {
        name: setting.name().to_owned(),
        description: setting.description().to_owned(),
        set: set.is_some(),
        value: used.unwrap_or_else(|| setting.default_text()),
        default_value: setting.default_text(),
        accepts: setting.accepts(),
    }
}
