//! Packets of a round: through the switch and through the oracle, which have to send the same.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pointsman_p4::interpreter::Packet;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::stream_message_response::Update as FromServer;

use super::oracle;
use super::round::{Found, Round};
use super::wires::Wires;

/// Packets that a report shows.
const RECENT: usize = 5;
/// How long a packet may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a packet that nobody expects is waited for.
const LINGER: Duration = Duration::from_micros(300);

impl Round<'_> {
    /// Sends a packet into a port, and waits for what has to come of it.
    pub(super) async fn packet(&mut self, wires: &mut Wires) -> Result<Found> {
        let oracle = oracle::interpreter(&self.committed)?;
        let ports = wires.ports();
        let Some(port) = self.random.pick(&ports).copied() else {
            return Ok(Ok(()));
        };
        let bytes = self.draw.packet(&mut self.random);
        if is_tagged(&bytes) {
            // Linux takes tags off before a packet socket sees the frame.
            return Ok(Ok(()));
        }
        let packet = Packet {
            port,
            bytes: bytes.clone(),
        };
        let outputs = oracle.process(&packet, Duration::ZERO);
        let leaves = |port| ports.contains(&port) || port == self.options.cpu_port;
        let mut expected: Vec<_> = outputs
            .into_iter()
            .filter(|output| leaves(output.port) && !is_tagged(&output.bytes))
            .map(|output| (output.port, output.bytes))
            .collect();
        let all = expected.clone();
        let counted = self.counted(port).await?;
        wires.send(port, &bytes)?;
        self.tally.packets += 1;
        let deadline = Instant::now() + PATIENCE;
        while self.counted(port).await? == counted {
            if Instant::now() > deadline {
                return Ok(Err(format!(
                    "a packet into port {port} is lost: {}",
                    hex(&bytes)
                )));
            }
        }
        loop {
            let seen = match self.packet_in() {
                Some(bytes) => Some((self.options.cpu_port, bytes)),
                None => wires.next(LINGER).await,
            };
            let problem = match seen {
                Some(seen) => match expected.iter().position(|output| *output == seen) {
                    Some(at) => {
                        expected.swap_remove(at);
                        self.tally.outputs += 1;
                        continue;
                    }
                    None => format!("port {} sent {}", seen.0, hex(&seen.1)),
                },
                None if expected.is_empty() => break,
                None if Instant::now() < deadline => continue,
                None => "nothing more came".to_owned(),
            };
            let list = |outputs: &[(u32, Vec<u8>)]| {
                let lines = outputs
                    .iter()
                    .map(|(port, bytes)| format!("  {port}: {}\n", hex(bytes)));
                lines.collect::<String>()
            };
            return Ok(Err(format!(
                "a packet into port {port}: {}\nexpected:\n{}still missing:\n{}{problem}\nbefore it:\n{}",
                hex(&bytes),
                list(&all),
                list(&expected),
                self.recent.make_contiguous().join("\n")
            )));
        }
        self.recent.truncate(RECENT - 1);
        let outputs = all.iter().map(|(port, _)| *port).collect::<Vec<_>>();
        let packet = format!("  {port}: {}, to {outputs:?}", hex(&bytes));
        self.recent.push_front(packet);
        Ok(Ok(()))
    }

    /// How many packets have entered a port.
    async fn counted(&mut self, port: u32) -> Result<i64> {
        let filter = Entity::CounterEntry(p4::CounterEntry {
            counter_id: self.options.port_counter,
            index: Some(p4::Index {
                index: i64::from(port),
            }),
            data: None,
        });
        let filter = p4::Entity {
            entity: Some(filter),
        };
        let found = self.client.read(vec![filter]).await?;
        let entity = found.into_iter().next().and_then(|entity| entity.entity);
        let Some(Entity::CounterEntry(entry)) = entity else {
            bail!("the port counter is not there");
        };
        Ok(entry.data.map_or(0, |data| data.packet_count))
    }

    /// A packet for the controller, as it left at the CPU port.
    fn packet_in(&mut self) -> Option<Vec<u8>> {
        let header = self.committed.pipeline.packet_header("packet_in").cloned();
        while let Some(message) = self.client.try_message() {
            if let FromServer::Packet(packet) = message {
                return Some(oracle::whole_packet(header.as_ref(), &packet));
            }
        }
        None
    }
}

fn is_tagged(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
