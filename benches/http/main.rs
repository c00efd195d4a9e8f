//! What the service costs over the bare framework: `cargo bench --bench http`, or `just bench`.
//!
//! The release binary and a bare actix-web server take turns on one core while the load comes from another, so that what
//! is told is a ratio within one run and not a speed of this machine. docs/performance.md says how to read it.
//!
//! Arguments: `--users N` (1,000,000), `--secs N` a measurement (3), `--rounds N` (3), `--growth` for 10 thousand and 10
//! million users besides, which takes some gigabytes and minutes.

mod bare;
mod load;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use load::{Load, Run};
use service::{Bare, Service};

/// More webhooks a second than the service takes.
const FASTEST: f64 = 40_000.0;

struct Arguments {
    users: u64,
    secs: u64,
    rounds: usize,
    growth: bool,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, port] = words.as_slice()
        && word == "bare"
    {
        return bare::serve(port.parse()?);
    }
    let number = |name: &str, default: u64| {
        let place = words.iter().position(|word| word == name);
        let value = place.and_then(|place| words.get(place + 1));
        value.map_or(Ok(default), |value| value.replace('_', "").parse())
    };
    let arguments = Arguments {
        users: number("--users", 1_000_000)?,
        secs: number("--secs", 3)?,
        rounds: usize::try_from(number("--rounds", 3)?)?,
        growth: words.iter().any(|word| word == "--growth"),
    };
    against_bare(&arguments)?;
    if arguments.growth {
        growth(&arguments)?;
    }
    Ok(())
}

/// One population: speed beside the bare framework, footprint, and status while webhooks come in.
fn against_bare(arguments: &Arguments) -> anyhow::Result<()> {
    let mut service = Service::with_users(arguments.users)?;
    println!("## {} users", arguments.users);
    footprint(&mut service)?;
    service.start()?;
    let bare = Bare::start()?;
    let span = Duration::from_secs(arguments.secs);
    let mut seen: BTreeMap<(&str, usize), Vec<(Run, Run)>> = BTreeMap::new();
    for round in 0..=arguments.rounds {
        for (what, connections) in [("ingest", 1), ("ingest", 64), ("status", 64)] {
            let (ours, theirs) = match what {
                "ingest" => (
                    service.webhooks(connections),
                    service.any_webhooks(connections),
                ),
                _ => (service.statuses(connections), service.statuses(connections)),
            };
            let ours = ours.run(service.port(), service.pid(), span)?;
            let theirs = theirs.run(bare.port(), bare.pid(), span)?;
            // The first round warms up.
            if round > 0 {
                let seen = seen.entry((what, connections)).or_default();
                seen.push((ours, theirs));
            }
        }
    }
    println!(
        "\n| what | connections | requests/s | bare actix/s | ratio | p50 µs | p99 µs | CPU µs/request | bare |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((what, connections), runs) in &seen {
        let ours = |value: fn(&Run) -> f64| median(runs.iter().map(|(ours, _)| value(ours)));
        let bare = |value: fn(&Run) -> f64| median(runs.iter().map(|(_, bare)| value(bare)));
        let ratio = median(runs.iter().map(|(ours, bare)| ours.rate / bare.rate));
        println!(
            "| {what} | {connections} | {:.0} | {:.0} | {ratio:.2} | {:.0} | {:.0} | {:.1} | {:.1} |",
            ours(|run| run.rate),
            bare(|run| run.rate),
            ours(|run| run.p50),
            ours(|run| run.p99),
            ours(|run| run.cpu),
            bare(|run| run.cpu),
        );
    }
    beside(&service, arguments, seen[&("ingest", 64)][0].0.rate)?;
    println!("\nresident after load: {:.1} MiB", service.resident()?);
    Ok(())
}

/// Status alone and while webhooks come at half of what the service takes.
fn beside(service: &Service, arguments: &Arguments, capacity: f64) -> anyhow::Result<()> {
    let span = Duration::from_secs(arguments.secs);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        // A tenth of the load that would saturate it, so that the tail is the service's and not the queue's.
        let polls = service.statuses(16).paced(2_000.0);
        alone.push(polls.run(service.port(), service.pid(), span)?.p99);
        let webhooks = service.webhooks(32).paced(capacity / 2.0);
        let polls = service.statuses(16).paced(2_000.0);
        let (port, pid) = (service.port(), service.pid());
        let background = std::thread::spawn(move || webhooks.run(port, pid, span));
        beside.push(polls.run(port, pid, span)?.p99);
        background.join().expect("the load did not panic")?;
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "\nstatus p99 at 2,000/s: alone {alone:.0} µs, beside ingest at half its capacity {beside:.0} µs, ratio {:.2}",
        beside / alone
    );
    Ok(())
}

/// Start, and memory before anything is asked.
fn footprint(service: &mut Service) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    for _ in 0..5 {
        starts.push(service.start()?.as_secs_f64() * 1000.0);
        service.stop()?;
    }
    service.start()?;
    let idle = service.resident()?;
    let connections = service.connect(1_000)?;
    let with_connections = service.resident()?;
    drop(connections);
    println!(
        "ready after {:.0} ms (median of 5), resident {idle:.1} MiB idle, {with_connections:.1} MiB with 1,000 connections",
        median(starts)
    );
    service.stop()
}

/// What a request costs the processor, from ten thousand to ten million users.
fn growth(arguments: &Arguments) -> anyhow::Result<()> {
    let span = Duration::from_secs(arguments.secs);
    println!("\n| users | ingest CPU µs/request | status CPU µs/request |");
    println!("| --- | --- | --- |");
    for users in [10_000, 1_000_000, 10_000_000] {
        // Every webhook is to be its user's first, so that it does the same work in each population: no more are sent than
        // there are users, and a small population is made anew for each round.
        let first = span.min(Duration::from_secs_f64(users as f64 / FASTEST));
        let mut service = Service::with_users(users)?;
        service.start()?;
        let (mut ingest, mut status) = (Vec::new(), Vec::new());
        for round in 0..=arguments.rounds {
            if round > 0 && first < span {
                service = Service::with_users(users)?;
                service.start()?;
            }
            let run = |load: Load, span| load.run(service.port(), service.pid(), span);
            run(service.statuses(64), span / 10)?;
            let (webhooks, statuses) = (
                run(service.webhooks(64), first)?,
                run(service.statuses(64), span)?,
            );
            if round > 0 {
                ingest.push(webhooks.cpu);
                status.push(statuses.cpu);
            }
        }
        let (ingest, status) = (median(ingest), median(status));
        println!("| {users} | {ingest:.1} | {status:.1} |");
    }
    Ok(())
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
