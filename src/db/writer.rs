//! The one thread that writes, and the queue before it.
//!
//! What waits is done in one transaction, each change in a savepoint of its own, and flushed to the disk once: so many
//! writers share the price of one flush, and a lone one never waits for others. Nobody is answered before the commit. A
//! change that fails or panics takes only itself back. What the store itself cannot do (locked, full, read-only) fails
//! whoever waits, and the connection is made anew, so that nothing of the trouble outlives its cause.
//!
//! A disk that reports an input or output error is not believed any more, because what it says later that it has flushed
//! may be missing: the thread ends, and with it the process.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sqlite::Sqlite;
use tokio::sync::{oneshot, watch};

use super::checkpoints::Checkpoints;
use super::{Conn, Error, QueryResult, Trouble, file};

/// How many changes may wait; more are refused, so that memory stays bounded and whoever waits is answered in time.
const QUEUE: usize = 1024;
/// How many changes one transaction has at the most, so that the first of them is not kept waiting for ever.
const BATCH: usize = 256;

/// The end of the queue at which changes are put in; clones share it.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Change>,
    /// Closed when the thread has ended.
    alive: watch::Receiver<()>,
}

/// A change that waits for its turn. It runs on the connection or learns why it cannot.
type Change = Box<dyn FnOnce(Result<&mut Conn, Error>) -> Done + Send>;

/// A change that has run and waits for the commit.
struct Done {
    /// Why nothing more can be written in this transaction.
    trouble: Option<Error>,
    tell: Tell,
}

/// Tells a caller, when it is known what became of the transaction.
type Tell = Box<dyn FnOnce(&Result<(), Error>)>;

impl Writer {
    /// Starts the thread on a connection that was set up; it ends when the last clone is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(conn: Conn, path: PathBuf) -> std::io::Result<Writer> {
        let (queue, waiting) = sync_channel(QUEUE);
        let (life, alive) = watch::channel(());
        let desk = Desk {
            conn: Some(conn),
            checkpoints: Checkpoints::start(path.clone())?,
            path,
        };
        let work = move || {
            let _life = life;
            desk.work(&waiting);
        };
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(work)?;
        Ok(Writer { queue, alive })
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
        let change: Change = Box::new(move |conn| {
            let result = conn.and_then(|conn| run(conn, change));
            let trouble = match &result {
                Err(error @ Error::Unavailable(..)) => Some(error.clone()),
                _ => None,
            };
            let tell = Box::new(move |committed: &Result<(), Error>| {
                let _ = tell.send(result.and_then(|value| committed.clone().map(|()| value)));
            });
            Done { trouble, tell }
        });
        match self.queue.try_send(change) {
            Ok(()) => told.await.unwrap_or_else(|_| Err(stopped())),
            Err(TrySendError::Full(_)) => Err(Error::Overloaded),
            Err(TrySendError::Disconnected(_)) => Err(stopped()),
        }
    }

    /// Returns when the thread has ended, after which nothing can be written.
    pub async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }
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
    path: PathBuf,
}

impl Desk {
    fn work(mut self, queue: &Receiver<Change>) {
        let mut waiting = VecDeque::new();
        while let Ok(first) = queue.recv() {
            waiting.push_back(first);
            waiting.extend(queue.try_iter().take(BATCH - 1));
            let Err(error) = self.commit(&mut waiting) else {
                continue;
            };
            let trouble = error.trouble().as_str();
            log::error!(trouble; "The store could not take what was to be written.");
            self.conn = None;
            // Whoever came while one transaction waited for a lock would otherwise have to wait as long once more.
            waiting.extend(queue.try_iter().take(QUEUE));
            for change in waiting.drain(..) {
                (change(Err(error.clone())).tell)(&Ok(()));
            }
            if error.trouble() == Trouble::Io {
                return;
            }
        }
    }

    /// Runs what waits in one transaction and tells the callers; leaves waiting what there was trouble before.
    fn commit(&mut self, waiting: &mut VecDeque<Change>) -> Result<(), Error> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(file::reopen(&self.path)?),
        };
        let mut done = Vec::with_capacity(waiting.len());
        let mut trouble = None;
        let committed = conn.immediate_transaction(|conn| {
            while let Some(change) = waiting.pop_front() {
                let mut ran = change(Ok(conn));
                trouble = ran.trouble.take();
                done.push(ran.tell);
                if trouble.is_some() {
                    return Err(DieselError::RollbackTransaction);
                }
            }
            Ok(())
        });
        let committed = committed.map_err(|error| trouble.unwrap_or_else(|| Error::from(error)));
        self.checkpoints.written(done.len());
        for tell in done {
            tell(&committed);
        }
        committed
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
