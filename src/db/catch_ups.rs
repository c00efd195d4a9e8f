//! The table of catch-ups: where looking at everybody after a standstill has got to, so that a restart goes on there.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::schema::catch_ups;
use super::{Conn, QueryResult};
use crate::clock::Timestamp;

/// A partner whose users are being caught up with.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = catch_ups, check_for_backend(Sqlite))]
pub struct CatchUp {
    /// Whose users.
    pub partner: String,
    /// When the service was last seen alive before the standstill.
    pub gap_from: Timestamp,
    /// When it came back.
    pub gap_to: Timestamp,
    /// Whether the provider's own list of failed webhooks has been read.
    pub ledger_read: bool,
    /// The key of the last user who was looked at; empty at the beginning.
    pub cursor: String,
}

/// Where every partner is that has not caught up.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<CatchUp>> {
    catch_ups::table.select(CatchUp::as_select()).load(conn)
}

/// Writes down where a partner is.
pub fn save(conn: &mut Conn, catch_up: &CatchUp) -> QueryResult<()> {
    diesel::insert_into(catch_ups::table)
        .values(catch_up)
        .on_conflict(catch_ups::partner)
        .do_update()
        .set(catch_up)
        .execute(conn)?;
    Ok(())
}

/// The partner has caught up.
pub fn done(conn: &mut Conn, partner: &str) -> QueryResult<()> {
    diesel::delete(catch_ups::table.find(partner)).execute(conn)?;
    Ok(())
}
