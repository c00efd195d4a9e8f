//! The file of the store: how it is made, locked and opened, and the settings of each connection.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::MigrationHarness;

use super::stamps;
use super::{Conn, Error, MIGRATIONS, Trouble};
use crate::config::Environment;

/// The first version of SQLite without the fault that can corrupt a file when its log starts anew while another connection
/// writes (<https://sqlite.org/wal.html#walresetbug>).
const SOUND: (u32, u32, u32) = (3, 51, 3);

/// Settings of the connection that writes. `FULL` makes a commit wait for the disk; `secure_delete` leaves no trace of a
/// link that was taken back.
const WRITER: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA wal_autocheckpoint = 8000;
";

/// Settings of a connection that reads. The log lets it read whatever the writer does.
const READER: &str = "
    PRAGMA query_only = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
";

/// Which files were opened. The system lets a file that was deleted or replaced be written as before, although nobody will
/// find again what is in it; so it is asked whether those files still stand where they stood.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    path: PathBuf,
    log: PathBuf,
    /// Device and number of the file and of its log.
    ids: [(u64, u64); 2],
}

impl Opened {
    /// The file and its log that stand there now.
    pub(super) fn at(path: &Path) -> Result<Opened, Error> {
        let log = beside(path, "-wal");
        Ok(Opened {
            ids: [id(path)?, id(&log)?],
            path: path.to_owned(),
            log,
        })
    }

    /// Fails unless both still stand there.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_file()?;
        same(&self.log, self.ids[1])
    }

    /// Opens the file anew for writing, but none that stands in its place. The log may be another then.
    pub(super) fn reopen(&mut self) -> Result<Conn, Error> {
        self.check_file()?;
        let open = || {
            let mut conn = establish(&self.path)?;
            set_up(&mut conn)?;
            Ok(conn)
        };
        let conn = open().map_err(unavailable)?;
        self.ids[1] = id(&self.log)?;
        Ok(conn)
    }

    /// Opens the file for reading, waiting up to `patience` milliseconds in the rare cases in which a reader has to wait.
    pub(super) fn reader(&self, patience: u32) -> Result<Conn, Error> {
        self.check_file()?;
        let open = || {
            let mut conn = establish(&self.path)?;
            conn.batch_execute(&format!("PRAGMA busy_timeout = {patience};{READER}"))?;
            Ok(conn)
        };
        open().map_err(unavailable)
    }

    fn check_file(&self) -> Result<(), Error> {
        same(&self.path, self.ids[0])
    }
}

fn id(path: &Path) -> Result<(u64, u64), Error> {
    let found = path.metadata().map_err(|error| {
        let text = format!("unable to open {}: {error}", path.display());
        Error::Unavailable(Trouble::Gone, text)
    });
    found.map(|found| (found.dev(), found.ino()))
}

fn same(path: &Path, opened: (u64, u64)) -> Result<(), Error> {
    if id(path)? == opened {
        return Ok(());
    }
    let text = format!("another file stands in the place of {}", path.display());
    Err(Error::Unavailable(Trouble::Gone, text))
}

/// How long [`is_locked`] holds the lock at the most.
const GLANCE: Duration = Duration::from_millis(100);

/// Says that a service is running on a file, for as long as it is held, and to the end of the process at the latest.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "holding it is all it is for")] File);

/// Takes the file for one service. Commands that work beside a running service do not take it.
///
/// # Errors
/// When another service has it, or the lock cannot be made.
pub fn lock(path: &Path) -> anyhow::Result<Lock> {
    let path = beside(path, "-lock");
    let making = || format!("cannot make the lock {}", path.display());
    let file = make(&path).with_context(making)?;
    let mut locked = file.try_lock();
    // It may be no service but an import that is looking, which takes no longer than this.
    if matches!(locked, Err(TryLockError::WouldBlock)) {
        std::thread::sleep(GLANCE);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => bail!(
            "another service is running on this database: it holds the lock {}",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(making),
    }
}

/// Whether a service runs on the file at this moment. It looks by taking the lock and giving it back at once, shared, so
/// that others may look too.
///
/// # Errors
/// When the lock cannot be looked at.
pub fn is_locked(path: &Path) -> std::io::Result<bool> {
    match make(&beside(path, "-lock"))?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The database holds the users of another environment of the provider than the settings name.
#[derive(Debug, thiserror::Error)]
#[error(
    "provider.environment: is {configured}, but the database {path} belongs to {stamped}; correct provider.base_url or provider.environment, or set database.url to another file"
)]
pub struct OtherEnvironment {
    configured: &'static str,
    stamped: String,
    path: String,
}

