//! The table of heartbeats: when something was last written for the sake of writing.

use diesel::prelude::*;

use super::schema::heartbeats;
use super::{Conn, QueryResult};
use crate::clock::Timestamp;

/// Writes the heartbeat of that name.
pub fn beat(conn: &mut Conn, name: &str, now: Timestamp) -> QueryResult<()> {
    let beat = (heartbeats::name.eq(name), heartbeats::at.eq(now));
    diesel::insert_into(heartbeats::table)
        .values(beat)
        .on_conflict(heartbeats::name)
        .do_update()
        .set(heartbeats::at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// When the heartbeat of that name was last written.
pub fn last(conn: &mut Conn, name: &str) -> QueryResult<Option<Timestamp>> {
    heartbeats::table
        .find(name)
        .select(heartbeats::at)
        .get_result(conn)
        .optional()
}

/// Takes the heartbeat of that name away.
pub fn forget(conn: &mut Conn, name: &str) -> QueryResult<()> {
    diesel::delete(heartbeats::table.find(name)).execute(conn)?;
    Ok(())
}
