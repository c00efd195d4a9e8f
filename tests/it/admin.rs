//! `GET /v1/admin/…`: what admins are told, and that nobody else is.
