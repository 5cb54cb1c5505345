//! `pointsman trace`: what would happen to a packet that came now.

use std::process::ExitCode;

use pointsman_model::PortRef;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;

use crate::args::{Global, TraceArgs};
use crate::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::packet::{self, Built};
use crate::view::trace::{self, TraceView};

/// Runs the command.
pub async fn run(
    global: &Global,
    args: TraceArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let (device, words) = match &global.agent {
        Some(_) => (None, args.words.as_slice()),
        None => {
            let (device, words) = args.words.split_first().ok_or_else(no_packet)?;
            (Some(device), words)
        }
    };
    let Built { bytes, port } = packet(&args, words)?;
    let port = args.port.clone().or(port).ok_or_else(|| {
        CliError::Usage(
            "say where the packet comes in, with --port NAME or in_port=NAME; `pointsman get ports` shows them"
                .to_owned(),
        )
    })?;
    let request = agent_pb::TraceRequest {
        port: Some((&port).into()),
        packet: bytes.clone(),
    };
    let (device, answer) = ask(global, device.cloned(), request).await?;
    let view = TraceView::new(device, &bytes, answer);
    output.value(&view, |output| {
        output.text(&trace::text(&view, output.is_coloured()))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The answer, and the name of the device for people.
async fn ask(
    global: &Global,
    device: Option<String>,
    request: agent_pb::TraceRequest,
) -> Result<(String, agent_pb::TraceResponse), CliError> {
    match (&global.agent, device) {
        (Some(address), _) => {
            let mut agent = connect::agent(address, &global.agent_tls).await?;
            let answer = agent.client.trace(request).await;
            let answer = answer.map_err(|status| agent.error(status))?;
            Ok(("this agent".to_owned(), answer.into_inner()))
        }
        (None, device) => {
            let device = device.unwrap_or_default();
            let mut controller = connect::controller(&global.controller).await?;
            let request = pb::TraceRequest {
                device: device.clone(),
                packet: Some(request),
            };
            let answer = controller.client.trace(request).await;
            let answer = answer.map_err(|status| controller.error(status))?;
            Ok((device, answer.into_inner()))
        }
    }
}

/// The packet, in whichever form it was given.
fn packet(args: &TraceArgs, words: &[String]) -> Result<Built, CliError> {
    let usage = |error: String| CliError::Usage(error);
    if let Some(path) = &args.pcap {
        if !words.is_empty() {
            return Err(usage(format!(
                "the packet is in {}; `{}` would be another one",
                path.display(),
                words.join(" ")
            )));
        }
        let capture = std::fs::read(path).map_err(|cause| CliError::Read {
            path: path.clone(),
            cause,
        })?;
        let bytes = packet::read_packet(&capture, args.number);
        let bytes =
            bytes.map_err(|error| CliError::Failed(format!("{} {error}", path.display())))?;
        return Ok(Built { bytes, port: None });
    }
    match words {
        [] => Err(no_packet()),
        words if words.iter().any(|word| word.contains('=')) => {
            packet::build(words.iter().map(String::as_str)).map_err(usage)
        }
        words => {
            let bytes = packet::read_hex(&words.join(" ")).map_err(usage)?;
            Ok(Built { bytes, port: None })
        }
    }
}

fn no_packet() -> CliError {
    CliError::Usage(
        "there is no packet; give its bytes in hexadecimal, its fields (ipv4_dst=10.0.2.1 udp_dst=80) or --pcap FILE. \
         Without --agent, the name of the device comes first"
            .to_owned(),
    )
}

/// A port by its number or name.
pub fn port(text: &str) -> Result<PortRef, String> {
    text.parse().map_err(|error| format!("{error}"))
}
