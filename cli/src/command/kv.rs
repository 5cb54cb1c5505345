//! `pointsman kv`: keys of applications.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use pointsman_proto::pointsman::controller::v1 as pb;
use tonic::Code;

use super::lock;
use crate::args::Global;
use crate::connect::{self, Kv};
use crate::error::CliError;
use crate::kv_args::{KeyArgs, KvCommand, ScopeArgs};
use crate::output::Output;
use crate::view::kv::{ChangeView, EntryView, table};

/// Before a controller is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs the command.
pub async fn run(
    global: &Global,
    command: KvCommand,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut kv = connect::kv(&global.controller).await?;
    match command {
        KvCommand::Get { key, stale } => get(&mut kv, key, stale, output).await?,
        KvCommand::Put {
            key,
            value,
            expected,
            lease,
        } => {
            let request = pb::KvPutRequest {
                namespace: key.namespace,
                key: key.key,
                value: value_or_input(value)?,
                lease,
                expected_revision: expected,
            };
            let answer = kv.client.put(request).await;
            let revision = answer
                .map_err(|status| kv.error(status))?
                .into_inner()
                .revision;
            output.text(&format!("revision {revision}\n"))?;
        }
        KvCommand::Delete {
            key,
            expected,
            prefix,
        } => {
            let request = pb::KvDeleteRequest {
                namespace: key.namespace,
                key: key.key,
                prefix,
                expected_revision: expected,
            };
            let answer = kv.client.delete(request).await;
            let deleted = answer
                .map_err(|status| kv.error(status))?
                .into_inner()
                .deleted;
            let keys = if deleted == 1 { "key" } else { "keys" };
            output.text(&format!("{deleted} {keys} deleted\n"))?;
        }
        KvCommand::List { scope, stale } => list(&mut kv, scope, stale, output).await?,
        KvCommand::Watch { scope, after } => watch(global, scope, after, output).await?,
        KvCommand::Lock(args) => return lock::run(&mut kv, args, output).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn consistency(stale: bool) -> i32 {
    match stale {
        true => pb::Consistency::Stale.into(),
        false => pb::Consistency::Linearizable.into(),
    }
}

fn value_or_input(value: Option<String>) -> Result<Vec<u8>, CliError> {
    match value {
        Some(value) => Ok(value.into_bytes()),
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|cause| CliError::Read {
                path: "standard input".into(),
                cause,
            })?;
            Ok(bytes)
        }
    }
}

async fn get(kv: &mut Kv, key: KeyArgs, stale: bool, output: &mut Output) -> Result<(), CliError> {
    let request = pb::KvGetRequest {
        namespace: key.namespace,
        key: key.key,
        consistency: consistency(stale),
    };
    let answer = kv.client.get(request).await;
    let entry = answer
        .map_err(|status| kv.error(status))?
        .into_inner()
        .entry;
    let entry = entry.unwrap_or_default();
    let value = entry.value.clone();
    output.value(&EntryView::from(entry), |output| output.bytes(&value))
}

async fn list(
    kv: &mut Kv,
    scope: ScopeArgs,
    stale: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut entries: Vec<EntryView> = Vec::new();
    let mut after = String::new();
    loop {
        let request = pb::KvListRequest {
            namespace: scope.namespace.clone(),
            prefix: scope.prefix.clone(),
            after,
            consistency: consistency(stale),
            ..Default::default()
        };
        let answer = kv.client.list(request).await;
        let answer = answer.map_err(|status| kv.error(status))?.into_inner();
        entries.extend(answer.entries.into_iter().map(EntryView::from));
        after = answer.more_after;
        if after.is_empty() {
            break;
        }
    }
    output.value(&entries, |output| output.table(&table(&entries)))?;
    if entries.is_empty() {
        output.remark("there are no such keys");
    }
    Ok(())
}

/// Goes on at another controller, or at the same one when it is back, where a stream ends.
async fn watch(
    global: &Global,
    scope: ScopeArgs,
    mut after: Option<u64>,
    output: &mut Output,
) -> Result<(), CliError> {
    loop {
        let mut kv = connect::kv(&global.controller).await?;
        let request = pb::KvWatchRequest {
            namespace: scope.namespace.clone(),
            prefix: scope.prefix.clone(),
            after_revision: after,
        };
        let answer = kv.client.watch(request).await;
        let mut changes = answer.map_err(|status| kv.error(status))?.into_inner();
        let ended = loop {
            match changes.message().await {
                Ok(Some(change)) => {
                    after = Some(change.revision);
                    for event in change.events {
                        let change = ChangeView::new(change.revision, event);
                        output.document(&change, |output| output.text(&change.line()))?;
                    }
                }
                Ok(None) => break "it has ended the stream".to_owned(),
                // Going on there is not possible, here or elsewhere.
                Err(status) if status.code() == Code::OutOfRange => return Err(kv.error(status)),
                Err(status) => break status.message().to_owned(),
            }
        };
        output.remark(&format!("{}: {ended}; going on", kv.peer));
        tokio::time::sleep(PAUSE).await;
    }
}
