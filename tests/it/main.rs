//! One binary for all tests of the whole service: they link once and run side by side.
//!
//! Each test has a real service on a real socket with a database file of its own; only the provider is faked, at the
//! edge of HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod support;

mod acts;
mod admin;
mod admin_browser;
mod admin_page;
mod admin_users;
mod attempts;
mod browser;
mod button;
mod caps;
mod census;
mod chaos;
mod commands;
mod crash;
mod dropin;
mod environment;
mod errors;
mod events;
mod examples;
mod faults;
mod flights;
mod gone;
mod import;
mod learnt;
mod limits;
mod links;
mod looks;
mod metrics;
mod once;
mod openapi;
mod operating;
mod outage;
mod overload;
mod privacy;
mod provider;
mod refold;
mod sessions;
mod slow;
mod start;
mod tenancy;
mod trust;
mod unconfirmed;
mod upgrade;
mod users;
mod verification;
mod waiting;
mod webhooks;
