//! `pointsman cluster`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::args::Global;
use crate::cluster_args::ClusterCommand;
use crate::connect::{self, Cluster};
use crate::error::CliError;
use crate::output::Output;
use crate::view::cluster::{self, ClusterNodesView};
use crate::words;

/// Runs the command.
pub async fn run(
    global: &Global,
    command: ClusterCommand,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut cluster = connect::cluster(&global.controller).await?;
    match command {
        ClusterCommand::Status => return status(&mut cluster, output).await,
        ClusterCommand::Add { valid } => add(&mut cluster, valid, output).await?,
        ClusterCommand::Remove { node } => remove(&mut cluster, node.node, output).await?,
        ClusterCommand::Transfer { node } => transfer(&mut cluster, node, output).await?,
        ClusterCommand::Snapshot { file } => snapshot(&mut cluster, &file, output).await?,
        ClusterCommand::Drain { node } => drain(&mut cluster, node.node, false, output).await?,
        ClusterCommand::Resume { node } => drain(&mut cluster, node.node, true, output).await?,
        ClusterCommand::Balance => balance(&mut cluster, output).await?,
        ClusterCommand::SetMaster { device, node } => {
            set_master(&mut cluster, device, node.node, output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(cluster: &mut Cluster, output: &mut Output) -> Result<ExitCode, CliError> {
    let answer = cluster.client.get_cluster(pb::GetClusterRequest {}).await;
    let answer = answer.map_err(|status| cluster.error(status))?;
    let view = ClusterNodesView::from(answer.into_inner());
    output.value(&view, |output| {
        output.text(&format!("{}\n", cluster::summary(&view)))?;
        output.columns(cluster::table(&view), cluster::WIDE)
    })?;
    Ok(match view.is_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[derive(Serialize)]
struct Token {
    token: String,
    /// UTC, as in RFC 3339.
    expires: String,
}

async fn add(cluster: &mut Cluster, minutes: u32, output: &mut Output) -> Result<(), CliError> {
    let request = pb::AddNodeRequest {
        valid_seconds: minutes * 60,
    };
    let answer = cluster.client.add_node(request).await;
    let answer = answer.map_err(|status| cluster.error(status))?.into_inner();
    let token = Token {
        token: answer.token,
        expires: words::time(answer.expires),
    };
    output.value(&token, |output| output.text(&format!("{}\n", token.token)))?;
    output.remark(&format!(
        "good for one node until {}; whoever has it can become part of the cluster. On the new node:\n  \
         pointsman-controller join TOKEN --data-dir DIR --listen ADDR --peer-listen ADDR",
        token.expires
    ));
    Ok(())
}

async fn remove(cluster: &mut Cluster, node: String, output: &mut Output) -> Result<(), CliError> {
    let answer = cluster.client.remove_node(pb::RemoveNodeRequest { node });
    let answer = answer.await.map_err(|status| cluster.error(status))?;
    let removed = answer.into_inner().removed.unwrap_or_default();
    let (id, name) = (removed.id, removed.name);
    output.text(&format!(
        "{name} (node {id}) is no part of the cluster any more; its data directory is of no use, and holds keys: delete it\n"
    ))
}

async fn transfer(
    cluster: &mut Cluster,
    node: Option<String>,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = pb::TransferLeadershipRequest {
        node: node.unwrap_or_default(),
    };
    let answer = cluster.client.transfer_leadership(request).await;
    let answer = answer.map_err(|status| cluster.error(status))?;
    output.text(&format!("{} leads\n", answer.into_inner().leader))
}

/// The file has its name only once it is complete.
async fn snapshot(cluster: &mut Cluster, path: &Path, output: &mut Output) -> Result<(), CliError> {
    let unwritable = |cause| CliError::Write {
        path: path.to_owned(),
        cause,
    };
    // What is there may be the only backup.
    if path.try_exists().map_err(unwritable)? {
        return Err(CliError::Failed(format!(
            "{} is there already, and is not overwritten; give another name",
            path.display()
        )));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let answer = cluster.client.take_snapshot(pb::TakeSnapshotRequest {});
    let answer = answer.await.map_err(|status| cluster.error(status))?;
    let mut chunks = answer.into_inner();
    let mut options = OpenOptions::new();
    // What applications keep is in it, too.
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = file.open(&unfinished).map_err(unwritable)?;
    let mut bytes = 0;
    while let Some(chunk) = chunks
        .message()
        .await
        .map_err(|status| cluster.error(status))?
    {
        bytes += chunk.data.len();
        file.write_all(&chunk.data).map_err(unwritable)?;
    }
    file.sync_all().map_err(unwritable)?;
    std::fs::rename(&unfinished, path).map_err(unwritable)?;
    output.text(&format!("{}: {bytes} bytes\n", path.display()))?;
    output.remark(&format!(
        "a new cluster is made of it with\n  pointsman-controller restore {} --data-dir DIR",
        path.display()
    ));
    Ok(())
}

async fn drain(
    cluster: &mut Cluster,
    node: String,
    undo: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = pb::DrainNodeRequest {
        node: node.clone(),
        undo,
    };
    let answer = cluster.client.drain_node(request).await;
    let answer = answer.map_err(|status| cluster.error(status))?;
    let moved = moved(answer.into_inner().moved);
    output.text(&match undo {
        true => format!("{node} may be master again; {moved}\n"),
        false => format!("{node} is drained; {moved}\n"),
    })
}

async fn balance(cluster: &mut Cluster, output: &mut Output) -> Result<(), CliError> {
    let answer = cluster.client.balance(pb::BalanceRequest {}).await;
    let answer = answer.map_err(|status| cluster.error(status))?;
    output.text(&format!("{}\n", moved(answer.into_inner().moved)))
}

async fn set_master(
    cluster: &mut Cluster,
    device: String,
    node: String,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = pb::SetMasterRequest {
        device: device.clone(),
        node,
    };
    let answer = cluster.client.set_master(request).await;
    let answer = answer.map_err(|status| cluster.error(status))?.into_inner();
    output.text(&format!(
        "{} is master of {device} in term {}\n",
        answer.master, answer.term
    ))
}

fn moved(number: u32) -> String {
    match number {
        0 => "no device has another master".to_owned(),
        1 => "1 device has another master".to_owned(),
        _ => format!("{number} devices have another master"),
    }
}
