//! A switch on the bench: the reference interpreter, or the kernel, with the entries of a book, and frames for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman_ebpf::rig::Rig;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::ir::Program;

use super::support::{Pipeline, leaf_spine};
use pointsman_agent::switch::{self, Switch};
use pointsman_agent::target::{Attachment, Fill, Interface, PacketOut, Target, TargetError};
use pointsman_p4::entity::Update;
use pointsman_pipeliner::Book;

pub(super) const CPU_PORT: u32 = 255;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// What packets run through.
pub(super) trait Machine: Send + Sized + 'static {
    fn new(program: Arc<Program>) -> Self;
    fn plane(&self) -> &dyn DataPlane;
    /// What leaves for a packet.
    fn forward(&mut self, packet: Packet) -> Vec<Output>;
}

impl Machine for Interpreter {
    fn new(program: Arc<Program>) -> Interpreter {
        Interpreter::new(program)
    }

    fn plane(&self) -> &dyn DataPlane {
        self
    }

    fn forward(&mut self, packet: Packet) -> Vec<Output> {
        self.process(&packet, Duration::ZERO)
    }
}

impl Machine for Rig {
    fn new(program: Arc<Program>) -> Rig {
        let ports: Vec<u32> = (1..=64).collect();
        Rig::new(&program, CPU_PORT, &ports).expect("the kernel takes the program")
    }

    fn plane(&self) -> &dyn DataPlane {
        &self.plane
    }

    fn forward(&mut self, packet: Packet) -> Vec<Output> {
        let outputs = Rig::forward(self, packet.port, &packet.bytes);
        outputs.expect("the program runs")
    }
}

/// Whether programs can be loaded here; `REQUIRE_NETNS` makes it an error if not.
pub(super) fn is_privileged() -> bool {
    let program = leaf_spine().set.program;
    match Rig::new(&Arc::clone(&program), CPU_PORT, &[]) {
        Ok(_) => true,
        Err(error) if std::env::var_os("REQUIRE_NETNS").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

/// A target that leaves the loaded machine where the test can reach it.
struct Bench<M>(Arc<Mutex<Option<M>>>);

impl<M> Clone for Bench<M> {
    fn clone(&self) -> Bench<M> {
        Bench(Arc::clone(&self.0))
    }
}

impl<M: Machine> PacketOut for Bench<M> {
    fn send(&self, _: &[u8]) -> Result<(), TargetError> {
        Ok(())
    }
}

impl<M: Machine> Target for Bench<M> {
    fn kind(&self) -> &'static str {
        "bench"
    }
    fn verify(&self, _: &switch::Pipeline) -> Result<(), TargetError> {
        Ok(())
    }
    fn load(
        &mut self,
        pipeline: &switch::Pipeline,
        fill: &mut Fill<'_>,
    ) -> Result<(), TargetError> {
        let machine = M::new(pipeline.program.clone());
        fill(machine.plane())?;
        *self.0.lock().expect("no test panics with it") = Some(machine);
        Ok(())
    }
    fn unload(&mut self) -> Result<(), TargetError> {
        Ok(())
    }
    fn plane(&self) -> Option<&dyn DataPlane> {
        None
    }
    fn attach(&mut self, _: u32, _: &Interface) -> Result<Attachment, TargetError> {
        Ok(Attachment::None)
    }
    fn detach(&mut self, _: u32) {}
    fn packet_out(&self) -> Arc<dyn PacketOut> {
        Arc::new(self.clone())
    }
    fn slow_path_packets(&self) -> u64 {
        0
    }
}

/// The interpreter of a pipeline with everything that a book holds.
pub(super) fn running(pipeline: &Pipeline, book: &Book) -> Interpreter {
    running_in(pipeline, book)
}

/// The same of any machine.
pub(super) fn running_in<M: Machine>(pipeline: &Pipeline, book: &Book) -> M {
    let bench = Bench::<M>(Arc::default());
    store(pipeline, book, Box::new(bench.clone()));
    let machine = bench.0.lock().expect("no test panics with it").take();
    machine.expect("it is loaded")
}

/// A store takes everything that a book holds, with all checks of P4Runtime; of a p4info alone nothing runs.
pub(super) fn stored(pipeline: &Pipeline, book: &Book) {
    store(
        pipeline,
        book,
        Box::new(Bench::<Interpreter>(Arc::default())),
    );
}

fn store(pipeline: &Pipeline, book: &Book, target: Box<dyn Target>) {
    let mut updates: Vec<_> = book.all().cloned().map(Update::insert).collect();
    // In a fixed order, so that a failure repeats.
    updates.sort_by_key(|update| pipeline.schema.describe(&update.entity));
    let mut switch = Switch::new(target);
    switch
        .load(pipeline.set.clone(), &updates)
        .expect("the pipeline takes its own entries");
}

pub(super) fn ethernet(destination: u64, source: u64, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = destination.to_be_bytes()[2..].to_vec();
    frame.extend(&source.to_be_bytes()[2..]);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(super) fn ipv4(
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    l4_destination: u16,
) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(source);
    header.extend(destination);
    let sum: u32 = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a header is short");
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.extend(4321_u16.to_be_bytes());
    header.extend(l4_destination.to_be_bytes());
    header.extend([0; 16]);
    header
}

pub(super) fn ipv6(destination: [u8; 16]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 20, UDP, 64];
    header.extend([0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11]);
    header.extend(destination);
    header.extend([0; 20]);
    header
}

/// What comes out, as text: `swp2: 02..02 < 02..01 type 0x0800 ttl 63`.
pub(super) fn outputs<M: Machine>(machine: &mut M, port: u32, bytes: Vec<u8>) -> String {
    let outputs = machine.forward(Packet { port, bytes });
    let mut lines: Vec<_> = outputs
        .iter()
        .map(|output| {
            if output.port == CPU_PORT {
                return "to the controller".to_owned();
            }
            let bytes = &output.bytes;
            let mac = |bytes: &[u8]| {
                bytes
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            };
            let ether_type = u16::from_be_bytes([bytes[12], bytes[13]]);
            let rest = match ether_type {
                0x0800 => format!(" ttl {}", bytes[22]),
                0x86dd => format!(" ttl {}", bytes[21]),
                0x8100 => format!(" vlan {}", u16::from_be_bytes([bytes[14], bytes[15]])),
                _ => String::new(),
            };
            format!(
                "swp{}: {} < {} {ether_type:#06x}{rest}",
                output.port,
                mac(&bytes[..6]),
                mac(&bytes[6..12])
            )
        })
        .collect();
    lines.sort();
    if lines.is_empty() {
        "nothing".to_owned()
    } else {
        lines.join(", ")
    }
}
