//! How long a client may keep us waiting, and how many requests are taken on at the same time.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix_server::GracefulShutdownSignal;

/// What the service puts up with. Each of the times is one that the client takes; what a handler takes counts in none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request's head to its end; for the first of a connection, from its opening.
    pub head: Duration,
    /// From the end of the head to the last byte of the body.
    pub body: Duration,
    /// For how long a client may take nothing at all of an answer that waits for it.
    pub stall: Duration,
    /// For how long an answer may wait until it is taken whole.
    pub answer: Duration,
    /// How long a connection may be idle between two requests.
    pub keep_alive: Duration,
    /// Requests in flight at the same time, in the whole process.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            in_flight: 512,
        }
    }
}

/// The requests in flight in the whole process.
#[derive(Default)]
pub struct InFlight {
    taken: AtomicUsize,
    refused: AtomicU64,
}

/// The limits, as the connections of one worker share them.
pub struct Edge {
    /// What is put up with.
    pub limits: Limits,
    /// Told when the service begins to stop.
    pub stopping: GracefulShutdownSignal,
    in_flight: Arc<InFlight>,
}

impl Edge {
    /// That of one worker; all workers have the same count.
    pub fn new(
        limits: Limits,
        stopping: GracefulShutdownSignal,
        in_flight: Arc<InFlight>,
    ) -> Rc<Edge> {
        Rc::new(Edge {
            limits,
            stopping,
            in_flight,
        })
    }
}

/// One of the places that requests in flight may take; given back when dropped.
pub struct Place(Rc<Edge>);

impl Place {
    /// None when all are taken. A warning is logged each time the count of the refused doubles: soon enough to be seen, too
    /// rarely to be a load of its own.
    pub fn take(edge: &Rc<Edge>) -> Option<Place> {
        let InFlight { taken, refused } = &*edge.in_flight;
        if taken.fetch_add(1, Ordering::Relaxed) < edge.limits.in_flight {
            return Some(Place(Rc::clone(edge)));
        }
        taken.fetch_sub(1, Ordering::Relaxed);
        let count = refused.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            log::warn!(count; "Requests were refused because too many were in flight.");
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
