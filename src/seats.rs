//! How many of a partner's requests may wait on purpose at the same time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// Requests with `wait` of one partner.
const WAITS: usize = 2000;
/// Streams of events of one partner.
const STREAMS: usize = 200;

/// Admin pages that are kept up to date while they are open.
const PAGES: usize = 100;

/// The seats of every partner, by its place in the configuration, and of admins; each is given back when dropped.
pub struct Seats {
    partners: Vec<(Arc<Semaphore>, Arc<Semaphore>)>,
    pages: Arc<Semaphore>,
}

impl Seats {
    /// All free, for so many partners.
    pub fn new(partners: usize) -> Seats {
        let seats = |_| {
            (
                Arc::new(Semaphore::new(WAITS)),
                Arc::new(Semaphore::new(STREAMS)),
            )
        };
        Seats {
            partners: (0..partners).map(seats).collect(),
            pages: Arc::new(Semaphore::new(PAGES)),
        }
    }

    /// How many requests of the partner wait, and how many streams of it are open.
    pub fn taken(&self, place: usize) -> (usize, usize) {
        let (waits, streams) = &self.partners[place];
        (
            WAITS - waits.available_permits(),
            STREAMS - streams.available_permits(),
        )
    }

    /// One for a request that waits for a change.
    ///
    /// # Errors
    /// When the partner has taken all.
    pub fn wait(&self, place: usize) -> Result<OwnedSemaphorePermit, Error> {
        let taken = "All of the 2000 requests that may wait are waiting. Ask without wait.";
        take(&self.partners[place].0).ok_or_else(|| Error::all_taken(taken))
    }

    /// One for a stream of events.
    ///
    /// # Errors
    /// When the partner has taken all.
    pub fn stream(&self, place: usize) -> Result<OwnedSemaphorePermit, Error> {
        let taken = "All of the 200 streams that may be open are open. Share one.";
        take(&self.partners[place].1).ok_or_else(|| Error::all_taken(taken))
    }

    /// One for an admin page that is kept up to date.
    ///
    /// # Errors
    /// When all are taken.
    pub fn page(&self) -> Result<OwnedSemaphorePermit, Error> {
        let taken = "So many admin pages are open that no further one is kept up to date.";
        take(&self.pages).ok_or_else(|| Error::all_taken(taken))
    }
}

fn take(seats: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(seats).try_acquire_owned().ok()
}
