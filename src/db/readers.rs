//! Connections that only read.
//!
//! The one used last is used next, because it has the most in its cache. There are as many as were ever in use at once.

use std::sync::{Mutex, PoisonError};

use super::file::Opened;
use super::{Conn, Error, QueryResult};

/// Connections to one file.
pub struct Readers {
    opened: Opened,
    /// How long one waits for a lock, in milliseconds.
    patience: u32,
    idle: Mutex<Vec<Conn>>,
}

impl Readers {
    /// None yet.
    pub(super) fn new(opened: Opened, patience: u32) -> Readers {
        Readers {
            opened,
            patience,
            idle: Mutex::default(),
        }
    }

    /// Runs `query` here on an idle connection, or on a new one.
    ///
    /// # Errors
    /// When none can be opened or the query fails.
    pub fn run<T>(&self, query: impl FnOnce(&mut Conn) -> QueryResult<T>) -> Result<T, Error> {
        let idle = self.idle().pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => self.opened.reader(self.patience)?,
        };
        let result = query(&mut conn).map_err(Error::from);
        // A connection that has seen trouble may remember it.
        if !matches!(result, Err(Error::Unavailable(..))) {
            self.idle().push(conn);
        }
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Conn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
