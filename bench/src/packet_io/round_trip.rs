//! From a wire to a wire, one packet after the other: by the data plane alone, and by a client.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::client::{self, KNOWN, Reacting, Reaction};
use super::wires::Wires;

/// Nobody has a route to it.
const UNKNOWN: [u8; 4] = [10, 254, 0, 1];
/// Trips that warm caches and connections.
const WARM_UP: u32 = 200;
const LONGEST_NS: u64 = 60_000_000_000;

/// Nanoseconds of both ways.
pub(super) async fn measure(
    client: &mut Reacting,
    wires: Wires,
    trips: u32,
) -> Result<(Histogram<u64>, Histogram<u64>)> {
    let driver = tokio::task::spawn_blocking(move || drive(wires, trips));
    tokio::select! {
        done = driver => done.context("the sender has failed")?,
        ended = client.react(Reaction::Send) => {
            ended?;
            anyhow::bail!("the client has stopped")
        }
    }
}

/// In turns, so that both have the same machine.
fn drive(mut wires: Wires, trips: u32) -> Result<(Histogram<u64>, Histogram<u64>)> {
    let mut histograms = [
        Histogram::new_with_bounds(1, LONGEST_NS, 3)?,
        Histogram::new_with_bounds(1, LONGEST_NS, 3)?,
    ];
    let ways = [client::headers(KNOWN), client::headers(UNKNOWN)];
    for trip in 0..WARM_UP + trips {
        for (at, headers) in ways.iter().enumerate() {
            let took = wires.trip(headers, 2 * trip + at as u32)?;
            if trip >= WARM_UP {
                histograms[at].record(nanos(took))?;
            }
        }
    }
    let [forwarded, answered] = histograms;
    Ok((forwarded, answered))
}

fn nanos(duration: Duration) -> u64 {
    (duration.as_nanos() as u64).clamp(1, LONGEST_NS)
}
