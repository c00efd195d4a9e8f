//! The one thread that writes, and the queue before it.
//!
//! What waits is done in one transaction, each change in a savepoint of its own, and flushed to the disk once: so many
//! writers share the price of one flush, and a lone one never waits for others. Nobody is answered before the commit. A
//! change that fails or panics takes only itself back. What the store itself cannot do (locked, full, read-only) fails
//! whoever waits, and the connection is made anew, so that nothing of the trouble outlives its cause.
//!
//! Nothing is acknowledged that was written to a file which was deleted or replaced meanwhile, and no other file is taken
//! for it: who exchanges the file must start the service anew.
//!
//! A disk that reports an input or output error is not believed any more, because what it says later that it has flushed
//! may be missing: the thread ends, and with it the process.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Instant;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sqlite::Sqlite;
use prometheus::core::Collector;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::checkpoints::Checkpoints;
use super::file::Opened;
use super::meter::Meter;
use super::news::{self, News, Topic};
use super::unconfirmed;
use super::{Conn, Error, QueryResult, Trouble};

/// How many changes may wait; more are refused, so that memory stays bounded and whoever waits is answered in time.
const QUEUE: usize = 1024;
/// How many changes one transaction has at the most, so that the first of them is not kept waiting for ever.
const BATCH: usize = 256;

/// The end of the queue at which changes are put in; clones share it.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Change>,
    meter: Meter,
    /// Closed when the thread has ended.
    alive: watch::Receiver<()>,
}

/// A change that waits for its turn.
struct Change {
    run: Run,
    /// Where its caller waits.
    caller: Handle,
}

/// Runs a change on the connection or tells it why it cannot.
type Run = Box<dyn FnOnce(Result<&mut Conn, Error>) -> Done + Send>;

/// A change that has run and waits for the commit.
struct Done {
    news: Vec<Topic>,
    /// Why nothing more can be written in this transaction.
    trouble: Option<Error>,
    tell: Tell,
}

/// Tells a caller, when it is known what became of the transaction.
type Tell = Box<dyn FnOnce(&Result<(), Error>) + Send>;

impl Writer {
    /// Starts the thread on a connection that was set up, to the file that was `opened` for it; it ends when the last clone
    /// is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        conn: Conn,
        opened: Opened,
        news: News,
        meter: Meter,
    ) -> std::io::Result<Writer> {
        let (queue, waiting) = sync_channel(QUEUE);
        let (life, alive) = watch::channel(());
        let desk = Desk {
            conn: Some(conn),
            checkpoints: Checkpoints::start(opened.clone())?,
            opened,
            news,
            meter: meter.clone(),
        };
        let work = move || {
            let _life = life;
            stand_back();
            news::begin_to_note();
            desk.work(&waiting);
        };
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(work)?;
        Ok(Writer {
            queue,
            meter,
            alive,
        })
    }

    /// Runs `change` when its turn comes; returns when it has been flushed to the disk, or has left nothing.
    ///
    /// # Errors
    /// When the queue is full, the store could not take it, or `change` failed or panicked.
    pub async fn write<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let run = Box::new(move |conn: Result<&mut Conn, Error>| {
            let result = conn.and_then(|conn| run(conn, change));
            if result.is_err() {
                unconfirmed::forget_counts();
            }
            let trouble = match &result {
                Err(error @ Error::Unavailable(..)) => Some(error.clone()),
                _ => None,
            };
            let news = news::noted()
                .into_iter()
                .filter(|_| result.is_ok())
                .collect();
            let tell = Box::new(move |committed: &Result<(), Error>| {
                let _ = tell.send(result.and_then(|value| committed.clone().map(|()| value)));
            });
            Done {
                news,
                trouble,
                tell,
            }
        });
        let caller = Handle::current();
        self.meter.comes();
        let refused = match self.queue.try_send(Change { run, caller }) {
            Ok(()) => return told.await.unwrap_or_else(|_| Err(stopped())),
            Err(TrySendError::Full(_)) => Error::Overloaded,
            Err(TrySendError::Disconnected(_)) => stopped(),
        };
        self.meter.leave(1);
        Err(refused)
    }

    /// What it counts of itself.
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.meter.collectors()
    }

    /// Returns when the thread has ended, after which nothing can be written.
    pub async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }
}

