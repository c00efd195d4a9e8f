//! The table of stamps: what a database is for, written at its first start and never changed.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::schema::stamps;
use super::{Conn, QueryResult};

/// The name of the stamp that says which environment of the provider the users belong to.
pub const ENVIRONMENT: &str = "environment";

/// The stamp of that name; none where the database has no such table yet.
pub fn find(conn: &mut Conn, name: &str) -> QueryResult<Option<String>> {
    #[derive(QueryableByName)]
    struct Tables {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let tables: Tables = diesel::sql_query(
        "SELECT COUNT(*) AS count FROM sqlite_schema WHERE type = 'table' AND name = 'stamps'",
    )
    .get_result(conn)?;
    if tables.count == 0 {
        return Ok(None);
    }
    stamps::table
        .find(name)
        .select(stamps::value)
        .first(conn)
        .optional()
}

/// Writes the stamp of that name where there is none; one that is there stays. It takes the lock of the writer only then, so
/// that a command can start beside one that holds it.
pub fn keep(conn: &mut Conn, name: &str, value: &str) -> QueryResult<()> {
    if find(conn, name)?.is_some() {
        return Ok(());
    }
    diesel::insert_into(stamps::table)
        .values((stamps::name.eq(name), stamps::value.eq(value)))
        .on_conflict(stamps::name)
        .do_nothing()
        .execute(conn)?;
    Ok(())
}
