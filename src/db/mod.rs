//! The store: the only code that knows diesel and SQLite.
//!
//! There are three doors. [`Db::fetch`] looks one thing up by its key, here and now; [`Db::read`] may take longer and does so
//! on a thread of its own; neither ever waits for a writer. [`Db::write`] returns only after the commit has been flushed to
//! the disk, so that what it returned may be acknowledged. None is held over a call to anybody else.
//! Queries stand in one file per table, take the connection first, and never see the doors.

pub mod acts;
pub mod attempts;
pub mod catch_ups;
mod checkpoints;
pub mod deliveries;
pub mod file;
pub mod heartbeats;
mod kept;
pub mod kept_answers;
pub mod learnt_ids;
pub mod looks;
mod meter;
pub mod new_links;
pub mod news;
pub mod overrides;
mod readers;
mod schema;
pub mod secrets;
pub mod stamps;
pub mod transitions;
pub mod trust_policies;
mod types;
pub mod unconfirmed;
pub mod users;
mod writer;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
#[cfg(test)]
use diesel_migrations::MigrationHarness;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use prometheus::core::Collector;
use tokio::sync::Semaphore;

use meter::Meter;
use news::{Listener, News, Topic};
use readers::Readers;
use secrets::Secret;
use writer::Writer;

use crate::config::Environment;

/// A connection, as queries take it.
pub type Conn = SqliteConnection;

/// What a query returns.
pub use diesel::QueryResult;

/// The error of a row that must be there and is not.
pub const NOT_FOUND: DieselError = DieselError::NotFound;

/// Every change of the schema there has been, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// How many longer reads run at once.
const READS: usize = 4;
/// How long a longer read waits for a lock, in milliseconds.
const PATIENCE: u32 = 2000;

/// The store; clones share it.
#[derive(Clone)]
pub struct Db {
    writer: Writer,
    readers: Arc<Reading>,
    news: News,
    start_pages: Secret,
    idempotency: Secret,
}

struct Reading {
    /// For the threads that answer requests, which must not wait.
    here: Readers,
    aside: Readers,
    turns: Arc<Semaphore>,
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Too many changes wait already.
    #[error("too many changes are waiting")]
    Overloaded,
    /// It may be well again later.
    #[error("the store is not available: {1}")]
    Unavailable(Trouble, String),
    /// A query that should not have been made, or a panic in it.
    #[error("the store was used wrongly: {0}")]
    Misused(String),
}

/// What ails the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another process keeps it locked.
    Locked,
    /// The disk is full.
    Full,
    /// The file or its file system cannot be written.
    ReadOnly,
    /// The file is not what it should be.
    Corrupt,
    /// The disk fails.
    Io,
    /// The file is gone.
    Gone,
    /// The thread that writes has ended.
    Stopped,
    /// Something else.
    Other,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: [Trouble; 8] = [
        Trouble::Locked,
        Trouble::Full,
        Trouble::ReadOnly,
        Trouble::Corrupt,
        Trouble::Io,
        Trouble::Gone,
        Trouble::Stopped,
        Trouble::Other,
    ];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Trouble::Locked => "locked",
            Trouble::Full => "disk_full",
            Trouble::ReadOnly => "read_only",
            Trouble::Corrupt => "corrupt",
            Trouble::Io => "io_error",
            Trouble::Gone => "gone",
            Trouble::Stopped => "writer_stopped",
            Trouble::Other => "other",
        }
    }

    /// What SQLite means by a text; diesel passes on nothing else (<https://sqlite.org/rescode.html>).
    fn of(text: &str) -> Trouble {
        let texts = [
            ("locked", Trouble::Locked),
            ("is full", Trouble::Full),
            ("readonly", Trouble::ReadOnly),
            ("malformed", Trouble::Corrupt),
            ("not a database", Trouble::Corrupt),
            ("disk I/O error", Trouble::Io),
            ("unable to open", Trouble::Gone),
        ];
        let found = texts.iter().find(|(part, _)| text.contains(part));
        found.map_or(Trouble::Other, |(_, trouble)| *trouble)
    }
}

impl Error {
    /// What ails the store, where that is the reason.
    pub fn trouble(&self) -> Trouble {
        match self {
            Error::Unavailable(trouble, _) => *trouble,
            Error::Overloaded | Error::Misused(_) => Trouble::Other,
        }
    }
}

impl Db {
    /// Opens the file, making it and its folder where they are missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be made, opened, set up or migrated, when a newer version of the service has changed its schema, or
    /// with [`file::OtherEnvironment`] when its users belong to another environment of the provider.
    pub fn open(path: &Path, environment: Environment) -> anyhow::Result<Db> {
        Db::on(path, file::open(path, environment)?)
    }

    /// The same, and does in one transaction what has to be done before anything is read.
    ///
    /// # Errors
    /// As [`Db::open`], and when that fails.
    pub fn open_and(
        path: &Path,
        environment: Environment,
        first: impl FnOnce(&mut Conn) -> QueryResult<()>,
    ) -> anyhow::Result<Db> {
        let mut conn = file::open(path, environment)?;
        conn.immediate_transaction(first)
            .context("cannot take up the settings in the database")?;
        Db::on(path, conn)
    }

