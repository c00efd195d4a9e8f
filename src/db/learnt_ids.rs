//! The table of learnt ids: which `externalUserId` belongs to which `userId`, as creating the user at the provider showed.
//!
//! It is a memory for the time until the user is registered, and never moves a user who is.

use diesel::prelude::*;

use super::schema::learnt_ids;
use super::{Conn, QueryResult};

/// Remembers a pair. What was learnt first of a user stays, and the same again changes nothing.
pub fn learn(
    conn: &mut Conn,
    partner: &str,
    user_id: &str,
    external_user_id: &str,
) -> QueryResult<()> {
    diesel::insert_into(learnt_ids::table)
        .values((
            learnt_ids::partner.eq(partner),
            learnt_ids::user_id.eq(user_id),
            learnt_ids::external_user_id.eq(external_user_id),
        ))
        .on_conflict((learnt_ids::partner, learnt_ids::user_id))
        .do_nothing()
        .execute(conn)?;
    Ok(())
}

/// What was learnt of a partner's user, if anything was.
pub fn of(conn: &mut Conn, partner: &str, user_id: &str) -> QueryResult<Option<String>> {
    learnt_ids::table
        .find((partner, user_id))
        .select(learnt_ids::external_user_id)
        .first(conn)
        .optional()
}
