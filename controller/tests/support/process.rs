//! Controllers as processes: made with the program's own commands, started, killed, ended.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::cluster_client::ClusterClient;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tonic::transport::Channel;

/// Enough for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `pointsman-controller` until it ends.
pub fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman-controller"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a command that has to go well says.
#[track_caller]
pub fn must(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that has to fail says.
#[track_caller]
pub fn must_fail(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// An address that is free now.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A data directory with the addresses of its node.
pub struct Place {
    _directory: tempfile::TempDir,
    pub path: PathBuf,
    pub api: String,
    pub peers: String,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            path: directory.path().join("data"),
            _directory: directory,
            api: free_address(),
            peers: free_address(),
        }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub fn init(&self) -> String {
        must(&["init", "--data-dir", self.path()])
    }

    pub fn join(&self, token: &str) -> String {
        must(&["join", token, "--data-dir", self.path()])
    }

    /// Starts the node and waits until it serves.
    pub fn start(&self) -> Running {
        let mut running = self.spawn();
        running.wait_for("serving address=");
        running
    }

    /// Starts the node.
    pub fn spawn(&self) -> Running {
        Running::spawn(&[
            "--data-dir",
            self.path(),
            "--listen",
            &self.api,
            "--peer-listen",
            &self.peers,
        ])
    }

    pub async fn cluster(&self) -> ClusterClient<Channel> {
        let address = format!("http://{}", self.api);
        ClusterClient::connect(address).await.unwrap()
    }

    pub async fn controller(&self) -> ControllerClient<Channel> {
        let address = format!("http://{}", self.api);
        ControllerClient::connect(address).await.unwrap()
    }

    /// A join token that this node gives out.
    pub async fn token(&self) -> String {
        let request = pb::AddNodeRequest::default();
        let answer = self.cluster().await.add_node(request).await;
        answer.unwrap().into_inner().token
    }

    /// The nodes as this one sees them.
    pub async fn nodes(&self) -> Vec<pb::ClusterNode> {
        let mut client = self.cluster().await;
        let answer = client.get_cluster(pb::GetClusterRequest {}).await;
        answer.unwrap().into_inner().nodes
    }
}

/// A process; killed when the test ends, however it does.
pub struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub fn spawn(arguments: &[&str]) -> Self {
        let mut child = program(arguments).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap());
        let kept = log.clone();
        // Ends with the process.
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self {
            child,
            log,
            reader: Some(reader),
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log says something.
    #[track_caller]
    pub fn wait_for(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "it ended ({status}) before it said {words:?}: {}",
                    self.log()
                );
            }
            assert!(Instant::now() < deadline, "never {words:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        let signal = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(signal.unwrap().success());
        self.end()
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(reader) = self.reader.take() {
                    reader.join().unwrap();
                }
                return (status, self.log());
            }
            assert!(Instant::now() < deadline, "it goes on: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is there a file of that name?
pub fn exists(path: &Path, name: &str) -> bool {
    path.join(name).exists()
}
