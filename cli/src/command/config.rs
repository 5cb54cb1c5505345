//! `pointsman config`: settings of the cluster.

use std::process::ExitCode;

use pointsman_proto::pointsman::controller::v1 as pb;

use crate::args::Global;
use crate::connect::{self, Configuration};
use crate::error::CliError;
use crate::kv_args::ConfigCommand;
use crate::output::Output;
use crate::view::settings::{SettingView, table};

/// Runs the command.
pub async fn run(
    global: &Global,
    command: ConfigCommand,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut configuration = connect::configuration(&global.controller).await?;
    match command {
        ConfigCommand::List { prefix } => {
            let settings = read(&mut configuration, prefix).await?;
            output.value(&settings, |output| output.table(&table(&settings)))?;
        }
        ConfigCommand::Get { name } => {
            let settings = read(&mut configuration, name.clone()).await?;
            let mut settings = settings.into_iter();
            let Some(setting) = settings.find(|setting| setting.name == name) else {
                return Err(CliError::Failed(format!(
                    "there is no setting {name:?}; `pointsman config list` shows those that there are"
                )));
            };
            output.value(&setting, |output| output.text(&setting.text()))?;
        }
        ConfigCommand::Set { name, value } => {
            change(&mut configuration, name, Some(value), output).await?;
        }
        ConfigCommand::Reset { name } => change(&mut configuration, name, None, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(
    configuration: &mut Configuration,
    prefix: String,
) -> Result<Vec<SettingView>, CliError> {
    let request = pb::GetSettingsRequest {
        prefix,
        ..Default::default()
    };
    let answer = configuration.client.get_settings(request).await;
    let answer = answer.map_err(|status| configuration.error(status))?;
    let settings = answer.into_inner().settings.into_iter();
    Ok(settings.map(SettingView::from).collect())
}

async fn change(
    configuration: &mut Configuration,
    name: String,
    value: Option<String>,
    output: &mut Output,
) -> Result<(), CliError> {
    let change = pb::SettingChange {
        name: name.clone(),
        value,
    };
    let request = pb::ConfigureRequest {
        changes: vec![change],
        expected_revision: None,
    };
    let answer = configuration.client.configure(request).await;
    answer.map_err(|status| configuration.error(status))?;
    let settings = read(configuration, name.clone()).await?;
    let now = settings.into_iter().find(|setting| setting.name == name);
    let line = now.map(|setting| format!("{name} is {}\n", setting.shown()));
    output.text(&line.unwrap_or_default())
}