/// Lets threads that answer requests go before this one where there are too few processors for all: what they do takes
/// microseconds, and a batch takes milliseconds. To be refused it does no harm.
pub(super) fn stand_back() {
    let _ = rustix::process::nice(5);
}

fn stopped() -> Error {
    Error::Unavailable(Trouble::Stopped, "the writer has stopped".to_owned())
}

fn run<T>(conn: &mut Conn, change: impl FnOnce(&mut Conn) -> QueryResult<T>) -> Result<T, Error> {
    Mark("SAVEPOINT change").execute(conn)?;
    // A panic that crossed the transaction would leave it open, so it is caught within.
    let result = match catch_unwind(AssertUnwindSafe(|| change(conn))) {
        Ok(result) => result.map_err(Error::from),
        Err(_) => Err(Error::Misused("a change panicked".to_owned())),
    };
    match result {
        Err(error @ Error::Unavailable(..)) => return Err(error),
        Err(_) => Mark("ROLLBACK TO change").execute(conn)?,
        Ok(_) => 0,
    };
    Mark("RELEASE change").execute(conn)?;
    result
}

struct Desk {
    /// Absent after trouble, until it can be made anew.
    conn: Option<Conn>,
    checkpoints: Checkpoints,
    opened: Opened,
    news: News,
    meter: Meter,
}

impl Desk {
    fn work(mut self, queue: &Receiver<Change>) {
        let mut waiting = VecDeque::new();
        while let Ok(first) = queue.recv() {
            waiting.push_back(first);
            waiting.extend(queue.try_iter().take(BATCH - 1));
            self.meter.leave(waiting.len());
            let Err(error) = self.commit(&mut waiting) else {
                continue;
            };
            self.meter.troubled(error.trouble());
            let trouble = error.trouble().as_str();
            log::error!(trouble; "The store could not take what was to be written.");
            // Closing the last connection to a file takes the log away by its name, which may be another file's by now.
            if error.trouble() != Trouble::Gone {
                self.conn = None;
            }
            // Whoever came while one transaction waited for a lock would otherwise have to wait as long once more.
            if error.trouble() == Trouble::Locked {
                let further = queue.try_iter().take(QUEUE);
                let before = waiting.len();
                waiting.extend(further);
                self.meter.leave(waiting.len() - before);
            }
            for change in waiting.drain(..) {
                ((change.run)(Err(error.clone())).tell)(&Ok(()));
            }
            if error.trouble() == Trouble::Io {
                return;
            }
        }
    }

    /// Runs what waits in one transaction and tells the callers; leaves waiting what there was trouble before.
    fn commit(&mut self, waiting: &mut VecDeque<Change>) -> Result<(), Error> {
        let began = Instant::now();
        let conn = match &mut self.conn {
            Some(conn) => {
                self.opened.check()?;
                conn
            }
            none => none.insert(self.opened.reopen()?),
        };
        let mut done = Vec::with_capacity(waiting.len());
        let mut news = Vec::new();
        let mut trouble = None;
        unconfirmed::forget_counts();
        let committed = conn.immediate_transaction(|conn| {
            while let Some(change) = waiting.pop_front() {
                let mut ran = (change.run)(Ok(conn));
                news.append(&mut ran.news);
                trouble = ran.trouble.take();
                done.push((change.caller, ran.tell));
                if trouble.is_some() {
                    return Err(DieselError::RollbackTransaction);
                }
            }
            Ok(())
        });
        let committed = committed.map_err(|error| trouble.unwrap_or_else(|| Error::from(error)));
        let committed = committed.and_then(|()| self.opened.check());
        self.checkpoints.written(done.len());
        if committed.is_ok() {
            self.meter.committed(done.len(), began.elapsed());
        }
        tell_all(done, &committed);
        if committed.is_ok() {
            self.news.tell(news);
        }
        committed
    }
}

