//! What tests of programs in the kernel share; none uses all of it.
#![allow(clippy::unwrap_used, dead_code)]

use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::compile::output::EventKind;
use pointsman_ebpf::pipeline::{Pipeline, PipelineError};
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::switch::events::Events;
use pointsman_p4::ir::Program;

/// The interface index that a test run comes in by: loopback's.
const LOOPBACK: u32 = 1;
const XDP_REDIRECT: u32 = 4;

/// Whether this machine lets us load programs; `REQUIRE_NETNS` makes it an error if not.
pub fn privileged() -> bool {
    match Shared::new() {
        Ok(_) => true,
        Err(error) if std::env::var_os("REQUIRE_NETNS").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

/// A program in the kernel with its slow path, fed by test runs instead of interfaces.
pub struct Rig {
    pub plane: Plane,
    shared: Arc<Shared>,
    events: Events,
    cpu_port: u32,
    ports: Vec<u32>,
}

impl Rig {
    /// Loads a program. `ports` are those that packets can leave by.
    pub fn new(program: &Arc<Program>, cpu_port: u32, ports: &[u32]) -> Result<Rig, PipelineError> {
        let shared = Arc::new(Shared::new()?);
        let options = Options { cpu_port };
        let pipeline = Pipeline::new(Arc::clone(program), Arc::clone(&shared), options)?;
        for port in ports.iter().filter(|p| **p != cpu_port) {
            shared.devmap.set(*port, &LOOPBACK.to_ne_bytes())?;
        }
        let events = Events::open(&shared).unwrap();
        let ports = ports.to_vec();
        Ok(Rig {
            plane: Plane::new(pipeline),
            shared,
            events,
            cpu_port,
            ports,
        })
    }

    /// What leaves for a packet, by port; within a port in the order in which it leaves.
    pub fn forward(&mut self, port: u32, packet: &[u8]) -> Vec<(u32, Vec<u8>)> {
        self.shared.ports.set_interface(LOOPBACK, Some(port));
        let before = self.sent();
        let run = self.plane.fast().loaded().test_run(packet, 1).unwrap();
        let mut found = Vec::new();
        if run.verdict == XDP_REDIRECT {
            let at = before
                .iter()
                .zip(self.sent())
                .position(|(b, a)| a > *b)
                .unwrap();
            found.push((self.ports[at], run.frame));
        }
        while let Some(event) = self.events.next_event() {
            if event.kind == EventKind::PacketIn {
                found.push((self.cpu_port, event.packet));
            } else {
                let outputs = self.plane.slow_path().handle(&event, Duration::ZERO);
                found.extend(outputs.into_iter().map(|o| (o.port, o.bytes)));
            }
        }
        found.sort_by_key(|(port, _)| *port);
        found
    }

    fn sent(&self) -> Vec<u64> {
        self.ports
            .iter()
            .map(|port| self.shared.ports.stats(*port).tx_packets)
            .collect()
    }
}
