//! A pipeline: what a client sent, and what was made of it.

use std::sync::Arc;

use pointsman_p4::bmv2::{self, ReadError};
use pointsman_p4::ir::Program;
use pointsman_p4::p4info::{P4InfoError, program_of, restore_parameters};
use pointsman_proto::p4::config::v1::P4Info;
use thiserror::Error;

use crate::schema::{Presentation, Schema, SchemaError};
use crate::target::DeviceConfig;

/// A pipeline, as it was set and as it is understood.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What was set, given back verbatim.
    pub source: PipelineSource,
    /// The device config, read; made of the p4info where that is all there is to read.
    pub program: Arc<Program>,
    /// Whether the program is all that the target runs, and not only what its p4info tells of it.
    pub is_understood: bool,
    /// p4info joined with the program.
    pub schema: Arc<Schema>,
}

/// A pipeline as a client or a file gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSource {
    /// p4info.
    pub p4info: P4Info,
    /// What the target runs; empty if entries are to be stored and nothing is to forward.
    pub device_config: Vec<u8>,
    /// The client's cookie, if it gave one.
    pub cookie: Option<u64>,
    /// How objectives become entries (`pipeline.yaml`); none for a pipeline that was set over P4Runtime.
    pub manifest: Option<String>,
    /// It comes from the configuration and not from a client.
    pub configured: bool,
}

/// Why a pipeline is refused.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The device config cannot be read.
    #[error("device config: {0}")]
    DeviceConfig(#[from] ReadError),
    /// The device config is not text.
    #[error(
        "device config: it is not UTF-8 text; BMv2 JSON (p4c --target bmv2) is expected, or nothing at all \
         to store entries without a data plane"
    )]
    NotText,
    /// The p4info cannot stand alone.
    #[error("p4info: {0}")]
    P4Info(#[from] P4InfoError),
    /// The p4info does not fit it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Pipeline {
    /// Reads a pipeline whose device config is BMv2 JSON, and checks that its parts fit together.
    pub fn read(source: PipelineSource) -> Result<Pipeline, PipelineError> {
        Pipeline::read_for(source, DeviceConfig::Bmv2Json)
    }

    /// Reads a pipeline for a target and checks that its parts fit together.
    pub fn read_for(
        source: PipelineSource,
        device_config: DeviceConfig,
    ) -> Result<Pipeline, PipelineError> {
        Pipeline::read_as(source, device_config, &Presentation::default())
    }

    /// The same, with what the configuration says of values.
    pub fn read_as(
        source: PipelineSource,
        device_config: DeviceConfig,
        presentation: &Presentation,
    ) -> Result<Pipeline, PipelineError> {
        let (program, is_understood) = match device_config {
            _ if source.device_config.is_empty() => (program_of(&source.p4info)?, false),
            DeviceConfig::Bmv2Json => (read_json(&source)?, true),
            // JSON says more than a p4info: declared entries, default actions, sizes. What else it may
            // hold is for the target to judge.
            DeviceConfig::Opaque => match read_json(&source) {
                Ok(program) => (program, true),
                Err(error) => {
                    tracing::debug!(%error, "the device config is passed on unread");
                    (program_of(&source.p4info)?, false)
                }
            },
        };
        let schema = Schema::build(&source.p4info, &program, presentation)?;
        Ok(Pipeline {
            source,
            program: Arc::new(program),
            is_understood,
            schema: Arc::new(schema),
        })
    }

    /// Whether there is nothing to run, only entries to store.
    pub fn is_p4info_only(&self) -> bool {
        self.source.device_config.is_empty()
    }
}

fn read_json(source: &PipelineSource) -> Result<Program, PipelineError> {
    let json = std::str::from_utf8(&source.device_config).map_err(|_| PipelineError::NotText)?;
    let mut program = bmv2::read(json)?;
    restore_parameters(&mut program, &source.p4info);
    Ok(program)
}
