//! `pointsman history`, `pointsman rollback` and `pointsman confirm`.

use std::process::ExitCode;

use pointsman_model::Change as ModelChange;
use pointsman_proto::pointsman::controller::v1 as pb;

use super::send::{Asked, author, remark_if_slow, show};
use crate::args::{Global, HistoryArgs, RollbackArgs};
use crate::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::view::apply::Subject;
use crate::view::history::{PastView, table};

/// Shows what was changed.
pub async fn history(
    global: &Global,
    args: HistoryArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut controller = connect::controller(&global.controller).await?;
    let request = pb::GetHistoryRequest {
        limit: args.limit,
        revision: args.revision,
        ..Default::default()
    };
    let answer = controller.client.get_history(request).await;
    let answer = answer
        .map_err(|status| controller.error(status))?
        .into_inner();
    let changes = answer.changes.into_iter();
    let changes = changes.map(|past| PastView::new(&controller.peer, past));
    let changes: Vec<PastView> = changes.collect::<Result<_, _>>()?;
    match changes.as_slice() {
        [change] if args.revision.is_some() => output.value(change, |output| {
            let text = change.text(output.is_coloured());
            output.text(&text)
        })?,
        changes => output.value(&changes, |output| output.table(&table(changes)))?,
    }
    if changes.is_empty() {
        output.remark("nothing has been changed yet");
    }
    Ok(ExitCode::SUCCESS)
}

/// Goes back to what was.
pub async fn rollback(
    global: &Global,
    args: RollbackArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let controller = connect::controller(&global.controller).await?;
    let wait = if args.dry_run {
        0
    } else {
        args.asking.wait * 1000
    };
    let asked = Asked::new(args.dry_run, wait);
    let request = pb::RollbackRequest {
        revision: args.revision,
        dry_run: args.dry_run,
        wait_milliseconds: wait,
        author: author(),
        reason: args.asking.reason,
    };
    let mut client = controller.client.clone();
    let call = client.rollback(asked.request(request));
    let answer = remark_if_slow(&controller, call, output).await;
    let answer = answer
        .map_err(|status| controller.error(status))?
        .into_inner();
    let subjects = answer.objectives.iter().map(subject);
    let subjects: Vec<Subject> =
        subjects
            .collect::<Result<_, _>>()
            .map_err(|message| CliError::BadAnswer {
                peer: controller.peer.clone(),
                message,
            })?;
    show(
        &asked,
        &subjects,
        None,
        answer.answer.unwrap_or_default(),
        output,
    )
}

/// Keeps what is on trial.
pub async fn confirm(
    global: &Global,
    revision: Option<u64>,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut controller = connect::controller(&global.controller).await?;
    let answer = controller
        .client
        .confirm(pb::ConfirmRequest { revision })
        .await;
    let answer = answer
        .map_err(|status| controller.error(status))?
        .into_inner();
    output.text(&format!("revision {} stays\n", answer.revision))?;
    Ok(ExitCode::SUCCESS)
}

fn subject(change: &pb::ObjectiveChange) -> Result<Subject, String> {
    let inner = change.change.as_ref().ok_or("a change is empty")?;
    let inner = ModelChange::try_from(inner).map_err(|error| error.to_string())?;
    Ok(Subject {
        device: change.device.clone(),
        kind: inner.objective.kind().name(),
        name: inner.objective.name.to_string(),
    })
}
