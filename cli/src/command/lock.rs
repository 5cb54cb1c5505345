//! `pointsman kv lock`: a command that runs while a lock is held.

use std::process::ExitCode;
use std::time::Duration;

use pointsman_proto::pointsman::controller::v1 as pb;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use crate::connect::Kv;
use crate::error::CliError;
use crate::kv_args::LockArgs;
use crate::output::Output;

/// How long one question waits for a lock: whoever waits longer asks again, and keeps his place.
const ONE_WAIT: Duration = Duration::from_secs(30);

/// Takes the lock, runs the command, and gives the lock up.
pub async fn run(kv: &mut Kv, args: LockArgs, output: &mut Output) -> Result<ExitCode, CliError> {
    let ttl = u64::try_from(args.ttl.as_millis()).unwrap_or(u64::MAX);
    let request = pb::GrantLeaseRequest {
        ttl_milliseconds: ttl,
        name: format!(
            "{} (pointsman kv lock, process {})",
            args.command[0],
            std::process::id()
        ),
    };
    let answer = kv.client.grant_lease(request).await;
    let lease = answer
        .map_err(|status| kv.error(status))?
        .into_inner()
        .lease;
    let mut keeper = kv.client.clone();
    let keep = async {
        // The last moment at which it is certain that the lease lasts.
        let mut certain = Instant::now() + args.ttl;
        loop {
            tokio::time::sleep(args.ttl / 3).await;
            let asked = Instant::now();
            let kept = keeper.keep_lease(pb::KeepLeaseRequest { lease });
            match timeout_at(certain, kept).await {
                Ok(Ok(_)) => certain = asked + args.ttl,
                Ok(Err(status)) if status.code() == Code::NotFound => return,
                Err(_) => return,
                Ok(Err(_)) if Instant::now() >= certain => return,
                // Another try, until it is too late.
                Ok(Err(_)) => {}
            }
        }
    };
    let lost = || {
        CliError::Failed(format!(
            "the lock {}/{} is lost: its lease could not be kept",
            args.namespace, args.name
        ))
    };
    let held = async {
        let token = take(kv, &args, lease, output).await?;
        let mut child = start(&args.command, token, lease)?;
        let ended = child.wait().await;
        ended.map_err(|error| CliError::Failed(format!("cannot wait for the command: {error}")))
    };
    // What is dropped here kills the command.
    let ended = tokio::select! {
        ended = held => ended,
        () = keep => Err(lost()),
    };
    // Ends by itself if this does not get there.
    let _ = kv
        .client
        .revoke_lease(pb::RevokeLeaseRequest { lease })
        .await;
    let code = ended?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

async fn take(kv: &mut Kv, args: &LockArgs, lease: u64, output: &Output) -> Result<u64, CliError> {
    let until = args.wait.map(|wait| Instant::now() + wait);
    let mut has_said = false;
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = match has_said {
            // The first time only to find out whether there is anything to wait for.
            false => Duration::ZERO,
            true => left.unwrap_or(ONE_WAIT).min(ONE_WAIT),
        };
        let request = pb::LockRequest {
            namespace: args.namespace.clone(),
            name: args.name.clone(),
            lease,
            wait_milliseconds: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
        };
        match kv.client.lock(request).await {
            Ok(answer) => return Ok(answer.into_inner().token),
            Err(status) if status.code() != Code::Aborted => return Err(kv.error(status)),
            Err(status) if left.is_some_and(|left| left.is_zero()) => {
                return Err(kv.error(status));
            }
            Err(status) => {
                if !has_said {
                    output.remark(&format!("{}; waiting for it", status.message()));
                }
                has_said = true;
            }
        }
    }
}

fn start(command: &[String], token: u64, lease: u64) -> Result<Child, CliError> {
    let (program, arguments) = command.split_first().expect("clap wants at least one word");
    let child = Command::new(program)
        .args(arguments)
        .env("POINTSMAN_LOCK_TOKEN", token.to_string())
        .env("POINTSMAN_LOCK_LEASE", lease.to_string())
        .kill_on_drop(true)
        .spawn();
    child.map_err(|error| CliError::Failed(format!("cannot run {program}: {error}")))
}
