//! The table of overrides: every time an admin set a status by hand, append-only.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::schema::overrides;
use super::{Conn, QueryResult};
use crate::clock::Timestamp;
use crate::kyc::status::Status;

/// One act of an admin.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = overrides, check_for_backend(Sqlite))]
pub struct Override {
    /// Sorts by the time of the act.
    pub id: String,
    /// The key of the user.
    pub user_key: String,
    /// The attempt whose status was set.
    pub attempt: i64,
    /// Who did it, by the name in the configuration.
    pub admin: String,
    /// Why, in the admin's words.
    pub reason: String,
    /// What readers were shown before.
    pub from_status: Status,
    /// What they are shown since.
    pub to_status: Status,
    /// When.
    pub at: Timestamp,
}

/// Writes an act down.
pub fn record(conn: &mut Conn, act: &Override) -> QueryResult<()> {
    diesel::insert_into(overrides::table)
        .values(act)
        .execute(conn)?;
    Ok(())
}

/// The id of the last act about that attempt of a user.
pub fn last_of_attempt(
    conn: &mut Conn,
    user_key: &str,
    attempt: i64,
) -> QueryResult<Option<String>> {
    overrides::table
        .filter(overrides::user_key.eq(user_key))
        .filter(overrides::attempt.eq(attempt))
        .select(diesel::dsl::max(overrides::id))
        .get_result(conn)
}

/// All acts about a user, oldest first.
pub fn of_user(conn: &mut Conn, user_key: &str) -> QueryResult<Vec<Override>> {
    overrides::table
        .filter(overrides::user_key.eq(user_key))
        .order(overrides::id)
        .select(Override::as_select())
        .load(conn)
}