/// Opens the file for writing, making it and its folder where they are missing, and brings its schema up to date. A file of
/// a newer version or of another environment is left unchanged.
pub(super) fn open(path: &Path, environment: Environment) -> anyhow::Result<Conn> {
    make(path).with_context(|| format!("cannot make the database {}", path.display()))?;
    let mut conn = establish(path)?;
    set_up(&mut conn).context("cannot set up the database")?;
    refuse_newer(&mut conn, path)?;
    refuse_other(&mut conn, path, environment)?;
    conn.run_pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow::anyhow!("cannot bring the database up to date: {error}"))?;
    // Where it is stamped already nothing is written, so that a command need not wait for a service that writes.
    if stamps::find(&mut conn, stamps::ENVIRONMENT)?.is_none() {
        stamps::keep(&mut conn, stamps::ENVIRONMENT, environment.as_str())
            .context("cannot stamp the database")?;
    }
    // Another process may have stamped it first.
    refuse_other(&mut conn, path, environment)?;
    // What a process before left in the log is put into the file and flushed, so that nothing written from now on stands
    // behind something that never reached the disk. While another process uses the file this does nothing.
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .context("cannot empty the log of the database")?;
    Ok(conn)
}

/// What a newer version writes is not understood here, and what is written here may break a promise of the newer one.
fn refuse_newer(conn: &mut Conn, path: &Path) -> anyhow::Result<()> {
    let reading = |error| anyhow::anyhow!("cannot read the schema of the database: {error}");
    let known: Vec<Box<dyn Migration<Sqlite>>> = MIGRATIONS.migrations().map_err(reading)?;
    let unknown = conn.applied_migrations().map_err(reading)?;
    let mut unknown = unknown.iter().filter(|version| {
        !known
            .iter()
            .any(|known| known.name().version() == **version)
    });
    if let Some(version) = unknown.next() {
        bail!(
            "the database {} was changed by a newer version of kyc-tracker: its schema {version} is unknown to this version; run the newer version, or restore a backup from before the upgrade",
            path.display()
        );
    }
    Ok(())
}

fn refuse_other(conn: &mut Conn, path: &Path, environment: Environment) -> anyhow::Result<()> {
    let stamped = stamps::find(conn, stamps::ENVIRONMENT);
    let stamped = stamped.context("cannot read the stamps of the database")?;
    match stamped.filter(|stamped| stamped != environment.as_str()) {
        None => Ok(()),
        Some(stamped) => Err(OtherEnvironment {
            configured: environment.as_str(),
            stamped,
            path: path.display().to_string(),
        }
        .into()),
    }
}

fn unavailable(error: anyhow::Error) -> Error {
    // What stands around the cause names the path, which may have any word in it.
    let trouble = Trouble::of(&error.root_cause().to_string());
    Error::Unavailable(trouble, format!("{error:#}"))
}

fn establish(path: &Path) -> anyhow::Result<Conn> {
    let url = path
        .to_str()
        .context("the path of the database is no UTF-8")?;
    Conn::establish(url).with_context(|| format!("cannot open the database {url}"))
}

/// The file holds links that let their holder act as a user, so it is for its owner alone.
fn make(path: &Path) -> std::io::Result<File> {
    let folder = path.parent();
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        let mut folders = DirBuilder::new();
        folders.recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new();
    file.create(true).truncate(false).write(true).mode(0o600);
    file.open(path)
}

