//! Completion of what exists: names of devices and objectives, and revisions, as the controller says them.
//!
//! A shell asks by running `pointsman` with [`VARIABLE`] set, while somebody waits for the key to do something. So the
//! controller has [`PATIENCE`] to answer, and if it does not, nothing is offered and nothing is said.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use pointsman_model::{Kind, Objective};
use pointsman_proto::pointsman::controller::v1 as pb;

pub use clap_complete::Shell;

use crate::args;
use crate::connect::{self, Controller};
use crate::error::CliError;
use crate::name::ObjectiveName;

/// Set to the name of the shell that asks.
pub const VARIABLE: &str = "POINTSMAN_COMPLETE";
const PATIENCE: Duration = Duration::from_millis(500);
/// More than this nobody reads.
const MOST_OFFERED: usize = 1000;

/// What a shell has to read so that it asks.
pub fn script(shell: Shell) -> Result<String, CliError> {
    let mut script = Vec::new();
    let completer = Shells::builtins();
    let completer = completer.completer(&shell.to_string());
    let completer = completer.ok_or_else(|| CliError::Usage(format!("{shell} is not known")))?;
    completer.write_registration(VARIABLE, "pointsman", "pointsman", "pointsman", &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// Names of devices.
pub fn devices(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, ask(device_names))
}

/// `[DEVICE/]KIND/NAME` of objectives.
pub fn objectives(current: &OsStr) -> Vec<CompletionCandidate> {
    let with_device = names_a_device(current);
    offer(
        current,
        ask(async move |controller| objective_names(controller, with_device).await),
    )
}

/// Both.
pub fn devices_and_objectives(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = devices(current);
    all.extend(objectives(current));
    all
}

/// Revisions of the history.
pub fn revisions(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, ask(revisions_of_history))
}

/// The names of controller nodes.
pub fn nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, ask(node_names))
}

/// Whether what is typed begins with a device rather than with a kind.
fn names_a_device(current: &OsStr) -> bool {
    let current = current.to_string_lossy();
    let kinds = [Kind::Filter, Kind::Forward, Kind::Next];
    match current.split_once('/') {
        Some((first, _)) => kinds.iter().all(|kind| kind.name() != first),
        None => false,
    }
}

fn offer(current: &OsStr, names: Option<BTreeSet<String>>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let names = names.unwrap_or_default().into_iter();
    let names = names.filter(|name| name.starts_with(&*current));
    names
        .take(MOST_OFFERED)
        .map(CompletionCandidate::new)
        .collect()
}

/// Asks the controller that the command line or the environment names. There is no telling why it does not answer.
fn ask(
    question: impl AsyncFnOnce(&mut Controller) -> Option<BTreeSet<String>>,
) -> Option<BTreeSet<String>> {
    let address = address(std::env::args_os());
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().ok()?;
    runtime.block_on(async {
        let answer = async {
            let mut controller = connect::controller(&address).await.ok()?;
            question(&mut controller).await
        };
        tokio::time::timeout(PATIENCE, answer).await.ok()?
    })
}

/// Where the controller is, according to the words typed so far.
fn address(words: impl Iterator<Item = OsString>) -> String {
    let mut words = words.skip_while(|word| word != "--").skip(1);
    let mut given = None;
    while let Some(word) = words.next() {
        let word = word.to_string_lossy().into_owned();
        match word.strip_prefix("--controller") {
            Some("") => given = words.next().map(|next| next.to_string_lossy().into_owned()),
            Some(rest) => given = rest.strip_prefix('=').map(str::to_owned).or(given),
            None => {}
        }
    }
    let of_environment = || std::env::var(args::CONTROLLER_VARIABLE).ok();
    given
        .or_else(of_environment)
        .unwrap_or_else(|| args::DEFAULT_CONTROLLER.to_owned())
}

async fn device_names(controller: &mut Controller) -> Option<BTreeSet<String>> {
    let answer = controller
        .client
        .get_devices(pb::GetDevicesRequest::default());
    let devices = answer.await.ok()?.into_inner().devices.into_iter();
    Some(
        devices
            .filter_map(|device| Some(device.spec?.name))
            .collect(),
    )
}

async fn node_names(controller: &mut Controller) -> Option<BTreeSet<String>> {
    let answer = controller.client.get_status(pb::GetStatusRequest {});
    Some(answer.await.ok()?.into_inner().voters.into_iter().collect())
}

async fn objective_names(
    controller: &mut Controller,
    with_device: bool,
) -> Option<BTreeSet<String>> {
    let request = pb::GetObjectivesRequest::default();
    let answer = controller.client.get_objectives(request).await.ok()?;
    let mut names = BTreeSet::new();
    for device in answer.into_inner().devices {
        for held in device.objectives {
            let objective = Objective::try_from(held.objective.as_ref()?).ok()?;
            let name = ObjectiveName {
                device: with_device.then(|| device.device.clone()),
                kind: objective.kind(),
                name: objective.name,
            };
            names.insert(name.to_string());
        }
    }
    Some(names)
}

async fn revisions_of_history(controller: &mut Controller) -> Option<BTreeSet<String>> {
    let request = pb::GetHistoryRequest::default();
    let answer = controller.client.get_history(request).await.ok()?;
    let changes = answer.into_inner().changes.into_iter();
    Some(changes.map(|past| past.revision.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = OsString> {
        text.split(' ')
            .map(OsString::from)
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn the_controller_of_the_command_line_is_asked() {
        let asked = |text| address(words(text));
        assert_eq!(asked("pointsman -- pointsman --controller c:1 get"), "c:1");
        assert_eq!(
            asked("pointsman -- pointsman get --controller=c:2 x"),
            "c:2"
        );
    }

    #[test]
    fn what_begins_otherwise_is_not_offered() {
        let names = BTreeSet::from(["leaf1", "leaf2", "spine1"].map(str::to_owned));
        let offered = offer(OsStr::new("leaf"), Some(names));
        let offered: Vec<_> = offered
            .iter()
            .map(|one| one.get_value().to_owned())
            .collect();
        assert_eq!(offered, ["leaf1", "leaf2"]);
        assert!(offer(OsStr::new(""), None).is_empty());
    }
}
