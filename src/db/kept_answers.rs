//! The table of kept answers: what requests with an `Idempotency-Key` were answered within the last day.

use diesel::prelude::*;
use diesel::result::Error::SerializationError;
use serde::Serialize;

use super::schema::kept_answers;
use super::{Conn, QueryResult};
use crate::clock::Timestamp;

/// Answers that are too old are removed as new ones come, so many at a time.
const REMOVED_AT_ONCE: i64 = 32;

/// An answer that is kept.
#[derive(Queryable)]
pub struct KeptAnswer {
    /// The MAC of the body that it answers.
    pub body_mac: Vec<u8>,
    /// The answer as JSON, in the form of the code that keeps it.
    pub answer: String,
}

/// What the partner's request with that name was answered after `since`.
pub fn find(
    conn: &mut Conn,
    partner: &str,
    name: &str,
    since: Timestamp,
) -> QueryResult<Option<KeptAnswer>> {
    kept_answers::table
        .find((partner, name))
        .filter(kept_answers::kept_at.gt(since))
        .select((kept_answers::body_mac, kept_answers::answer))
        .first(conn)
        .optional()
}

/// Keeps an answer and the MAC of its body, in the place of one of the same name, and removes some of those that were kept
/// before `since`.
pub fn keep(
    conn: &mut Conn,
    (partner, name): (&str, &str),
    (body_mac, answer): (&[u8], &impl Serialize),
    now: Timestamp,
    since: Timestamp,
) -> QueryResult<()> {
    let answer = serde_json::to_string(answer);
    let answer = answer.map_err(|error| SerializationError(Box::new(error)))?;
    let old: Vec<(String, String)> = kept_answers::table
        .filter(kept_answers::kept_at.le(since))
        .order(kept_answers::kept_at)
        .limit(REMOVED_AT_ONCE)
        .select((kept_answers::partner, kept_answers::name))
        .load(conn)?;
    for (partner, name) in &old {
        diesel::delete(kept_answers::table.find((partner, name))).execute(conn)?;
    }
    let row = (
        kept_answers::body_mac.eq(body_mac),
        kept_answers::answer.eq(&answer),
        kept_answers::kept_at.eq(now),
    );
    diesel::insert_into(kept_answers::table)
        .values((
            kept_answers::partner.eq(partner),
            kept_answers::name.eq(name),
            row,
        ))
        .on_conflict((kept_answers::partner, kept_answers::name))
        .do_update()
        .set(row)
        .execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::in_memory;

    #[test]
    fn the_table_holds_what_came_within_the_time_and_little_more() {
        let mut conn = in_memory();
        for at in 0..200 {
            let name = format!("k{at}");
            let (now, since) = (Timestamp(at), Timestamp(at - 50));
            keep(&mut conn, ("acme", &name), (&[7], &"answer"), now, since).unwrap();
        }
        let rows: i64 = kept_answers::table.count().get_result(&mut conn).unwrap();
        assert_eq!(rows, 50);
        let mut found = |name| {
            find(&mut conn, "acme", name, Timestamp(149))
                .unwrap()
                .is_some()
        };
        assert_eq!(
            (found("k149"), found("k150"), found("k199")),
            (false, true, true)
        );
    }
}
