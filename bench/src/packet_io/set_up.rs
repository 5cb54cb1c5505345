//! First packets: each has an entry made, and goes out.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_proto::pointsman::agent::v1 as pb;

use super::PATIENCE;
use super::bed::{Bed, soon};
use super::client::{self, Reacting, Reaction};
use super::wires::Wires;

/// First packets under way: no more than fit the buffers of the sockets.
const WINDOW: u32 = 128;
/// Times that senders of whom nothing came of their first packet send another.
const ATTEMPTS: u32 = 10;

/// Entries that were made.
#[derive(Debug, Clone, Copy)]
pub struct SetUps {
    /// How many.
    pub count: u32,
    /// From the first packet that was sent to the last entry, and the last packet that came out.
    pub time: Duration,
    /// Packets that were sent again, as nothing had come of them.
    pub again: u32,
}

impl SetUps {
    /// Of a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.count) / self.time.as_secs_f64()
    }
}

impl fmt::Display for SetUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0} a second ({} in {:.1?}, {} packets sent again)",
            self.per_second(),
            self.count,
            self.time,
            self.again
        )
    }
}

/// By a client that writes a route for each destination, and then sends the packet out.
pub(super) async fn by_client(client: &mut Reacting, wires: Wires, count: u32) -> Result<SetUps> {
    ensure!(count <= 0xffff, "there are no more hosts in this network");
    let send = move || {
        let started = Instant::now();
        let mut wires = wires;
        let destination = |n: u32| client::headers([10, 1, (n >> 8) as u8, n as u8]);
        flood(&mut wires, count, destination)?;
        Ok(SetUps {
            count,
            time: started.elapsed(),
            again: 0,
        })
    };
    tokio::select! {
        done = tokio::task::spawn_blocking(send) => done.context("the sender has failed")?,
        ended = client.react(Reaction::WriteAndSend) => {
            ended?;
            bail!("the client has stopped")
        }
    }
}

/// By the agent itself, which learns each sender, and floods the packet.
pub(super) async fn by_policy(bed: &Bed, count: u32) -> Result<SetUps> {
    let mut service = bed.service().await?;
    let mut status = async || {
        let status = service.get_status(pb::GetStatusRequest {}).await;
        status.ok().map(tonic::Response::into_inner)
    };
    // Two ports, each with what admits its frames and what leads to it, and what floods.
    let base = 6;
    soon(async || {
        let status = status().await?;
        (status.objectives_applied == base && status.ports_up == 2).then_some(())
    })
    .await?;
    let mut wires = bed.wires()?;
    let started = Instant::now();
    for attempt in 0..ATTEMPTS {
        let sender = |n: u32| {
            let [_, b, c, d] = n.to_be_bytes();
            let ether = [2, 0xff, 0, 0, 0, 1, 2, 1, 0, b, c, d, 0x88, 0xb5];
            ether.to_vec()
        };
        let sent = tokio::task::spawn_blocking(move || {
            flood(&mut wires, count, sender)?;
            anyhow::Ok(wires)
        });
        wires = sent.await.context("the sender has failed")??;
        let mut last = 0;
        loop {
            let now = status().await.context("the agent does not answer")?;
            let now = now.objectives_applied;
            if now >= base + count {
                return Ok(SetUps {
                    count,
                    time: started.elapsed(),
                    again: attempt * count,
                });
            }
            if now == last {
                break;
            }
            last = now;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    bail!("not all were learnt, though each has sent {ATTEMPTS} packets")
}

/// Sends so many packets, and waits until all of them have come out.
fn flood(wires: &mut Wires, count: u32, headers: impl Fn(u32) -> Vec<u8>) -> Result<()> {
    let before = wires.count();
    let deadline = Instant::now() + PATIENCE;
    let wait = |wires: &Wires, wanted: u32| {
        while wires.count() - before < wanted {
            let came = wires.count() - before;
            ensure!(
                Instant::now() < deadline,
                "{came} packets came out of {wanted}"
            );
            std::thread::yield_now();
        }
        Ok(())
    };
    for number in 0..count {
        wait(wires, (number + 1).saturating_sub(WINDOW))?;
        wires.send(&headers(number), number)?;
    }
    wait(wires, count)
}
