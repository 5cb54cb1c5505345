//! The controller as a process: its configuration, its signals, its crashes.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::controller::v1::{ApplyRequest, GetObjectivesRequest};
use support::{device, next, put, request};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman-controller"));
    command
        .args(arguments)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A controller process; killed when the test ends, however it does.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
}

impl Daemon {
    /// Starts one and waits until it says where it serves.
    fn start(data_dir: &Path) -> Self {
        let data_dir = data_dir.to_str().unwrap();
        let mut child = command(&[
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data_dir,
            "--bootstrap",
        ])
        .spawn()
        .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving") {
            line.clear();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "it ended without serving"
            );
        }
        let address = line
            .split("address=")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap();
        Self {
            address: format!("http://{address}"),
            child,
            log,
        }
    }

    fn terminate(mut self) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (status, rest)
    }

    async fn apply(&self, request: ApplyRequest) {
        let mut client = ControllerClient::connect(self.address.clone())
            .await
            .unwrap();
        let response = client.apply(request).await.unwrap().into_inner();
        assert_eq!(response.errors, []);
    }

    async fn objective_names(&self) -> Vec<String> {
        let mut client = ControllerClient::connect(self.address.clone())
            .await
            .unwrap();
        let answer = client
            .get_objectives(GetObjectivesRequest::default())
            .await
            .unwrap();
        let objectives = answer
            .into_inner()
            .devices
            .into_iter()
            .flat_map(|device| device.objectives);
        objectives
            .map(|objective| objective.objective.unwrap().name)
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(directory.path());
    daemon
        .apply(request(vec![device("leaf1", "127.0.0.1:1", 1)], []))
        .await;
    for index in 0..10 {
        daemon
            .apply(request(vec![], [put(next(&format!("n{index}")))]))
            .await;
    }
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();

    let daemon = Daemon::start(directory.path());
    let names: Vec<_> = (0..10).map(|index| format!("n{index}")).collect();
    assert_eq!(daemon.objective_names().await, names);
}

#[test]
fn a_signal_to_terminate_ends_it_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    let (status, log) = Daemon::start(directory.path()).terminate();
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("shutting down"), "{log}");
}

#[test]
fn a_second_process_on_the_same_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Daemon::start(directory.path());
    let data_dir = directory.path().to_str().unwrap();
    let second = command(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data_dir,
        "--bootstrap",
    ])
    .output()
    .unwrap();
    let message = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(message.contains("in use by another process"), "{message}");
    assert!(message.contains(data_dir), "{message}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("controller.yaml");
    std::fs::write(
        &file,
        "node_name: from-file\nlisten: 127.0.0.1:3\nbootstrap: true\n",
    )
    .unwrap();
    let output = command(&["config", "show", "--listen", "127.0.0.1:1"])
        .env("POINTSMAN_CONTROLLER_CONFIG", &file)
        .env("POINTSMAN_CONTROLLER_LISTEN", "127.0.0.1:2")
        .env("POINTSMAN_CONTROLLER_NODE_NAME", "from-environment")
        .output()
        .unwrap();
    expect_test::expect![[r#"
        listen: 127.0.0.1:1
        peer_listen: 127.0.0.1:2
        data_dir: /var/lib/pointsman/controller
        bootstrap: true
        node_name: from-environment
        log: info,openraft=off
    "#]]
    .assert_eq(&String::from_utf8(output.stdout).unwrap());
}
