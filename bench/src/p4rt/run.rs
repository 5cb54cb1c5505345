//! Asks a server each requirement, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use super::chapters::CHAPTERS;
use super::failure::Failure;
use super::known::Known;
use super::report::{Finding, Report, Verdict};
use super::test::{Server, Test};

/// How long one test may take in all.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the streams of a test may take to end after it.
const DRAIN: Duration = Duration::from_secs(3);

/// Asks for all requirements whose identifier contains `filter`.
pub async fn run(server: Arc<Server>, filter: &str, known: &Known) -> Report {
    let mut findings = Vec::new();
    for chapter in CHAPTERS {
        for requirement in chapter.requirements {
            let id = chapter.id(requirement);
            if !id.contains(filter) {
                continue;
            }
            let tasks = TaskTracker::new();
            let test = Test {
                server: server.clone(),
                tasks: tasks.clone(),
            };
            let started = Instant::now();
            let verdict = ask((requirement.test)(test)).await;
            let took = started.elapsed();
            tasks.close();
            // A server that keeps streams open disturbs only the tests after this one.
            let _ = tokio::time::timeout(DRAIN, tasks.wait()).await;
            findings.push(Finding {
                verdict: known.judge(&id, verdict),
                id,
                level: requirement.level,
                section: requirement.section,
                statement: requirement.statement,
                took,
            });
        }
    }
    Report { findings }
}

/// Runs one test; a test that panics has failed.
async fn ask(test: super::requirement::Running) -> Verdict {
    let running = tokio::spawn(tokio::time::timeout(LONGEST, test));
    let seen = match running.await {
        Ok(Ok(Ok(()))) => return Verdict::Passed,
        Ok(Ok(Err(Failure::NotOffered(what)))) => return Verdict::NotOffered(what),
        Ok(Ok(Err(failure))) => failure.to_string(),
        Ok(Err(_)) => format!("not done after {LONGEST:?}"),
        Err(panic) => format!("the test gave up: {panic}"),
    };
    Verdict::Failed(seen)
}
