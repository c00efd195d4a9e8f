//! The rules: what a valid request is, what our words mean, how an observation moves a user.
//!
//! Nothing here does I/O, knows the web framework or the database, or asks for the time.
//! Every function is total, so that it can be tested with every input there is.

pub mod link_request;
pub mod looks;
pub mod loopback;
pub mod sessions;
pub mod status;
pub mod verification;
