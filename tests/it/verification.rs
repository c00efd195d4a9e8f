//! The rule as seen from outside: attempts, repeats, stale and held events, and those that come before their user.
