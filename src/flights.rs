//! Work under way, so that many who want the same at the same time do it once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::Error;

/// How a flight ended, once it has.
type Landing = Option<Result<(), Error>>;

/// What is under way in this process, each by a name.
#[derive(Default)]
pub struct Flights(Mutex<HashMap<String, watch::Receiver<Landing>>>);

impl Flights {
    /// Begins what has that name, unless it is under way already.
    pub fn begin(&self, name: &str) -> Result<Flight<'_>, Another> {
        match self.lock().entry(name.to_owned()) {
            Entry::Occupied(place) => Err(Another(place.get().clone())),
            Entry::Vacant(place) => {
                let (landing, landed) = watch::channel(None);
                place.insert(landed);
                Ok(Flight {
                    flights: self,
                    name: name.to_owned(),
                    landing,
                })
            }
        }
    }

    /// The same, but waits for the end of what is under way and gives that instead: none if it ended without a word.
    pub async fn board(&self, name: &str) -> Result<Flight<'_>, Landing> {
        match self.begin(name) {
            Ok(flight) => Ok(flight),
            Err(another) => Err(another.landed().await),
        }
    }

    /// Nothing is changed in two steps that could panic between, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Landing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody else has begun.
pub struct Another(watch::Receiver<Landing>);

impl Another {
    /// Waits for its end: none if it ended without a word.
    pub async fn landed(mut self) -> Landing {
        // An error says that it has ended, which is what is waited for.
        let _ = self.0.changed().await;
        self.0.borrow().clone()
    }
}

/// What nobody else begins until this is dropped.
pub struct Flight<'a> {
    flights: &'a Flights,
    name: String,
    landing: watch::Sender<Landing>,
}

impl Flight<'_> {
    /// By what it is known.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells all who wait how it ended.
    pub fn land(self, result: Result<(), Error>) {
        self.landing.send_replace(Some(result));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.name);
    }
}
