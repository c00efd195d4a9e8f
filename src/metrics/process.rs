//! What the system knows of this process, under the names that all programs use for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::seconds;
use crate::clock::Timestamp;

/// The figures, asked for when they are collected.
pub(super) struct Process {
    /// Who collects holds it, because a counter can only be added to.
    cpu: Mutex<Counter>,
    memory: IntGauge,
    files: IntGauge,
    most_files: IntGauge,
    started: IntGauge,
}

impl Process {
    /// Of a process that was started then.
    pub(super) fn new(started: Timestamp) -> prometheus::Result<Process> {
        let gauge = |name, help| IntGauge::new(name, help);
        let process = Process {
            cpu: Mutex::new(Counter::new(
                "process_cpu_seconds_total",
                "Processor time that was used, in seconds.",
            )?),
            memory: gauge(
                "process_resident_memory_bytes",
                "Resident memory, in bytes.",
            )?,
            files: gauge("process_open_fds", "Open files, connections among them.")?,
            most_files: gauge("process_max_fds", "How many files may be open.")?,
            started: gauge(
                "process_start_time_seconds",
                "When the service was started, in seconds since 1970.",
            )?,
        };
        process.started.set(seconds(started));
        Ok(process)
    }

    fn cpu(&self) -> Counter {
        let cpu = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        let used = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
        cpu.inc_by((used.as_secs_f64() - cpu.get()).max(0.0));
        cpu.clone()
    }

    fn gauges(&self) -> [&IntGauge; 4] {
        [&self.memory, &self.files, &self.most_files, &self.started]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.memory.set(resident().unwrap_or(0));
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.files.set(super::whole(files));
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        self.most_files.set(i64::try_from(most).unwrap_or(i64::MAX));
        let gauges = self.gauges().into_iter().flat_map(Collector::collect);
        gauges.chain(self.cpu().collect()).collect()
    }
}

/// In bytes; nothing where the system does not say it in the way of Linux.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
