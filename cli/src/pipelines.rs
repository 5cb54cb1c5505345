//! Pipelines that files are checked against: those that come with Pointsman, and any other by its p4info.

use std::path::Path;

use pointsman_p4::p4info::{parse_p4info, program_of};
use pointsman_p4::programs;
use pointsman_p4::schema::{Presentation, Schema};
use pointsman_pipeliner::Pipeliner;

use crate::args::Against;
use crate::error::CliError;

/// The pipeline that the command line names, if it names one.
pub fn given(against: &Against) -> Result<Option<Pipeliner>, CliError> {
    let Against {
        pipeline,
        p4info,
        manifest,
    } = against;
    let schema = match (p4info, pipeline) {
        (Some(path), _) => schema(&path.display().to_string(), &read(path)?)?,
        (None, Some(name)) => built_in_schema(name).map_err(CliError::Usage)?,
        (None, None) if manifest.is_some() => {
            return Err(CliError::Usage(
                "of which pipeline is the manifest? Give its --p4info, or the name of one that comes with Pointsman"
                    .to_owned(),
            ));
        }
        (None, None) => return Ok(None),
    };
    if let Some(path) = manifest {
        let pipeliner = Pipeliner::new(&path.display().to_string(), &read(path)?, &schema)?;
        return Ok(Some(pipeliner));
    }
    let pipeliner = match pipeline {
        Some(name) => named_manifest(name, &schema)?,
        None => Pipeliner::find(&schema).ok_or_else(|| {
            CliError::Failed(
                "no manifest that comes with Pointsman fits this p4info; give one with --manifest"
                    .to_owned(),
            )
        })?,
    };
    Ok(Some(pipeliner))
}

/// The pipeline of that name that comes with Pointsman.
///
/// # Errors
/// One sentence that says which there are.
pub fn built_in(name: &str) -> Result<Pipeliner, String> {
    let schema = built_in_schema(name)?;
    named_manifest(name, &schema).map_err(|error| error.to_string())
}

fn built_in_schema(name: &str) -> Result<Schema, String> {
    let program = programs::embedded(name).ok_or_else(|| {
        let known: Vec<_> = programs::EMBEDDED.iter().map(|known| known.name).collect();
        let known = known.join(", ");
        match programs::MANIFESTS.iter().any(|(known, _)| *known == name) {
            true => format!("the p4info of pipeline {name} does not come with Pointsman; give it with --p4info FILE"),
            false => format!("no pipeline {name} comes with Pointsman, but {known}; check against another one with --p4info FILE"),
        }
    })?;
    schema(name, program.p4info).map_err(|error| error.to_string())
}

fn named_manifest(name: &str, schema: &Schema) -> Result<Pipeliner, CliError> {
    let mut known = programs::MANIFESTS.iter();
    let (_, manifest) = known.find(|(known, _)| *known == name).ok_or_else(|| {
        let known: Vec<_> = programs::MANIFESTS
            .iter()
            .map(|(known, _)| *known)
            .collect();
        let known = known.join(", ");
        CliError::Usage(format!(
            "no manifest {name} comes with Pointsman, but {known}; give it with --manifest FILE"
        ))
    })?;
    Ok(Pipeliner::new(name, manifest, schema)?)
}

fn schema(name: &str, p4info: &str) -> Result<Schema, CliError> {
    let unfit = |error: &dyn std::error::Error| CliError::Failed(format!("{name}: {error}"));
    let info = parse_p4info(p4info).map_err(|error| unfit(&error))?;
    let program = program_of(&info).map_err(|error| unfit(&error))?;
    Schema::build(&info, &program, &Presentation::default()).map_err(|error| unfit(&error))
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|cause| CliError::Read {
        path: path.to_owned(),
        cause,
    })
}
