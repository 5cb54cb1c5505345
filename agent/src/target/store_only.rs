//! A target that stores what it is told and forwards nothing.
//!
//! It holds pipelines that were set without a device config, so that controllers can be tested without a
//! data plane, and pipelines that are saved and not yet committed. Entries meet the same checks as on
//! any target: the reference interpreter holds them, and no packet ever reaches it.

use std::sync::Arc;

use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::Interpreter;

use super::{Attachment, Fill, Interface, PacketOut, Target, TargetError};
use crate::switch::Pipeline;

/// Entries without packets.
#[derive(Default)]
pub struct StoreOnly {
    plane: Option<Interpreter>,
}

/// Where packets go that have no program to go through.
struct Nowhere;

impl PacketOut for Nowhere {
    fn send(&self, _packet: &[u8]) -> Result<(), TargetError> {
        Err(TargetError::NoProgram)
    }
}

impl Target for StoreOnly {
    fn kind(&self) -> &'static str {
        "store-only"
    }

    fn verify(&self, _pipeline: &Pipeline) -> Result<(), TargetError> {
        Ok(())
    }

    fn load(&mut self, pipeline: &Pipeline, fill: &mut Fill<'_>) -> Result<(), TargetError> {
        let plane = Interpreter::new(pipeline.program.clone());
        plane.advance(monotonic_clock());
        fill(&plane)?;
        self.plane = Some(plane);
        Ok(())
    }

    fn unload(&mut self) -> Result<(), TargetError> {
        self.plane = None;
        Ok(())
    }

    fn plane(&self) -> Option<&dyn DataPlane> {
        let plane = self.plane.as_ref()?;
        // No packet tells it what time it is.
        plane.advance(monotonic_clock());
        Some(plane)
    }

    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError> {
        Err(TargetError::Attach {
            port,
            interface: interface.name.clone(),
            reason: "this target has no ports".to_owned(),
        })
    }

    fn detach(&mut self, _port: u32) {}

    fn packet_out(&self) -> Arc<dyn PacketOut> {
        Arc::new(Nowhere)
    }

    fn slow_path_packets(&self) -> u64 {
        0
    }
}
