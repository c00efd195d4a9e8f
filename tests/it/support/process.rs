//! The program itself as a process, for what only a process shows: its log, its exit code, how it stops.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// How often a process is looked at before it counts as stuck, and the pause between.
const LOOKS: u32 = 400;
const PAUSE: Duration = Duration::from_millis(25);

/// The program with these arguments, and nothing of ours in its environment.
pub fn program(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kyc-tracker"));
    program.env_clear().args(arguments).stdin(Stdio::null());
    program
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// A process of the program whose output goes to files; killed when dropped.
pub struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    pub fn start(arguments: &[&str], environment: &[(String, String)]) -> Process {
        Process::begin(program(arguments), environment)
    }

    /// The service with these settings, answering at a free address; answers its URL too.
    pub async fn serve(mut environment: Vec<(String, String)>) -> (Process, String) {
        let address = free_address();
        environment.push(("KYC__SERVER__BIND".to_owned(), address.clone()));
        let mut process = Process::start(&["serve"], &environment);
        let url = format!("http://{address}");
        process.until_it_answers(&url).await;
        (process, url)
    }

    /// With these limits of open files.
    pub fn start_with_files(
        soft: u32,
        hard: u32,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Process {
        let limited = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.env_clear().stdin(Stdio::null());
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_kyc-tracker")]);
        shell.args(arguments);
        Process::begin(shell, environment)
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// However it is to be started.
    pub fn begin(mut program: Command, environment: &[(String, String)]) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| File::create(folder.path().join(name)).unwrap();
        let child = program
            .envs(environment.iter().cloned())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Process { child, folder }
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stdout")).unwrap()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Waits until `ready` gives something; fails if the process ends or is stuck.
    pub async fn until<T>(&mut self, ready: impl AsyncFn(&Process) -> Option<T>) -> T {
        for _ in 0..LOOKS {
            if let Some(found) = ready(self).await {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.stderr());
            tokio::time::sleep(PAUSE).await;
        }
        panic!("it is stuck: {}", self.stderr());
    }

    /// Waits until the service answers at the address.
    pub async fn until_it_answers(&mut self, url: &str) {
        let health = format!("{url}/healthz");
        let http = super::http();
        self.until(async |_| http.get(&health).send().await.ok())
            .await;
    }

    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Stops it where it stands, and returns when none of its threads runs or is in the middle of a call of the system.
    pub async fn freeze(&mut self) {
        self.signal("-STOP");
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let stopped = |task: &Path| {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap();
            stat.rsplit(')').next().unwrap().trim().starts_with('T')
        };
        self.until(async |_| {
            let mut tasks = tasks.read_dir().unwrap();
            tasks
                .all(|task| stopped(&task.unwrap().path()))
                .then_some(())
        })
        .await;
    }

    /// Ends it without a word, wherever it is.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let told = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    }

    pub async fn exit_status(&mut self) -> ExitStatus {
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("it does not stop: {}", self.stderr());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on this machine that nobody listened on a moment ago.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A file of that name and content in the folder.
pub fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    File::create(&path)
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
    path
}
