//! The thread that copies the log into the file while the writer goes on.
//!
//! Left to the commits, a checkpoint would stop every writer for as long as the disk takes. This one runs beside them, each
//! time that enough has been written; what is left for a commit to do, once the log is long, is its last piece.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use diesel::connection::SimpleConnection;

use super::Conn;
use super::file::Opened;
use super::writer::stand_back;

/// After how many changes: some megabytes of log.
const CHANGES: usize = 512;

/// Counts what is written, and wakes the thread.
pub struct Checkpoints {
    written: usize,
    wake: SyncSender<()>,
}

impl Checkpoints {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(opened: Opened) -> std::io::Result<Checkpoints> {
        // One place: what is written during a checkpoint makes the next one due, once.
        let (wake, woken) = sync_channel(1);
        thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || work(opened, &woken))?;
        Ok(Checkpoints { written: 0, wake })
    }

    /// Takes note of that many committed changes.
    pub fn written(&mut self, changes: usize) {
        self.written += changes;
        if self.written >= CHANGES {
            self.written = 0;
            let _ = self.wake.try_send(());
        }
    }
}

fn work(mut opened: Opened, woken: &Receiver<()>) {
    stand_back();
    let mut conn: Option<Conn> = None;
    while woken.recv().is_ok() {
        if conn.is_none() {
            conn = opened.reopen().ok();
        }
        let copied = conn
            .as_mut()
            .map(|conn| conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)"));
        // The writer meets with the same trouble, and says so; here it is enough to begin anew.
        if matches!(copied, Some(Err(_))) {
            conn = None;
        }
    }
}
