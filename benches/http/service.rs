//! The service and the bare server, each a process of its own on the first core.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kyc_tracker::config::KeyHash;

use crate::load::{Load, Request};

/// The secret that signs webhooks here.
pub const SECRET: &str = "whsec_bench_0123456789abcdef";
const API_KEY: &str = "kyc_partner_bench_0123456789abcdef";
const EVENTS: [&str; 4] = [
    "CREATED_KYC",
    "REVIEW_NEEDED_KYC",
    "VERIFIED_USER",
    "REJECTED_KYC",
];

/// A service with a population of its own.
pub struct Service {
    folder: tempfile::TempDir,
    port: u16,
    users: u64,
    process: Option<Child>,
    /// How many webhooks it was sent; no two are alike before every user has had all four.
    sent: Arc<AtomicU64>,
}

impl Service {
    /// Loads that many users with the import command, and says how long it took.
    pub fn with_users(users: u64) -> anyhow::Result<Service> {
        let service = Service {
            folder: tempfile::Builder::new().prefix("bench-").tempdir_in(".")?,
            port: free_port()?,
            users,
            process: None,
            sent: Arc::default(),
        };
        let list = service.folder.path().join("users.csv");
        let mut file = BufWriter::new(fs::File::create(&list)?);
        writeln!(file, "userId,externalUserId,country,status")?;
        for number in 0..users {
            writeln!(file, "{},{},DO,pending", id(2 * number), id(2 * number + 1))?;
        }
        file.flush()?;
        drop(file);
        let began = Instant::now();
        let mut import = service.command(&["import", "--partner", "bench"]);
        let done = import.arg(&list).stdout(Stdio::null()).status()?;
        ensure!(done.success(), "the import failed");
        eprintln!(
            "{users} users imported in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        fs::remove_file(list)?;
        Ok(service)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let database = self.database();
        let mut command = pinned("0", env!("CARGO_BIN_EXE_kyc-tracker"));
        let settings = [
            ("SERVER__BIND", format!("127.0.0.1:{}", self.port)),
            ("DATABASE__URL", format!("sqlite://{}", database.display())),
            ("PROVIDER__BASE_URL", "http://127.0.0.1:9".to_owned()),
            ("WEBHOOKS__CONFIRM", "never".to_owned()),
            ("PARTNERS__0__ID", "bench".to_owned()),
            (
                "PARTNERS__0__PROVIDER_API_KEY",
                "capa_bench_0123456789abcdef".to_owned(),
            ),
            ("PARTNERS__0__WEBHOOK_SECRETS", SECRET.to_owned()),
            ("PARTNERS__0__API_KEYS", KeyHash::of(API_KEY).as_setting()),
            ("LOG__FILTER", "error".to_owned()),
        ];
        for (name, value) in settings {
            command.env(format!("KYC__{name}"), value);
        }
        command.args(arguments);
        command
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("kyc.db")
    }

    /// Starts it; answers after how long it was ready.
    pub fn start(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.process = Some(self.command(&["serve"]).spawn()?);
        wait_for(self.port)?;
        Ok(began.elapsed())
    }

    /// Ends it as an operator would.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let pid = process.id().to_string();
        Command::new("kill").arg(pid).status()?;
        ensure!(process.wait()?.success(), "the service did not end well");
        Ok(())
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    /// Its resident memory in MiB.
    pub fn resident(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.context("no VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Opens connections, each of which has asked once and stays open.
    pub fn connect(&self, number: u64) -> anyhow::Result<Vec<TcpStream>> {
        use std::io::Read as _;
        let mut connections = Vec::new();
        for user in 0..number {
            let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
            connection.write_all(&poll(user % self.users))?;
            let read = connection.read(&mut [0; 4096])?;
            ensure!(read > 0, "a connection was closed");
            connections.push(connection);
        }
        Ok(connections)
    }

    /// Asks for the status of users picked evenly.
    pub fn statuses(&self, connections: usize) -> Load {
        let users = self.users;
        let request = move |number: u64| poll(mix(number) % users);
        Load::new(connections, Request::new(request), b"HTTP/1.1 200")
    }

    /// Sends webhooks that it was not sent before: every user has its next event before any has another.
    pub fn webhooks(&self, connections: usize) -> Load {
        let (users, sent) = (self.users, Arc::clone(&self.sent));
        let request = move |_| webhook(sent.fetch_add(1, Ordering::Relaxed), users);
        Load::new(connections, Request::new(request), b"HTTP/1.1 204")
    }

    /// The same webhooks from the first one on, for a server that remembers none.
    pub fn any_webhooks(&self, connections: usize) -> Load {
        let users = self.users;
        let request = move |number: u64| webhook(number, users);
        Load::new(connections, Request::new(request), b"HTTP/1.1 204")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The bare server.
pub struct Bare(Child, u16);

impl Bare {
    /// Starts it.
    pub fn start() -> anyhow::Result<Bare> {
        let port = free_port()?;
        let this = std::env::current_exe()?;
        let mut command = pinned("0", this.to_str().context("a path that is no text")?);
        let child = command.arg("bare").arg(port.to_string()).spawn()?;
        let bare = Bare(child, port);
        wait_for(port)?;
        Ok(bare)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.1
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pinned(core: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]);
    command
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Returns when the server answers; the service is ready then, and the bare one knows no such path.
fn wait_for(port: u16) -> anyhow::Result<()> {
    use std::io::Read as _;
    let asked = || {
        let mut connection = TcpStream::connect(("127.0.0.1", port))?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        let mut answer = [0; 12];
        connection.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let began = Instant::now();
    while !asked().is_ok_and(|answer| [b"200", b"404"].iter().any(|code| answer.ends_with(*code))) {
        ensure!(
            began.elapsed() < Duration::from_secs(60),
            "it does not answer"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Spreads numbers, so that neighbours in a list are none in the file.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn id(number: u64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(mix(number), mix(!number))
}

fn poll(user: u64) -> Vec<u8> {
    let id = id(2 * user);
    format!("GET /v1/kyc/users/{id} HTTP/1.1\r\nhost: bench\r\npartner-api-key: {API_KEY}\r\n\r\n")
        .into_bytes()
}

fn webhook(number: u64, users: u64) -> Vec<u8> {
    // A step that has no divisor in common with the number of users visits each once before any again.
    let user = (u128::from(number) * 611_953 % u128::from(users)) as u64;
    let event = EVENTS[(number / users % 4) as usize];
    let id = id(2 * user + 1);
    let body = format!(r#"{{"type":"KYC","event":"{event}","externalUserId":"{id}"}}"#);
    let signature = kyc_tracker::capa::signature::sign(SECRET, body.as_bytes());
    let length = body.len();
    format!("POST /webhooks/bench HTTP/1.1\r\nhost: bench\r\ncapa-signature: {signature}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}
