//! The table of acts: what admins had done about a user without setting its status, append-only. Where they set it, that is in
//! [`super::overrides`].

use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::schema::acts;
use super::{Conn, QueryResult};
use crate::clock::Timestamp;

/// A look at the provider was asked for.
pub const CONFIRM: &str = "confirm";
/// A delivery was folded once more.
pub const REFOLD: &str = "refold";

/// One act of an admin.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = acts, check_for_backend(Sqlite))]
pub struct Act {
    /// Sorts by the time of the act.
    pub id: String,
    /// The key of the user.
    pub user_key: String,
    /// Who did it, by the name in the configuration.
    pub admin: String,
    /// [`CONFIRM`] or [`REFOLD`].
    pub kind: String,
    /// The delivery that was folded again.
    pub delivery_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Writes an act down.
pub fn record(conn: &mut Conn, act: &Act) -> QueryResult<()> {
    diesel::insert_into(acts::table).values(act).execute(conn)?;
    Ok(())
}

/// All acts about a user, oldest first.
pub fn of_user(conn: &mut Conn, user_key: &str) -> QueryResult<Vec<Act>> {
    acts::table
        .filter(acts::user_key.eq(user_key))
        .order(acts::id)
        .select(Act::as_select())
        .load(conn)
}
