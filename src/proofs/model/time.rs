//! Time, as far as the rule can tell the difference: what is less than 30 s old, in order.

/// What the rule asks about whether it is 30 s old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    /// The last change of the provider's data: as long as it is young, a copy may lag behind.
    Change,
    /// The last hint.
    Hint,
    /// The unconfirmed `verified` was applied.
    Applied,
    /// The last link of this attempt.
    Link,
    /// The first answer without a session, before an attempt that is to end.
    NoneOnce,
}

/// The timers that began less than 30 s ago, the oldest first. So each order in which they may
/// reach 30 s is searched, and no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Young([Option<Timer>; 5]);

impl Young {
    pub(super) fn has(self, timer: Timer) -> bool {
        self.0.contains(&Some(timer))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0[0].is_none()
    }

    /// Begins, also once more.
    pub(super) fn start(&mut self, timer: Timer) {
        self.stop(timer);
        if let Some(free) = self.0.iter_mut().find(|place| place.is_none()) {
            *free = Some(timer);
        }
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        let mut kept = [None; 5];
        let others = self.0.into_iter().flatten().filter(|other| *other != timer);
        for (place, other) in kept.iter_mut().zip(others) {
            *place = Some(other);
        }
        self.0 = kept;
    }

    /// The oldest one reaches 30 s.
    pub(super) fn expire(&mut self) -> Option<Timer> {
        let oldest = self.0[0]?;
        self.stop(oldest);
        Some(oldest)
    }
}