    fn on(path: &Path, mut conn: Conn) -> anyhow::Result<Db> {
        let start_pages = secrets::get(&mut conn, secrets::START_PAGES)?;
        let idempotency = secrets::get(&mut conn, secrets::IDEMPOTENCY)?;
        let opened = file::Opened::at(path)?;
        let news = News::default();
        let writer = Writer::start(conn, opened.clone(), news.clone(), Meter::new()?);
        let writer = writer.context("cannot start the writer")?;
        let readers = Arc::new(Reading {
            here: Readers::new(opened.clone(), 0),
            aside: Readers::new(opened, PATIENCE),
            turns: Arc::new(Semaphore::new(READS)),
        });
        Ok(Db {
            writer,
            readers,
            news,
            start_pages,
            idempotency,
        })
    }

    /// The secret that signs the tokens of start pages; as long as the file lives it is the same.
    pub fn start_pages_secret(&self) -> &Secret {
        &self.start_pages
    }

    /// The secret under which bodies of requests with an `Idempotency-Key` are compared; as long as the file lives it is the
    /// same.
    pub fn idempotency_secret(&self) -> &Secret {
        &self.idempotency
    }

    /// Runs `query` on the calling thread: for what is looked up by a unique key and so takes microseconds. It sees all that
    /// was committed before.
    ///
    /// # Errors
    /// When the query failed.
    pub async fn fetch<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        match self.readers.here.run(&query) {
            Err(Error::Unavailable(Trouble::Locked, _)) => self.read(query).await,
            result => result,
        }
    }

    /// Runs `query` on a thread of its own. It sees all that was committed before.
    ///
    /// # Errors
    /// When the query failed.
    pub async fn read<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let turn = Arc::clone(&readers.turns).acquire_owned().await;
        let run = move || {
            // The turn lasts as long as the query, even if nobody waits for it any more.
            let _turn = turn;
            readers.aside.run(query)
        };
        tokio::task::spawn_blocking(run)
            .await
            .unwrap_or_else(|_| Err(Error::Misused("a query panicked".to_owned())))
    }

    /// Runs `change` in a transaction, alone or among others that wait. When this returns `Ok`, it is on the disk; else
    /// nothing of it is.
    ///
    /// # Errors
    /// When too much waits already, the store could not take it, or `change` failed or panicked.
    pub async fn write<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        self.writer.write(change).await
    }

    /// Listens for what this process commits.
    pub fn listen(&self, topic: Topic) -> Listener {
        self.news.listen(topic)
    }

    /// For how many users and partners anybody listens.
    pub fn listened_for(&self) -> usize {
        self.news.topics()
    }

    /// What is counted of its writes.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.writer.collectors()
    }

    /// Returns when nothing can be written any more; the process should end then.
    pub async fn ended(&self) {
        self.writer.ended().await;
    }
}

/// Lets the connection that writes keep 256 MB of pages instead of 8, for a command that changes pages all over the file;
/// with fewer it would write most of them again and again.
pub fn widen_cache(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("PRAGMA cache_size = -262144")
}

/// A guarded update must hit its row.
///
/// # Errors
/// [`NOT_FOUND`] when the row has moved on since it was read.
fn exactly_one(rows: usize) -> QueryResult<()> {
    if rows == 1 { Ok(()) } else { Err(NOT_FOUND) }
}

/// What SQLite says of itself has no kind of its own but a text: locked, full, read-only, malformed. All of those are
/// the store's trouble; a violated constraint or a row that cannot be read is ours.
impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(
                DatabaseErrorKind::Unknown
                | DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::SerializationFailure,
                info,
            ) => Error::Unavailable(Trouble::of(info.message()), info.message().to_owned()),
            DieselError::RollbackErrorOnCommit { commit_error, .. } => Error::from(*commit_error),
            DieselError::BrokenTransactionManager => {
                Error::Unavailable(Trouble::Other, error.to_string())
            }
            other => Error::Misused(other.to_string()),
        }
    }
}

/// A store in the memory of one test.
#[cfg(test)]
pub(crate) fn in_memory() -> Conn {
    let mut conn = Conn::establish(":memory:").unwrap();
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    conn
}

/// Whether all that stands in the tables about a user can be reached from it, and nothing else.
#[cfg(test)]
pub(crate) fn is_chained(conn: &mut Conn, user: &users::User) -> bool {
    let came: Vec<String> = schema::deliveries::table
        .filter(schema::deliveries::user_key.eq(&user.id))
        .order(schema::deliveries::id)
        .select(schema::deliveries::id)
        .load(conn)
        .unwrap();
    let moved: Vec<i64> = schema::transitions::table
        .filter(schema::transitions::user_key.eq(&user.id))
        .order(schema::transitions::seq)
        .select(schema::transitions::seq)
        .load(conn)
        .unwrap();
    let chained = deliveries::of_user(conn, user).unwrap();
    let history = transitions::of_user(conn, user).unwrap();
    came.iter().eq(chained.iter().map(|delivery| &delivery.id))
        && moved
            .iter()
            .eq(history.iter().map(|transition| &transition.seq))
}

/// Marks the place that [`go_back`] returns to; places nest.
#[cfg(test)]
pub(crate) fn mark(conn: &mut Conn) {
    conn.batch_execute("SAVEPOINT mark").unwrap();
}

/// Undoes what was written since the last [`mark`], and takes that mark away.
#[cfg(test)]
pub(crate) fn go_back(conn: &mut Conn) {
    conn.batch_execute("ROLLBACK TO mark; RELEASE mark")
        .unwrap();
}

#[cfg(test)]
mod tests;
