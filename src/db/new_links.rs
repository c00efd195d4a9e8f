//! The table of new links: how many the provider was asked for, for each user, on the last day on which it was.

use diesel::prelude::*;

use super::schema::new_links;
use super::{Conn, QueryResult};

/// How many were asked for on that day.
pub fn made(conn: &mut Conn, user_key: &str, day: i64) -> QueryResult<i64> {
    let made: Option<i64> = new_links::table
        .find(user_key)
        .filter(new_links::day.eq(day))
        .select(new_links::made)
        .first(conn)
        .optional()?;
    Ok(made.unwrap_or(0))
}

/// Writes down that so many were asked for on that day, before the last of them is.
pub fn set(conn: &mut Conn, user_key: &str, day: i64, made: i64) -> QueryResult<()> {
    let row = (new_links::day.eq(day), new_links::made.eq(made));
    diesel::insert_into(new_links::table)
        .values((new_links::user_key.eq(user_key), row))
        .on_conflict(new_links::user_key)
        .do_update()
        .set(row)
        .execute(conn)?;
    Ok(())
}

/// Takes one back that was counted on that day and not made.
pub fn give_back(conn: &mut Conn, user_key: &str, day: i64) -> QueryResult<()> {
    let counted = new_links::table
        .find(user_key)
        .filter(new_links::day.eq(day))
        .filter(new_links::made.gt(0));
    diesel::update(counted)
        .set(new_links::made.eq(new_links::made - 1))
        .execute(conn)?;
    Ok(())
}
