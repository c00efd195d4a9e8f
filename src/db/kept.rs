//! Updates that are prepared once.
//!
//! diesel prepares each update anew, because its changesets may leave columns out from one time to the next. For SQLite
//! that costs several times what the update itself does. What is written here has every column every time, so that its
//! prepared form is kept.

use diesel::expression::AppearsOnTable;
use diesel::prelude::*;
use diesel::query_builder::{AsChangeset, AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;

use super::{Conn, QueryResult};

/// An update of the rows that `filter` finds.
struct Kept<From, Set, Filter> {
    table: From,
    set: Set,
    filter: Filter,
}

/// Makes the changes to the rows of the table that `filter` finds; answers how many they are.
///
/// A changeset that leaves a column out when it is `None` does not belong here.
pub fn update<T, Filter, Changes>(
    conn: &mut Conn,
    table: T,
    filter: Filter,
    changes: Changes,
) -> QueryResult<usize>
where
    T: Table,
    T::FromClause: QueryFragment<Sqlite>,
    Filter: Expression<SqlType = Bool> + AppearsOnTable<T> + QueryFragment<Sqlite>,
    Changes: AsChangeset<Target = T>,
    Changes::Changeset: QueryFragment<Sqlite>,
{
    let kept = Kept {
        table: table.from_clause(),
        set: changes.as_changeset(),
        filter,
    };
    kept.execute(conn)
}

impl<From, Set, Filter> QueryFragment<Sqlite> for Kept<From, Set, Filter>
where
    From: QueryFragment<Sqlite>,
    Set: QueryFragment<Sqlite>,
    Filter: QueryFragment<Sqlite>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE ");
        self.table.walk_ast(out.reborrow())?;
        out.push_sql(" SET ");
        self.set.walk_ast(out.reborrow())?;
        out.push_sql(" WHERE ");
        self.filter.walk_ast(out)
    }
}

/// It is kept under its text.
impl<From, Set, Filter> QueryId for Kept<From, Set, Filter> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<From, Set, Filter> RunQueryDsl<Conn> for Kept<From, Set, Filter> {}
