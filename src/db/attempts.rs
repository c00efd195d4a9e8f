//! The table of attempts: the provider's session of each, as far as it is known.

use diesel::prelude::*;

use super::schema::attempts;
use super::{Conn, QueryResult};
use crate::kyc::sessions::Session;

/// A session of the provider's, by its own id and time.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct KnownSession {
    /// The attempt it belongs to.
    pub attempt: i64,
    /// The provider's id of it; `None` where the attempt ended and the provider knew of no session.
    pub id: Option<String>,
    /// When it was created, in microseconds of the provider's clock.
    pub created_at: Option<i64>,
}

impl KnownSession {
    /// As the rule takes it.
    pub fn as_session(&self) -> Option<Session<'_>> {
        self.id.as_deref().map(|id| Session {
            id,
            created_at: self.created_at,
        })
    }
}

/// All that is known of a user's sessions, oldest attempt first.
pub fn of_user(conn: &mut Conn, user_key: &str) -> QueryResult<Vec<KnownSession>> {
    attempts::table
        .filter(attempts::user_key.eq(user_key))
        .order(attempts::attempt)
        .select((
            attempts::attempt,
            attempts::session_id,
            attempts::session_created_at,
        ))
        .load(conn)
}

/// Notes the latest session of an attempt, in the place of one known before; `None` notes that there is none.
pub fn note(
    conn: &mut Conn,
    user_key: &str,
    attempt: i64,
    session: Option<Session<'_>>,
) -> QueryResult<()> {
    let known = (
        attempts::session_id.eq(session.map(|session| session.id)),
        attempts::session_created_at.eq(session.and_then(|session| session.created_at)),
    );
    diesel::insert_into(attempts::table)
        .values((
            attempts::user_key.eq(user_key),
            attempts::attempt.eq(attempt),
            known,
        ))
        .on_conflict((attempts::user_key, attempts::attempt))
        .do_update()
        .set(known)
        .execute(conn)?;
    Ok(())
}

/// Whether the session of any attempt before `attempt` is known.
pub fn knows_one_before(conn: &mut Conn, user_key: &str, attempt: i64) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        attempts::table
            .filter(attempts::user_key.eq(user_key))
            .filter(attempts::attempt.lt(attempt))
            .filter(attempts::session_id.is_not_null()),
    ))
    .get_result(conn)
}
