//! Calls under way, so that many who want the same at the same time make one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::Error;

/// How a call ended, once it has.
type Landing = Option<Result<(), Error>>;

/// The calls under way in this process, each by the partner's id and the user's.
#[derive(Default)]
pub struct Flights(Mutex<HashMap<(String, String), watch::Receiver<Landing>>>);

impl Flights {
    /// Begins a call. Where one is under way already, waits for its end and gives that instead: none if it ended without
    /// a word.
    pub async fn board(&self, partner: &str, user_id: &str) -> Result<Flight<'_>, Landing> {
        let key = (partner.to_owned(), user_id.to_owned());
        let mut under_way = match self.lock().entry(key.clone()) {
            Entry::Occupied(place) => place.get().clone(),
            Entry::Vacant(place) => {
                let (landing, landed) = watch::channel(None);
                place.insert(landed);
                return Ok(Flight {
                    flights: self,
                    key,
                    landing,
                });
            }
        };
        let _ = under_way.changed().await;
        Err(under_way.borrow().clone())
    }

    /// Nothing is changed in two steps that could panic between, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), watch::Receiver<Landing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that nobody else makes until this is dropped.
pub struct Flight<'a> {
    flights: &'a Flights,
    key: (String, String),
    landing: watch::Sender<Landing>,
}

impl Flight<'_> {
    /// Tells all who wait how it ended.
    pub fn land(self, result: Result<(), Error>) {
        self.landing.send_replace(Some(result));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}
