//! All that is only true of this provider, Capa: its calls, its signature, its words, and a stand-in for trying it.
//!
//! Facts about it cite the page of its documentation they come from. Nothing here knows the database.

mod answer;
pub mod client;
pub mod details;
pub mod gate;
mod meter;
pub mod notifications;
mod object;
pub mod payload;
pub mod sandbox;
pub mod signature;
pub mod users;
