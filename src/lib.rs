//! `kyc-tracker` stands between a KYC provider and the partners who send their customers to it: it generates the link,
//! records the user as pending, moves the user when the provider's signed webhook arrives, and answers where a user
//! stands.
//!
//! The map, in reading order:
//!
//! - [`kyc`]: the rules. What a valid request is, and how an observation moves a user. No I/O.
//! - [`issue`], [`once`], [`learn`], [`ingest`], [`import`], [`distrust`], [`reconcile`], [`catch_up`], [`confirm`],
//!   [`overrule`], [`refold`], [`why`]: the verbs. Plain functions over the three below.
//! - [`capa`]: all that is only true of the provider: its calls, its signature, a sandbox that stands in for it.
//! - [`db`]: the store; the only code that knows diesel.
//! - [`web`]: the HTTP face; every route on one screen in `web/routes.rs`.
//! - [`cli`]: one file for each subcommand.
//! - [`app`], [`keys`], [`start_pages`], [`config`], [`error`], [`clock`], [`language`], [`bucket`], [`logging`], [`metrics`],
//!   [`census`]: what all of them stand on.

pub mod app;
pub mod bucket;
pub mod capa;
pub mod catch_up;
pub mod census;
pub mod cli;
pub mod clock;
pub mod config;
pub mod confirm;
pub mod db;
pub mod distrust;
pub mod error;
pub mod flights;
pub mod import;
pub mod ingest;
pub mod issue;
pub mod keys;
pub mod kyc;
pub mod language;
pub mod learn;
pub mod logging;
pub mod metrics;
pub mod once;
pub mod overrule;
#[cfg(test)]
mod proofs;
pub mod random;
pub mod reconcile;
pub mod refold;
pub mod seats;
pub mod sessions;
pub mod start_pages;
pub mod web;
pub mod why;
