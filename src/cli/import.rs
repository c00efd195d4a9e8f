//! `kyc-tracker import --partner ID FILE`: loads users whom a partner has already.
//!
//! It may run beside a service, and then takes small bites and rests after each, so that the service has its turns. With
//! nobody beside, it takes large ones: most of its time goes into pages of the indexes, and what is written together
//! shares them. Each bite is one write; what is cut off goes on where it was when it is run again.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::capa::signature::Verifier;
use crate::cli::partner;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::db::{self, Db, Error, Trouble, file};
use crate::import::lines::Lines;
use crate::import::{self, Entry, Loaded};
use crate::ingest::Believed;

/// How many users are loaded in one write, with nobody beside and beside a service.
const AT_ONCE_ALONE: usize = 50_000;
const AT_ONCE_BESIDE: usize = 1000;
/// How long to rest after a write beside a service. SQLite has a writer that waits ask again every 100 ms at the latest, so
/// that a service that waits is sure to get its turn.
const REST: Duration = Duration::from_millis(100);
/// How often a write is tried that a service keeps from the store; each time waits for five seconds already.
const TRIES: usize = 6;
/// How much of the file is read at a time, in bytes.
const BUFFER: usize = 64 * 1024;

/// What to load, and for whom.
#[derive(Args)]
pub struct Arguments {
    /// The partner whose users they are, by its id in the settings
    #[arg(long, value_name = "ID")]
    partner: String,
    /// CSV with a header or JSON lines, of userId, externalUserId, country and status; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints a line for each line of the file that is not right, and how many users were loaded. Answers 1 if there was any
/// such line.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(config, config::process_environment()?)?;
    let partner = partner(&config, &arguments.partner)?;
    let name = arguments.file.display();
    let (file, bar) = open(&arguments.file).with_context(|| format!("cannot open {name}"))?;
    let input = BufReader::with_capacity(BUFFER, bar.wrap_read(file));
    let lines = Lines::open(input).with_context(|| format!("cannot use {name}"))?;
    let import = Import {
        db: Db::open(&config.database.path, config.provider.environment)?,
        path: config.database.path.clone(),
        clock: Clock::system(),
        believed: Believed {
            trust: partner.trust,
            verifier: Arc::new(Verifier::new(&partner.webhook_secrets, 1)),
        },
        partner: partner.id.clone(),
        bar,
    };
    let counts = rt::System::new().block_on(import.load(lines))?;
    import.bar.finish_and_clear();
    let Counts { new, there, bad } = counts;
    println!("{new} loaded, {there} there already, {bad} bad");
    Ok(ExitCode::from(u8::from(bad > 0)))
}

/// The bar shows on a terminal only.
fn open(file: &Path) -> anyhow::Result<(Box<dyn Read>, ProgressBar)> {
    if file == Path::new("-") {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template(
            "{spinner} {msg} loaded, {elapsed}",
        )?);
        return Ok((Box::new(io::stdin()), bar));
    }
    let file = File::open(file)?;
    let bar = ProgressBar::new(file.metadata()?.len());
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {percent:>3} % {msg} loaded, {eta} left",
    )?);
    Ok((Box::new(file), bar))
}

struct Import {
    db: Db,
    path: PathBuf,
    clock: Clock,
    believed: Believed,
    partner: String,
    bar: ProgressBar,
}

#[derive(Default)]
struct Counts {
    new: u64,
    there: u64,
    bad: u64,
}

impl Import {
    async fn load(&self, mut lines: Lines<impl io::BufRead>) -> anyhow::Result<Counts> {
        let mut counts = Counts::default();
        loop {
            let beside =
                file::is_locked(&self.path).context("cannot tell whether a service runs")?;
            let at_once = if beside {
                AT_ONCE_BESIDE
            } else {
                AT_ONCE_ALONE
            };
            let (mut numbers, mut entries) = (Vec::new(), Vec::new());
            while entries.len() < at_once
                && let Some(line) = lines.next_line().context("cannot read any further")?
            {
                match line.entry {
                    Ok(entry) => {
                        numbers.push(line.number);
                        entries.push(entry);
                    }
                    Err(reason) => self.report(&mut counts, line.number, &reason),
                }
            }
            if entries.is_empty() {
                return Ok(counts);
            }
            let loaded = self.write(entries.into()).await?;
            for (number, loaded) in numbers.into_iter().zip(loaded) {
                match loaded {
                    Loaded::New => counts.new += 1,
                    Loaded::There => counts.there += 1,
                    Loaded::Refused(reason) => self.report(&mut counts, number, reason),
                }
            }
            self.bar.set_message(counts.new.to_string());
            if beside {
                tokio::time::sleep(REST).await;
            }
        }
    }

    fn report(&self, counts: &mut Counts, number: u64, reason: &str) {
        counts.bad += 1;
        self.bar.suspend(|| eprintln!("line {number}: {reason}"));
    }

    /// A service writes much at once too, and whoever waits for a lock has no turn: so this tries again.
    async fn write(&self, entries: Arc<[Entry]>) -> Result<Vec<Loaded>, Error> {
        let mut tries = 1;
        loop {
            let (clock, believed) = (self.clock.clone(), self.believed.clone());
            let (partner, entries) = (self.partner.clone(), Arc::clone(&entries));
            let load = move |conn: &mut db::Conn| {
                db::widen_cache(conn)?;
                import::users(conn, &clock, &believed, &partner, &entries)
            };
            let written = self.db.write(load).await;
            match written {
                Err(error) if error.trouble() == Trouble::Locked && tries < TRIES => {
                    tries += 1;
                    let told = "the store is locked by somebody else; trying again";
                    self.bar.suspend(|| eprintln!("{told}"));
                }
                written => return written,
            }
        }
    }
}
