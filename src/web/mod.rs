//! The HTTP face: thin handlers that take a request apart, call one verb or query, and write the answer.

mod admin;
mod boundary;
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
pub mod openapi;
mod refusal;
pub mod routes;
pub mod server;
mod users;
mod webhooks;
