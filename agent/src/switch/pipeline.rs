//! A pipeline: what a client sent, and what was made of it.

use std::sync::Arc;

use pointsman_p4::bmv2::{self, ReadError};
use pointsman_p4::ir::Program;
use pointsman_p4::p4info::restore_parameters;
use pointsman_proto::p4::config::v1::P4Info;
use thiserror::Error;

use crate::schema::{Schema, SchemaError};

/// A pipeline, as it was set and as it is understood.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What was set, given back verbatim.
    pub source: PipelineSource,
    /// The device config, read.
    pub program: Arc<Program>,
    /// p4info joined with the program.
    pub schema: Arc<Schema>,
}

/// A pipeline as a client or a file gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSource {
    /// p4info.
    pub p4info: P4Info,
    /// BMv2 JSON.
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
    #[error("device config: it is not UTF-8 text; BMv2 JSON (p4c --target bmv2) is expected")]
    NotText,
    /// The p4info does not fit it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Pipeline {
    /// Reads a pipeline and checks that its parts fit together.
    pub fn read(source: PipelineSource) -> Result<Pipeline, PipelineError> {
        let json =
            std::str::from_utf8(&source.device_config).map_err(|_| PipelineError::NotText)?;
        let mut program = bmv2::read(json)?;
        restore_parameters(&mut program, &source.p4info);
        let schema = Schema::build(&source.p4info, &program)?;
        Ok(Pipeline {
            source,
            program: Arc::new(program),
            schema: Arc::new(schema),
        })
    }
}
