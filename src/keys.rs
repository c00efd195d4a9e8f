//! Whose API key it is, and how often it may be used.
//!
//! There is a bucket for each key of the configuration, made at the start, and nothing for any other key: who guesses
//! takes no memory, and a key of 256 random bits is not found by guessing, however often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::bucket::{Bucket, Rate};
use crate::clock::Steady;
use crate::config::{self, KeyHash};

/// The keys of all partners, or of all admins.
pub struct Keys {
    rate: Rate,
    keys: HashMap<KeyHash, Key>,
}

struct Key {
    place: usize,
    bucket: Mutex<Bucket>,
}

/// How a key stands after one more request with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that are possible at once.
    pub limit: u64,
    /// Requests that are possible now.
    pub remaining: u64,
    /// How long it takes until `remaining` is `limit`.
    pub full_in: Duration,
    /// Set when this request is one too many: when the next one is possible.
    pub wait: Option<Duration>,
}

impl Keys {
    /// Keys, each with its owner's place in the configuration.
    pub fn new(limits: &config::Limits, keys: impl Iterator<Item = (KeyHash, usize)>) -> Keys {
        let key = |(hash, place)| {
            let bucket = Mutex::new(Bucket::FULL);
            (hash, Key { place, bucket })
        };
        Keys {
            rate: Rate::new(limits.requests_per_second, limits.burst),
            keys: keys.map(key).collect(),
        }
    }

    /// Counts a request with this key, and says whose key it is.
    ///
    /// The key is hashed and the hash looked up, so that the time taken says nothing of any key.
    pub fn request(&self, key: &str, now: Steady) -> Option<(usize, Standing)> {
        let key = self.keys.get(&KeyHash::of(key))?;
        let rate = self.rate;
        let mut bucket = key.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(now, rate);
        let wait = if bucket.holds(1) {
            bucket.take(1);
            None
        } else {
            Some(bucket.until_one(rate))
        };
        let standing = Standing {
            limit: rate.at_once().unsigned_abs(),
            remaining: bucket.calls().unsigned_abs(),
            full_in: bucket.until_full(rate),
            wait,
        };
        Some((key.place, standing))
    }
}
