//! The HTTP face: thin handlers that take a request apart, call one verb or query, and write the answer.

mod admin;
mod admin_page;
mod boundary;
mod button;
mod caps;
mod connection;
pub(crate) mod documents;
mod drop_in;
mod etag;
mod events;
mod extract;
mod health;
pub mod limits;
mod links;
mod metrics;
pub mod openapi;
mod page;
mod refusal;
pub mod routes;
pub mod server;
mod start;
mod users;
mod webhooks;
