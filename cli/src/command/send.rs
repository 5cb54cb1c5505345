//! Sends a change set to the controller and shows what became of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use pointsman_model::{Model, Problem, Problems};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::apply_error::Subject as ErrorSubject;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tonic::transport::Channel;

use crate::connect::Controller;
use crate::error::CliError;
use crate::output::Output;
use crate::view::apply::{ApplyView, MOST_SHOWN, Subject};
use crate::view::devices::Counts;
use crate::words;

/// How long a command may be silent.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often it says how far things are.
const RHYTHM: Duration = Duration::from_secs(1);

/// A request, and what its changes are called.
pub struct Change<'m> {
    pub request: pb::ApplyRequest,
    /// The objectives of the request, in order.
    pub subjects: Vec<Subject>,
    /// The files that the request was made of, if it was.
    pub model: Option<&'m Model>,
}

/// Sends it. Succeeds if all was accepted and, where the request waits, applied.
pub async fn send(
    controller: &Controller,
    change: Change<'_>,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let Change {
        request,
        subjects,
        model,
    } = change;
    let asked = Asked::new(request.dry_run, request.wait_milliseconds);
    let try_seconds = request.try_seconds;
    let mut client = controller.client.clone();
    let call = client.apply(asked.request(request));
    let answer = match remark_if_slow(controller, call, output).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(controller.error(status)),
    };
    let is_taken = answer.errors.is_empty();
    let code = show(&asked, &subjects, model, answer, output)?;
    if is_taken && try_seconds > 0 {
        let seconds = words::count(try_seconds as usize, "second");
        output.remark(&format!(
            "on trial: it is taken back {seconds} after it was applied, unless you run `pointsman confirm`"
        ));
    }
    Ok(code)
}

/// How and when a change was asked for.
pub struct Asked {
    dry_run: bool,
    wait: Duration,
    started: Instant,
}

impl Asked {
    /// Asked for now.
    pub fn new(dry_run: bool, wait_milliseconds: u32) -> Asked {
        Asked {
            dry_run,
            wait: Duration::from_millis(wait_milliseconds.into()),
            started: Instant::now(),
        }
    }

    /// A request whose answer is due once the wait is over and the agents were asked before it.
    pub fn request<T>(&self, request: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(request);
        request.set_timeout(self.wait + Duration::from_secs(60));
        request
    }
}

/// Shows what became of the changes of these objectives, in order.
pub fn show(
    asked: &Asked,
    subjects: &[Subject],
    model: Option<&Model>,
    answer: pb::ApplyResponse,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    if !answer.errors.is_empty() {
        refuse(&answer.errors, model, output);
        return Ok(ExitCode::FAILURE);
    }
    let view = ApplyView::new(subjects, answer, asked.started.elapsed(), asked.dry_run);
    output.value(&view, |output| {
        let text = view.text(output.is_coloured());
        output.text(&text)
    })?;
    let is_done = asked.wait.is_zero() || view.unapplied.is_empty();
    Ok(if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Who asks, as the history shows it: the user and the machine.
pub fn author() -> String {
    let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let user = name("SUDO_USER").or_else(|| name("USER"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let parts = [user.unwrap_or_default(), host.trim().to_owned()];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("@")
}

/// Waits for an answer, and says after a while that it is being waited for and how far the switches are.
pub async fn remark_if_slow<T>(
    controller: &Controller,
    answer: impl Future<Output = T>,
    output: &Output,
) -> T {
    let mut answer = std::pin::pin!(answer);
    if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut answer).await {
        return answer;
    }
    let mut told = "waiting for the switches ...".to_owned();
    output.remark(&told);
    loop {
        let next = async {
            tokio::time::sleep(RHYTHM).await;
            progress(controller.client.clone()).await
        };
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            now = next => if let Some(now) = now.filter(|now| *now != told) {
                output.remark(&now);
                told = now;
            }
        }
    }
}

/// How far the switches are with all that is wanted of them; nothing if that is not known.
async fn progress(mut client: ControllerClient<Channel>) -> Option<String> {
    let answer = client
        .get_devices(pb::GetDevicesRequest::default())
        .await
        .ok()?;
    let mut counts = Counts::default();
    for device in answer.into_inner().devices {
        counts.applied += device.objectives_applied;
        counts.pending += device.objectives_pending;
        counts.failed += device.objectives_failed;
    }
    let all = counts.applied + counts.pending + counts.failed;
    (counts.pending > 0).then(|| {
        let failed = match counts.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let all = words::count(all as usize, "objective");
        format!("{} of {all} applied{failed} ...", counts.applied)
    })
}

/// Shows refusals where they stand in the files, or as sentences where there are none.
fn refuse(errors: &[pb::ApplyError], model: Option<&Model>, output: &Output) {
    let mut problems = Vec::new();
    let mut sentences = Vec::new();
    for error in errors.iter().take(MOST_SHOWN) {
        match model.and_then(|model| locate(model, error)) {
            Some(problem) => problems.push(problem),
            None => sentences.push(error),
        }
    }
    if let Err(problems) = Problems::of(problems) {
        output.show(&problems);
    }
    for error in sentences {
        let reason = words::reason(error.reason());
        output.complain(&CliError::Failed(format!("{reason}: {}", error.message)));
    }
    let more = match errors.len().saturating_sub(MOST_SHOWN) {
        0 => String::new(),
        more => format!(" ({} more)", words::count(more, "reason")),
    };
    output.complain(&CliError::Failed(format!(
        "refused{more}; nothing was changed"
    )));
}

fn locate(model: &Model, error: &pb::ApplyError) -> Option<Problem> {
    let index = usize::try_from(error.index).ok()?;
    let field = Some(error.field.as_str()).filter(|field| !field.is_empty());
    match error.subject() {
        ErrorSubject::Objective => model.objective_problem(index, field, &*error.message),
        ErrorSubject::Device => model.device_problem(index, field, &*error.message),
        ErrorSubject::Unspecified => None,
    }
}
