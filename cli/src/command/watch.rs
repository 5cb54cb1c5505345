//! `pointsman watch`: what happens on the fabric, as it happens.
//!
//! If the stream ends it is asked for again from where it was, so nothing is missed or told twice while a controller
//! restarts.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use pointsman_proto::pointsman::controller::v1 as pb;

use crate::args::{Global, WatchArgs};
use crate::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::view::news::{self, NewsView};

/// How long to wait before a controller that has gone is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Where the stream is, by device.
type Known = BTreeMap<String, pb::Position>;

/// Runs the command: until somebody ends it, or with `--once` until all is told.
pub async fn run(
    global: &Global,
    args: &WatchArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut known = Known::new();
    // The first attempt says at once what is wrong; later ones wait for the controller to come back.
    let mut fault = follow(global, args, &mut known, output).await?;
    while let Some(error) = fault {
        output.remark(&format!("{error}; trying again from where it was"));
        tokio::time::sleep(RETRY).await;
        fault = match follow(global, args, &mut known, output).await {
            Err(error @ CliError::Unreachable { .. }) => Some(error),
            other => other?,
        };
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what comes; returns why it ended, or nothing if everything was told that was asked for.
async fn follow(
    global: &Global,
    args: &WatchArgs,
    known: &mut Known,
    output: &mut Output,
) -> Result<Option<CliError>, CliError> {
    let mut topology = connect::topology(&global.controller).await?;
    let request = pb::WatchTopologyRequest {
        devices: args.devices.clone(),
        known: known.values().cloned().collect(),
        once: args.once,
    };
    let answer = topology.client.watch(request).await;
    let mut batches = answer
        .map_err(|status| topology.error(status))?
        .into_inner();
    loop {
        let batch = match batches.message().await {
            Ok(Some(batch)) => batch,
            Ok(None) if args.once => return Ok(None),
            Ok(None) => {
                let message = "it has ended the stream".to_owned();
                let peer = topology.peer.clone();
                return Ok(Some(CliError::Refused { peer, message }));
            }
            Err(status) => return Ok(Some(topology.error(status))),
        };
        if batch.complete {
            continue;
        }
        if batch.removed {
            known.remove(&batch.device);
        } else if !batch.more {
            let position = pb::Position {
                device: batch.device.clone(),
                boot_id: batch.boot_id.clone(),
                sequence: batch.sequence,
            };
            known.insert(batch.device.clone(), position);
        }
        show(&batch.into(), output)?;
    }
}

fn show(news: &NewsView, output: &mut Output) -> Result<(), CliError> {
    output.document(news, |output| output.text(&news::text(news)))
}
