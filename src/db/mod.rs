//! The store: the only code that knows diesel and SQLite.
//!
//! There are two doors. [`Db::read`] runs on one of a few read-only connections and never waits for a writer.
//! [`Db::write`] runs in one `BEGIN IMMEDIATE` transaction, one at a time, and returns only after the commit has been
//! flushed to the disk, so that what it returned may be acknowledged. Neither is held over a call to anybody else.
//! Queries stand in one file per table, take the connection first, and never see the doors.

pub mod attempts;
pub mod catch_ups;
pub mod deliveries;
pub mod looks;
pub mod overrides;
mod schema;
pub mod transitions;
mod types;
pub mod users;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::clock::Timestamp;

/// A connection, as queries take it.
pub type Conn = SqliteConnection;

/// What a query returns.
pub use diesel::QueryResult;

/// The error of a row that must be there and is not.
pub const NOT_FOUND: DieselError = DieselError::NotFound;

/// Every change of the schema there has been, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

const READERS: u32 = 4;
const READER_WAIT: Duration = Duration::from_secs(5);

/// Settings of each connection. `FULL` makes a commit wait for the disk; `secure_delete` leaves no trace of a link that
/// was taken back.
const PRAGMAS: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
";

/// The store; clones share it.
#[derive(Clone)]
pub struct Db {
    writer: Arc<Mutex<Conn>>,
    readers: Pool<ConnectionManager<Conn>>,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Locked, full, unreadable or the like: it may be well again later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A query that should not have been made, or a panic in it.
    #[error("the store was used wrongly: {0}")]
    Misused(String),
}

impl Db {
    /// Opens the file, making it and its folder where they are missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be made, opened, set up or migrated.
    pub fn open(path: &Path) -> anyhow::Result<Db> {
        prepare_file(path)
            .with_context(|| format!("cannot make the database {}", path.display()))?;
        let url = path
            .to_str()
            .context("the path of the database is no UTF-8")?;
        let mut writer =
            Conn::establish(url).with_context(|| format!("cannot open the database {url}"))?;
        set_up(&mut writer).context("cannot set up the database")?;
        writer
            .run_pending_migrations(MIGRATIONS)
            .map_err(|error| anyhow::anyhow!("cannot bring the database up to date: {error}"))?;
        let readers = Pool::builder()
            .max_size(READERS)
            .connection_timeout(READER_WAIT)
            .test_on_check_out(false)
            .connection_customizer(Box::new(ReadOnly))
            .build(ConnectionManager::new(url))
            .context("cannot open the database for reading")?;
        Ok(Db {
            writer: Arc::new(Mutex::new(writer)),
            readers,
        })
    }

    /// Runs `query` on a read-only connection. It sees all that was committed before.
    ///
    /// # Errors
    /// When no connection was free in time or the query failed.
    pub async fn read<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let readers = self.readers.clone();
        on_a_thread(move || {
            let mut conn = readers
                .get()
                .map_err(|error| Error::Unavailable(error.to_string()))?;
            query(&mut conn).map_err(Error::from)
        })
        .await
    }

    /// Runs `change` in a transaction of its own. When this returns `Ok`, it is on the disk; else nothing of it is.
    ///
    /// # Errors
    /// When the store could not take it, or `change` failed or panicked.
    pub async fn write<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let writer = Arc::clone(&self.writer);
        on_a_thread(move || {
            let mut conn = writer.lock().unwrap_or_else(PoisonError::into_inner);
            // A panic that crossed the transaction would leave it open, so it is caught within.
            let mut panicked = false;
            let result = conn.immediate_transaction(|conn| {
                catch_unwind(AssertUnwindSafe(|| change(conn))).unwrap_or_else(|_| {
                    panicked = true;
                    Err(DieselError::RollbackTransaction)
                })
            });
            if panicked {
                return Err(Error::Misused("a change panicked".to_owned()));
            }
            result.map_err(Error::from)
        })
        .await
    }
}

async fn on_a_thread<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::Misused("a query panicked".to_owned())))
}

/// A guarded update must hit its row.
///
/// # Errors
/// [`NOT_FOUND`] when the row has moved on since it was read.
fn exactly_one(rows: usize) -> QueryResult<()> {
    if rows == 1 { Ok(()) } else { Err(NOT_FOUND) }
}

/// Writes for the sake of writing: whether the store takes changes now.
pub fn heartbeat(conn: &mut Conn, name: &str, now: Timestamp) -> QueryResult<()> {
    use schema::heartbeats;
    let beat = (heartbeats::name.eq(name), heartbeats::at.eq(now));
    diesel::insert_into(heartbeats::table)
        .values(beat)
        .on_conflict(heartbeats::name)
        .do_update()
        .set(heartbeats::at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// When the heartbeat of that name was last written.
pub fn last_heartbeat(conn: &mut Conn, name: &str) -> QueryResult<Option<Timestamp>> {
    use schema::heartbeats;
    heartbeats::table
        .find(name)
        .select(heartbeats::at)
        .first(conn)
        .optional()
}

/// Takes the heartbeat of that name away.
pub fn forget_heartbeat(conn: &mut Conn, name: &str) -> QueryResult<()> {
    use schema::heartbeats;
    diesel::delete(heartbeats::table.find(name)).execute(conn)?;
    Ok(())
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
            ) => Error::Unavailable(info.message().to_owned()),
            DieselError::BrokenTransactionManager => Error::Unavailable(error.to_string()),
            other => Error::Misused(other.to_string()),
        }
    }
}

#[derive(Debug)]
struct ReadOnly;

impl CustomizeConnection<Conn, diesel::r2d2::Error> for ReadOnly {
    fn on_acquire(&self, conn: &mut Conn) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(PRAGMAS)
            .and_then(|()| conn.batch_execute("PRAGMA query_only = ON;"))
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// The file holds links that let their holder act as a user, so it is for its owner alone.
fn prepare_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    Ok(())
}

/// Settings are read back, because SQLite passes over one that it cannot follow.
fn set_up(conn: &mut Conn) -> anyhow::Result<()> {
    #[derive(QueryableByName)]
    struct Settings {
        #[diesel(sql_type = diesel::sql_types::Text)]
        journal_mode: String,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        synchronous: i64,
    }
    conn.batch_execute(PRAGMAS)?;
    let settings: Settings = diesel::sql_query(
        "SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous",
    )
    .get_result(conn)?;
    ensure!(
        settings.journal_mode == "wal",
        "the file system does not allow a write-ahead log"
    );
    ensure!(
        settings.synchronous == 2,
        "the database does not wait for the disk"
    );
    Ok(())
}

/// A store in the memory of one test.
#[cfg(test)]
pub(crate) fn in_memory() -> Conn {
    let mut conn = Conn::establish(":memory:").unwrap();
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    conn
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
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
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
