//! A closed loop: each connection sends its next request when the answer to the one before is there.

use std::fs;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Makes the request with that number.
#[derive(Clone)]
pub struct Request(Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>);

impl Request {
    /// From a function.
    pub fn new(make: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Request {
        Request(Arc::new(make))
    }
}

/// What is asked, and by how many at once.
pub struct Load {
    connections: usize,
    request: Request,
    expected: &'static [u8],
    /// Requests a second at the most, of all connections together.
    pace: Option<f64>,
}

/// What came of it.
pub struct Run {
    /// Answers a second.
    pub rate: f64,
    /// Half of the answers came within so many microseconds.
    pub p50: f64,
    /// 99 of a hundred answers did.
    pub p99: f64,
    /// Microseconds of processor time of the server for each answer.
    pub cpu: f64,
}

impl Load {
    /// As fast as the answers come; each has to begin with `expected`.
    pub fn new(connections: usize, request: Request, expected: &'static [u8]) -> Load {
        Load {
            connections,
            request,
            expected,
            pace: None,
        }
    }

    /// No more than `rate` a second.
    pub fn paced(self, rate: f64) -> Load {
        Load {
            pace: Some(rate),
            ..self
        }
    }

    /// Asks the server on `port` for `span`, on this thread.
    pub fn run(self, port: u16, pid: u32, span: Duration) -> anyhow::Result<Run> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = tokio::task::LocalSet::new();
        let load = Rc::new(self);
        let next = Rc::new(AtomicU64::new(0));
        let before = processor(pid)?;
        let began = Instant::now();
        let asked = local.block_on(&runtime, async {
            let mut asking = Vec::new();
            for place in 0..load.connections {
                let (load, next) = (Rc::clone(&load), Rc::clone(&next));
                asking.push(tokio::task::spawn_local(async move {
                    load.ask(port, place, &next, began + span).await
                }));
            }
            let mut took = Vec::new();
            for asking in asking {
                took.extend(asking.await??);
            }
            anyhow::Ok(took)
        });
        let mut took = asked?;
        let elapsed = began.elapsed().as_secs_f64();
        let spent = processor(pid)? - before;
        ensure!(!took.is_empty(), "nothing was answered");
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        Ok(Run {
            rate: took.len() as f64 / elapsed,
            p50: at(0.5),
            p99: at(0.99),
            cpu: spent * 1e6 / took.len() as f64,
        })
    }

    async fn ask(
        &self,
        port: u16,
        place: usize,
        next: &AtomicU64,
        end: Instant,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        connection.set_nodelay(true)?;
        let pause = self
            .pace
            .map(|rate| Duration::from_secs_f64(self.connections as f64 / rate));
        let mut due = Instant::now()
            + pause
                .unwrap_or_default()
                .mul_f64(place as f64 / self.connections as f64);
        let mut took = Vec::new();
        let mut answer = vec![0; 16 * 1024];
        while Instant::now() < end {
            if let Some(pause) = pause {
                tokio::time::sleep_until(due.into()).await;
                due += pause;
            }
            let request = self.request.0(next.fetch_add(1, Ordering::Relaxed));
            let began = Instant::now();
            connection.write_all(&request).await?;
            let mut length = 0;
            while !is_whole(&answer[..length]) {
                let read = connection.read(&mut answer[length..]).await?;
                ensure!(read > 0, "the connection was closed");
                length += read;
            }
            took.push(began.elapsed());
            ensure!(
                answer.starts_with(self.expected),
                "an answer was {}",
                String::from_utf8_lossy(&answer[..length])
            );
        }
        Ok(took)
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else {
        return false;
    };
    let name = b"content-length: ";
    let length = answer[..head]
        .windows(name.len())
        .position(|at| at.eq_ignore_ascii_case(name))
        .map_or(0, |at| {
            let digits = answer[at + name.len()..].iter();
            let digits = digits.take_while(|byte| byte.is_ascii_digit());
            digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
        });
    answer.len() >= head + 4 + length
}

/// Seconds of processor time that the process has had.
fn processor(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(") ").next().context("no stat")?;
    let ticks = |place: usize| -> io::Result<f64> {
        let field = fields.split(' ').nth(place).unwrap_or_default();
        field.parse().map_err(io::Error::other)
    };
    // User and system time, in hundredths of a second.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