/// Settings are read back, because SQLite passes over one that it cannot follow.
fn set_up(conn: &mut Conn) -> anyhow::Result<()> {
    #[derive(QueryableByName)]
    struct Settings {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
        #[diesel(sql_type = diesel::sql_types::Text)]
        journal_mode: String,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        synchronous: i64,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        foreign_keys: i64,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        secure_delete: i64,
    }
    conn.batch_execute(WRITER)?;
    let settings: Settings = diesel::sql_query(
        "SELECT sqlite_version() AS version, journal_mode, synchronous, foreign_keys, secure_delete
         FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys, pragma_secure_delete",
    )
    .get_result(conn)?;
    let version = &settings.version;
    ensure!(
        is_sound(version),
        "SQLite {version} can corrupt the file; at least 3.51.3 is needed"
    );
    ensure!(
        settings.journal_mode == "wal",
        "the file system does not allow a write-ahead log"
    );
    ensure!(
        settings.synchronous == 2,
        "the database does not wait for the disk"
    );
    ensure!(
        settings.foreign_keys == 1 && settings.secure_delete == 1,
        "the database does not follow its settings"
    );
    Ok(())
}

fn is_sound(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    (part(), part(), part()) >= SOUND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, sound) in [
            ("3.51.3", true),
            ("3.53.2", true),
            ("3.100.0", true),
            ("4.0", true),
            ("3.51.2", false),
            ("3.40.1", false),
            ("3.9.99", false),
            ("?", false),
        ] {
            assert_eq!(is_sound(version), sound, "{version}");
        }
    }

    #[test]
    fn one_service_has_the_file_and_the_next_one_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kyc.db");
        let held = lock(&path).unwrap();
        let refused = lock(&path).unwrap_err().to_string();
        assert!(refused.contains("another service is running"), "{refused}");
        assert!(is_locked(&path).unwrap());
        drop(held);
        assert!(!is_locked(&path).unwrap());
        lock(&path).unwrap();
    }

    #[test]
    fn a_file_that_comes_back_is_opened_again_and_another_in_its_place_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let _open = open(&path("kyc.db"), Environment::Sandbox).unwrap();
        let mut opened = Opened::at(&path("kyc.db")).unwrap();
        opened.check().unwrap();
        std::fs::rename(path("kyc.db"), path("away.db")).unwrap();
        assert_eq!(opened.check().unwrap_err().trouble(), Trouble::Gone);
        std::fs::copy(path("away.db"), path("kyc.db")).unwrap();
        assert_eq!(opened.check().unwrap_err().trouble(), Trouble::Gone);
        assert_eq!(opened.reopen().err().unwrap().trouble(), Trouble::Gone);
        std::fs::rename(path("away.db"), path("kyc.db")).unwrap();
        opened.check().unwrap();
        opened.reopen().unwrap();
        std::fs::remove_file(path("kyc.db-wal")).unwrap();
        assert_eq!(opened.check().unwrap_err().trouble(), Trouble::Gone);
    }

    /// The file as a version left it that knew no stamps.
    fn without_stamps(path: &Path) -> Conn {
        let mut conn = open(path, Environment::Staging).unwrap();
        while stamps::find(&mut conn, stamps::ENVIRONMENT)
            .unwrap()
            .is_some()
        {
            conn.revert_last_migration(MIGRATIONS).unwrap();
        }
        conn
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_in_one_line_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kyc.db");
        let mut conn = without_stamps(&path);
        conn.batch_execute(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')",
        )
        .unwrap();
        let applied = conn.applied_migrations().unwrap();
        let refused = format!("{:#}", open(&path, Environment::Staging).err().unwrap());
        assert!(
            refused.contains("newer version") && refused.contains("99991231235959"),
            "{refused}"
        );
        assert_eq!(refused.lines().count(), 1);
        assert_eq!(conn.applied_migrations().unwrap(), applied);
    }

    #[test]
    fn a_file_belongs_to_the_environment_of_its_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kyc.db");
        open(&path, Environment::Staging).unwrap();
        open(&path, Environment::Staging).unwrap();
        for other in [Environment::Production, Environment::Sandbox] {
            let refused = open(&path, other).err().unwrap();
            assert!(refused.is::<OtherEnvironment>(), "{refused}");
            let refused = refused.to_string();
            assert!(refused.starts_with("provider.environment: "), "{refused}");
            assert!(
                refused.contains("staging") && refused.contains(other.as_str()),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_file_from_before_stamps_is_stamped_at_its_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kyc.db");
        drop(without_stamps(&path));
        open(&path, Environment::Production).unwrap();
        let refused = open(&path, Environment::Staging).err().unwrap();
        assert!(refused.is::<OtherEnvironment>(), "{refused}");
    }
}
