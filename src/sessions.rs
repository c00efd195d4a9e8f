//! Who is signed in on the admin page.
//!
//! A session is in memory alone: it ends with the process, and so also when a key is taken out of the configuration. What
//! the browser keeps is 256 random bits, of which only the hash is kept here. A session ends by itself when it was not
//! used for [`IDLE`], and in any case after [`WHOLE`]. Setting the clock neither ends one nor keeps one alive.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Steady;
use crate::random;

/// Who does nothing for so long is signed out.
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// Nobody stays signed in for longer than this.
pub const WHOLE: Duration = Duration::from_secs(8 * 60 * 60);
/// So many sessions there are at the most; with one more, the one that was not used for the longest time ends.
const MOST: usize = 1000;

/// All sessions.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Kept>>);

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The admin's place in the configuration.
    pub admin: usize,
    /// Stands in each form of the session's pages and is in nobody else's hands, so that no other page can send one.
    pub form_token: String,
}

struct Kept {
    session: Session,
    began: Steady,
    used: Steady,
}

impl Kept {
    fn lasts(&self, now: Steady) -> bool {
        now.since(self.used) < IDLE && now.since(self.began) < WHOLE
    }
}

impl Sessions {
    /// Signs the admin of that place in; answers what the browser shows from then on.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn begin(&self, admin: usize, now: Steady) -> io::Result<String> {
        let token = hex::encode(random::bytes::<32>()?);
        let form_token = hex::encode(random::bytes::<32>()?);
        let mut sessions = self.lock();
        sessions.retain(|_, kept| kept.lasts(now));
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                sessions.remove(&oldest);
            }
        }
        let kept = Kept {
            session: Session { admin, form_token },
            began: now,
            used: now,
        };
        sessions.insert(hash(&token), kept);
        Ok(token)
    }

    /// The session of that token, which is used by that.
    pub fn used(&self, token: &str, now: Steady) -> Option<Session> {
        let mut sessions = self.lock();
        let kept = sessions.get_mut(&hash(token))?;
        if !kept.lasts(now) {
            return None;
        }
        kept.used = now;
        Some(kept.session.clone())
    }

    /// The same for what a page does by itself: it keeps no session alive.
    pub fn seen(&self, token: &str, now: Steady) -> Option<Session> {
        let sessions = self.lock();
        let kept = sessions.get(&hash(token))?;
        kept.lasts(now).then(|| kept.session.clone())
    }

    /// Signs out; nothing happens where nobody is signed in.
    pub fn end(&self, token: &str) {
        self.lock().remove(&hash(token));
    }

    /// Nothing is changed in two steps that could panic between, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It is looked up by its hash, so that the time taken says nothing of any token.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Timestamp};

    fn at(seconds: u64) -> Steady {
        Steady(Duration::from_secs(seconds))
    }

    #[test]
    fn a_session_is_found_by_its_token_alone() {
        let sessions = Sessions::default();
        let (first, second) = (sessions.begin(0, at(0)), sessions.begin(1, at(0)));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.len(), 64);
        assert_eq!(sessions.used(&first, at(1)).unwrap().admin, 0);
        let found = sessions.seen(&second, at(1)).unwrap();
        assert_eq!((found.admin, found.form_token.len()), (1, 64));
        assert_ne!(found.form_token, second);
        for wrong in ["", "0", &first[..63], &found.form_token] {
            assert_eq!(sessions.used(wrong, at(1)), None);
        }
    }

    #[test]
    fn who_does_nothing_is_signed_out_and_what_the_page_does_is_nothing() {
        let sessions = Sessions::default();
        let token = sessions.begin(0, at(0)).unwrap();
        let idle = IDLE.as_secs();
        assert!(sessions.used(&token, at(idle - 1)).is_some());
        assert!(sessions.seen(&token, at(2 * idle - 2)).is_some());
        assert!(sessions.seen(&token, at(2 * idle - 1)).is_none());
        assert!(sessions.used(&token, at(2 * idle - 1)).is_none());
    }

    #[test]
    fn nobody_stays_for_ever() {
        let sessions = Sessions::default();
        let token = sessions.begin(0, at(0)).unwrap();
        let whole = WHOLE.as_secs();
        for second in (0..whole).step_by(600) {
            assert!(sessions.used(&token, at(second)).is_some());
        }
        assert!(sessions.used(&token, at(whole - 1)).is_some());
        assert!(sessions.used(&token, at(whole)).is_none());
    }

    #[test]
    fn a_clock_that_is_set_neither_keeps_a_session_alive_nor_ends_it() {
        let clock = Clock::driven(Timestamp(1_800_000_000_000_000));
        let sessions = Sessions::default();
        let token = sessions.begin(0, clock.steady()).unwrap();
        clock.advance(IDLE - Duration::from_secs(1));
        clock.set_ahead(2 * WHOLE);
        assert!(sessions.seen(&token, clock.steady()).is_some());
        clock.advance(Duration::from_secs(1));
        clock.set_back(4 * WHOLE);
        assert!(sessions.seen(&token, clock.steady()).is_none());
        assert!(sessions.used(&token, clock.steady()).is_none());
    }

    #[test]
    fn who_signs_out_is_out_and_nobody_else() {
        let sessions = Sessions::default();
        let (first, second) = (sessions.begin(0, at(0)), sessions.begin(0, at(0)));
        let (first, second) = (first.unwrap(), second.unwrap());
        sessions.end(&first);
        sessions.end(&first);
        assert_eq!(sessions.used(&first, at(1)), None);
        assert!(sessions.used(&second, at(1)).is_some());
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let sessions = Sessions::default();
        let first = sessions.begin(0, at(0)).unwrap();
        let second = sessions.begin(0, at(1)).unwrap();
        sessions.used(&first, at(2));
        for _ in 2..=MOST {
            sessions.begin(0, at(3)).unwrap();
        }
        assert_eq!(sessions.lock().len(), MOST);
        assert!(sessions.seen(&first, at(3)).is_some());
        assert!(sessions.seen(&second, at(3)).is_none());
    }
}
