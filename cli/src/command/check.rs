//! `pointsman check`: what is wrong with files, and what the pipelines that they are for cannot do. Asks nobody.

use std::collections::BTreeMap;
use std::process::ExitCode;

use pointsman_model::{Change, Model, Problem, Problems};
use pointsman_pipeliner::Pipeliner;
use serde::Serialize;

use crate::args::CheckArgs;
use crate::error::CliError;
use crate::files;
use crate::output::Output;
use crate::pipelines;
use crate::words;

/// What was checked and found in order.
#[derive(Debug, Serialize)]
struct Checked {
    devices: usize,
    objectives: usize,
    /// By device, the pipeline that its objectives were checked against.
    pipelines: BTreeMap<String, String>,
}

/// Runs the command.
pub fn run(args: &CheckArgs, output: &mut Output) -> Result<ExitCode, CliError> {
    let model = files::read(&args.files.files)?;
    let given = pipelines::given(&args.against)?;
    if let Err(unknown) = model.check_nexts(|_, _| false) {
        remark_unknown_nexts(&unknown, output);
    }
    let mut checked = Checked {
        devices: model.devices.len(),
        objectives: model.objectives.len(),
        pipelines: BTreeMap::new(),
    };
    let mut problems = Vec::new();
    let named = of_devices(&model, given.is_some(), &mut problems);
    for (device, indexes) in by_device(&model) {
        if let Some(pipeliner) = given.as_ref().or_else(|| named.get(device)) {
            let name = pipeliner.name().to_owned();
            checked.pipelines.insert(device.to_owned(), name);
            problems.extend(refusals(&model, pipeliner, &indexes));
        }
    }
    Problems::of(problems)?;
    output.value(&checked, |output| output.text(&checked.text()))?;
    Ok(ExitCode::SUCCESS)
}

/// The pipelines that the files say devices run, unless the command line knows better.
fn of_devices(
    model: &Model,
    is_given: bool,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Pipeliner> {
    let mut named = BTreeMap::new();
    if is_given {
        return named;
    }
    for (index, located) in model.devices.iter().enumerate() {
        let device = &located.value.name;
        let Some(name) = model.pipelines.get(device) else {
            continue;
        };
        match pipelines::built_in(name) {
            Ok(pipeliner) => drop(named.insert(device.clone(), pipeliner)),
            Err(message) => {
                problems.extend(model.device_problem(index, Some("pipeline"), message));
            }
        }
    }
    named
}

/// The indexes of the objectives of each device.
fn by_device(model: &Model) -> BTreeMap<&str, Vec<usize>> {
    let mut by_device: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, located) in model.objectives.iter().enumerate() {
        let device = located.value.device.as_str();
        by_device.entry(device).or_default().push(index);
    }
    by_device
}

fn refusals(model: &Model, pipeliner: &Pipeliner, indexes: &[usize]) -> Vec<Problem> {
    let changes = indexes
        .iter()
        .map(|index| &model.objectives[*index].value.change);
    let changes: Vec<&Change> = changes.collect();
    let refusals = pipeliner.check(&changes).into_iter();
    let problems = refusals.filter_map(|(index, refusal)| {
        model.objective_problem(indexes[index], refusal.field.as_deref(), refusal.message)
    });
    problems.collect()
}

impl Checked {
    fn text(&self) -> String {
        let devices = words::count(self.devices, "device");
        let objectives = words::count(self.objectives, "objective");
        let mut text = format!("{devices} and {objectives}, all in order\n");
        let mut by_pipeline: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (device, pipeline) in &self.pipelines {
            by_pipeline.entry(pipeline).or_default().push(device);
        }
        for (pipeline, devices) in by_pipeline {
            text += &format!("pipeline {pipeline} can do it: {}\n", devices.join(", "));
        }
        text
    }
}

fn remark_unknown_nexts(unknown: &Problems, output: &Output) {
    for problem in unknown.iter() {
        let (line, column) = problem.position();
        output.remark(&format!(
            "{}:{line}:{column}: {} in these files; it must be on the device already",
            problem.file(),
            problem.message()
        ));
    }
}
