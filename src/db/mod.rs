//! The store: the only code that knows diesel and SQLite.
//!
//! There are three doors. [`Db::fetch`] looks one thing up by its key, here and now; [`Db::read`] may take longer and does so
//! on a thread of its own; neither ever waits for a writer. [`Db::write`] returns only after the commit has been flushed to
//! the disk, so that what it returned may be acknowledged. None is held over a call to anybody else.
//! Queries stand in one file per table, take the connection first, and never see the doors.

pub mod attempts;
pub mod catch_ups;
mod checkpoints;
pub mod deliveries;
pub mod file;
pub mod heartbeats;
mod kept;
pub mod learnt_ids;
pub mod looks;
pub mod new_links;
pub mod news;
pub mod overrides;
mod readers;
mod schema;
pub mod transitions;
mod types;
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
use tokio::sync::Semaphore;

use news::{Listener, News, Topic};
use readers::Readers;
use writer::Writer;

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
    /// When it cannot be made, opened, set up or migrated.
    pub fn open(path: &Path) -> anyhow::Result<Db> {
        let conn = file::open(path)?;
        let opened = file::Opened::at(path)?;
        let news = News::default();
        let writer = Writer::start(conn, opened.clone(), news.clone());
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
        })
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
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::kyc::status::Status;

    fn open() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&folder.path().join("made/on/the/way.db")).unwrap();
        (folder, db)
    }

    fn register(conn: &mut Conn, user_id: &str) -> QueryResult<users::User> {
        let clock = Clock::system();
        let new = users::NewUser {
            id: clock.id(),
            partner: "acme",
            user_id,
            external_user_id: user_id,
            country: "DO",
            redirect_uri: None,
            status: Status::Pending,
        };
        transitions::register(conn, &new, clock.now())
    }

    fn dump(conn: &mut Conn) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Object {
            #[diesel(sql_type = diesel::sql_types::Text)]
            sql: String,
        }
        let objects: Vec<Object> = diesel::sql_query(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY sql",
        )
        .load(conn)
        .unwrap();
        objects.into_iter().map(|object| object.sql).collect()
    }

    #[test]
    fn migrations_go_up_down_and_up_to_the_same_schema() {
        let mut conn = Conn::establish(":memory:").unwrap();
        conn.run_pending_migrations(MIGRATIONS).unwrap();
        let up = dump(&mut conn);
        conn.revert_all_migrations(MIGRATIONS).unwrap();
        assert_eq!(dump(&mut conn), Vec::<String>::new());
        conn.run_pending_migrations(MIGRATIONS).unwrap();
        assert_eq!(dump(&mut conn), up);
        assert!(up.len() >= 5);
    }

    #[test]
    fn what_was_stored_before_is_chained() {
        let mut conn = Conn::establish(":memory:").unwrap();
        conn.run_next_migration(MIGRATIONS).unwrap();
        conn.run_next_migration(MIGRATIONS).unwrap();
        conn.batch_execute(
            "INSERT INTO users (id, partner, user_id, external_user_id, country, attempt, status, source, version,
                created_at, updated_at, provider_word, failures)
             VALUES ('k1', 'acme', 'u1', 'e1', 'DO', 1, 'in_review', 'webhook', 3, 5, 7, 'PENDING', 2),
                    ('k2', 'acme', 'u2', 'e2', 'DO', 1, 'pending', 'link', 1, 5, 5, NULL, 0);
             INSERT INTO deliveries (id, partner, user_key, attempt, external_user_id, family, event, signature, outcome,
                repeats, received_at, last_received_at)
             VALUES ('d1', 'acme', 'k1', 1, 'e1', 'KYC', 'CREATED_KYC', x'01', 'applied', 0, 6, 6),
                    ('d2', 'acme', NULL, NULL, 'e3', 'KYC', 'CREATED_KYC', x'02', 'unmatched', 0, 6, 6),
                    ('d3', 'acme', 'k1', 1, 'e1', 'KYC', 'REVIEW_NEEDED_KYC', x'03', 'applied', 1, 7, 8),
                    ('d4', 'acme', NULL, NULL, NULL, NULL, NULL, x'04', 'unreadable', 0, 7, 7);
             INSERT INTO transitions (partner, seq, user_key, version, attempt, from_status, to_status, source, at)
             VALUES ('acme', 1, 'k1', 1, 1, NULL, 'pending', 'link', 5),
                    ('acme', 2, 'k2', 1, 1, NULL, 'pending', 'link', 5),
                    ('acme', 3, 'k1', 2, 1, 'pending', 'submitted', 'webhook', 6),
                    ('acme', 4, 'k1', 3, 1, 'submitted', 'in_review', 'webhook', 7);
             INSERT INTO feeds VALUES ('acme', 4);",
        )
        .unwrap();
        conn.run_pending_migrations(MIGRATIONS).unwrap();
        for (user_id, last_delivery, last_transition) in [("u1", Some("d3"), 4), ("u2", None, 2)] {
            let user = users::find(&mut conn, "acme", user_id).unwrap().unwrap();
            assert_eq!(user.last_delivery.as_deref(), last_delivery);
            assert_eq!(user.last_transition, Some(last_transition));
            assert!(is_chained(&mut conn, &user));
        }
        let looked = looks::of(&mut conn, "k1").unwrap();
        assert_eq!(
            (looked.provider_word.as_deref(), looked.failures),
            (Some("PENDING"), 2)
        );
        let waiting = deliveries::unmatched(&mut conn, "acme", "e3").unwrap();
        assert_eq!(waiting[0].id, "d2");
        let user = register(&mut conn, "u3").unwrap();
        assert_eq!(user.last_transition, Some(5));
        let before = |conn: &mut Conn| {
            let (users, deliveries) = (
                schema::users::table.count(),
                schema::deliveries::table.count(),
            );
            let transitions = schema::transitions::table
                .count()
                .get_result::<i64>(conn)
                .unwrap();
            let users = users.get_result::<i64>(conn).unwrap();
            (
                users,
                deliveries.get_result::<i64>(conn).unwrap(),
                transitions,
            )
        };
        for _ in 0..3 {
            conn.revert_last_migration(MIGRATIONS).unwrap();
        }
        assert_eq!(before(&mut conn), (3, 4, 5));
    }

    #[test]
    fn the_file_and_its_folder_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, _db) = open();
        let mode = |path: &str| {
            let metadata = folder.path().join(path).metadata().unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("made"), 0o700);
        assert_eq!(mode("made/on/the/way.db"), 0o600);
        assert_eq!(mode("made/on/the/way.db-wal"), 0o600);
    }

    #[tokio::test]
    async fn a_change_that_panics_or_fails_leaves_nothing_and_the_next_one_goes_on() {
        let (_folder, db) = open();
        let panicked: Result<(), _> = db
            .write(|conn| {
                register(conn, "u1")?;
                panic!("on purpose")
            })
            .await;
        assert!(matches!(panicked, Err(Error::Misused(_))));
        let failed: Result<(), _> = db
            .write(|conn| {
                register(conn, "u1")?;
                Err(NOT_FOUND)
            })
            .await;
        assert!(matches!(failed, Err(Error::Misused(_))));
        let found = db.read(|conn| users::find(conn, "acme", "u1")).await;
        assert!(found.unwrap().is_none());
        db.write(|conn| register(conn, "u1")).await.unwrap();
    }

    #[tokio::test]
    async fn a_read_only_connection_cannot_write() {
        let (_folder, db) = open();
        let error = db.read(|conn| register(conn, "u1")).await.unwrap_err();
        assert_eq!(error.trouble(), Trouble::ReadOnly, "{error}");
    }

    #[tokio::test]
    async fn a_row_that_has_moved_on_is_not_overwritten() {
        let (_folder, db) = open();
        let user = db.write(|conn| register(conn, "u1")).await.unwrap();
        let now = user.created_at;
        let stale = user.clone();
        let touch = move |conn: &mut Conn| transitions::touch(conn, &user, user.clone(), now);
        assert_eq!(db.write(touch).await.unwrap().version, 2);
        let late = move |conn: &mut Conn| transitions::touch(conn, &stale, stale.clone(), now);
        assert!(db.write(late).await.is_err());
    }

    #[tokio::test]
    async fn transitions_are_numbered_for_each_partner_without_gaps() {
        let (_folder, db) = open();
        let registered = db.write(|conn| {
            for number in 0..5 {
                register(conn, &format!("u{number}"))?;
            }
            schema::transitions::table
                .order(schema::transitions::seq)
                .select(schema::transitions::seq)
                .load::<i64>(conn)
        });
        assert_eq!(registered.await.unwrap(), [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn a_word_that_is_not_ours_is_an_error_and_no_default() {
        let (_folder, db) = open();
        let user = db.write(|conn| register(conn, "u1")).await.unwrap();
        assert_eq!(user.status, Status::Pending);
        let refused = db
            .write(|conn| conn.batch_execute("UPDATE users SET status = 'golden'"))
            .await;
        assert!(refused.is_err(), "the column has a CHECK");
        let forced = "PRAGMA ignore_check_constraints = ON; UPDATE users SET status = 'golden'";
        db.write(move |conn| conn.batch_execute(forced))
            .await
            .unwrap();
        let found = db.read(|conn| users::find(conn, "acme", "u1")).await;
        assert!(matches!(found, Err(Error::Misused(_))));
    }
}