/// Has each thread that waits wake its callers by itself: woken from here, it would take the processor away for each of them.
fn tell_all(done: Vec<(Handle, Tell)>, committed: &Result<(), Error>) {
    let mut threads: Vec<(Handle, Vec<Tell>)> = Vec::new();
    for (caller, tell) in done {
        match threads
            .iter_mut()
            .find(|(known, _)| known.id() == caller.id())
        {
            Some((_, tells)) => tells.push(tell),
            None => threads.push((caller, vec![tell])),
        }
    }
    for (thread, tells) in threads {
        let committed = committed.clone();
        thread.spawn(async move {
            for tell in tells {
                tell(&committed);
            }
        });
    }
}

/// A statement about savepoints. It is prepared once, unlike those of diesel's nested transactions.
struct Mark(&'static str);

impl QueryId for Mark {
    type QueryId = ();
    // The text tells which of them it is.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Sqlite> for Mark {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
    }
}

impl RunQueryDsl<Conn> for Mark {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use diesel::connection::SimpleConnection;
    use diesel::result::DatabaseErrorKind;
    use tokio::task::JoinHandle;

    use super::super::file;
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A writer on a file with one empty table, and that file.
    fn writer() -> (tempfile::TempDir, Writer, Conn) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kyc.db");
        let mut conn = file::open(&path, crate::config::Environment::Sandbox).unwrap();
        let table = "CREATE TABLE notes (note TEXT NOT NULL)";
        conn.batch_execute(table).unwrap();
        let opened = Opened::at(&path).unwrap();
        let reader = opened.reader(0).unwrap();
        (
            folder,
            Writer::start(conn, opened, News::default(), Meter::new().unwrap()).unwrap(),
            reader,
        )
    }

    fn note(conn: &mut Conn) -> QueryResult<()> {
        conn.batch_execute("INSERT INTO notes VALUES ('x')")
    }

    fn notes(conn: &mut Conn) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            notes: i64,
        }
        let count = diesel::sql_query("SELECT count(*) AS notes FROM notes");
        count.get_result::<Count>(conn).unwrap().notes
    }

    type Told = JoinHandle<Result<(), Error>>;

    /// Puts a change into the queue and returns when it is there.
    async fn put(
        writer: &Writer,
        change: impl FnOnce(&mut Conn) -> QueryResult<()> + Send + 'static,
    ) -> Told {
        let writer = writer.clone();
        let told = tokio::spawn(async move { writer.write(change).await });
        tokio::task::yield_now().await;
        told
    }

    /// Keeps the writer at a change until what is returned is dropped.
    async fn blocked(writer: &Writer) -> (mpsc::Sender<()>, Told) {
        let (begun, begins) = oneshot::channel();
        let (hold, held) = mpsc::channel::<()>();
        let wait = move |conn: &mut Conn| {
            let _ = begun.send(());
            let _ = held.recv_timeout(LONG);
            note(conn)
        };
        let told = put(writer, wait).await;
        begins.await.unwrap();
        (hold, told)
    }

    fn broken(text: &str) -> DieselError {
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()))
    }

    #[tokio::test]
    async fn what_the_queue_has_no_room_for_is_refused_and_what_it_took_is_done() {
        let (_folder, writer, mut reader) = writer();
        let (hold, first) = blocked(&writer).await;
        let mut taken = vec![first];
        for _ in 0..QUEUE {
            taken.push(put(&writer, note).await);
        }
        for _ in 0..3 {
            let refused = writer.write(note).await;
            assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
        }
        assert_eq!(notes(&mut reader), 0);
        drop(hold);
        for told in taken {
            told.await.unwrap().unwrap();
        }
        assert_eq!(notes(&mut reader), i64::try_from(QUEUE).unwrap() + 1);
    }

    #[tokio::test]
    async fn what_fails_or_panics_takes_nothing_back_of_its_batch() {
        let (_folder, writer, mut reader) = writer();
        let (hold, first) = blocked(&writer).await;
        let good = put(&writer, note).await;
        let panics = put(&writer, |conn| {
            note(conn)?;
            panic!("on purpose")
        });
        let panics = panics.await;
        let fails = put(&writer, |conn| {
            note(conn)?;
            Err(super::super::NOT_FOUND)
        });
        let fails = fails.await;
        let last = put(&writer, note).await;
        drop(hold);
        for told in [first, good, last] {
            told.await.unwrap().unwrap();
        }
        for told in [panics, fails] {
            let error = told.await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Misused(_)), "{error}");
        }
        assert_eq!(notes(&mut reader), 3);
    }

    #[tokio::test]
    async fn nobody_is_told_of_success_before_the_commit() {
        let (_folder, writer, mut reader) = writer();
        let (hold, first) = blocked(&writer).await;
        let good = put(&writer, note).await;
        // What it refers to is missing, which SQLite says at the commit.
        let dangling = "CREATE TABLE those (id INTEGER PRIMARY KEY);
            CREATE TABLE these (that INTEGER REFERENCES those DEFERRABLE INITIALLY DEFERRED);
            INSERT INTO these VALUES (1)";
        let dangling = put(&writer, move |conn| conn.batch_execute(dangling)).await;
        drop(hold);
        first.await.unwrap().unwrap();
        for told in [good, dangling] {
            told.await.unwrap().unwrap_err();
        }
        assert_eq!(notes(&mut reader), 1);
        writer.write(note).await.unwrap();
        assert_eq!(notes(&mut reader), 2);
    }

    #[tokio::test]
    async fn trouble_of_the_store_fails_the_whole_batch_and_passes() {
        let (_folder, writer, mut reader) = writer();
        let (hold, first) = blocked(&writer).await;
        let before = put(&writer, note).await;
        let full = put(&writer, |_| Err(broken("database or disk is full"))).await;
        let after = put(&writer, note).await;
        drop(hold);
        first.await.unwrap().unwrap();
        for told in [before, full, after] {
            let error = told.await.unwrap().unwrap_err();
            assert_eq!(error.trouble(), Trouble::Full, "{error}");
        }
        writer.write(note).await.unwrap();
        assert_eq!(notes(&mut reader), 2);
    }

    #[tokio::test]
    async fn after_an_error_of_the_disk_nothing_is_written_any_more() {
        let (_folder, writer, mut reader) = writer();
        let failed = writer.write(|conn| {
            note(conn)?;
            Err::<(), _>(broken("disk I/O error"))
        });
        assert_eq!(failed.await.unwrap_err().trouble(), Trouble::Io);
        writer.ended().await;
        let refused = writer.write(note).await.unwrap_err();
        assert_eq!(refused.trouble(), Trouble::Stopped);
        assert_eq!(notes(&mut reader), 0);
    }

    #[tokio::test]
    async fn what_goes_into_a_file_that_is_gone_is_not_acknowledged() {
        let (folder, writer, _reader) = writer();
        let path = |name| folder.path().join(name);
        let (hold, first) = blocked(&writer).await;
        std::fs::rename(path("kyc.db"), path("away.db")).unwrap();
        drop(hold);
        let error = first.await.unwrap().unwrap_err();
        assert_eq!(error.trouble(), Trouble::Gone, "{error}");
        let error = writer.write(note).await.unwrap_err();
        assert_eq!(error.trouble(), Trouble::Gone, "{error}");
        std::fs::rename(path("away.db"), path("kyc.db")).unwrap();
        writer.write(note).await.unwrap();
    }
}
