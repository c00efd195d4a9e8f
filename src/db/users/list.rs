//! Lists of users: whom they show, in which order, and how those are found whose ids begin alike.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel::sqlite::Sqlite;

use super::{IS_UNCONFIRMED, User, UserNow, View, of};
use crate::clock::{SET_BACK, Timestamp};
use crate::db::schema::users;
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::STALLED;
use crate::kyc::status::Status;

/// Why a person might have to see to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// An event about it waits for confirmation, whether readers are told or not.
    Held,
    /// The provider and what it sent disagree.
    Conflict,
    /// Nothing has been heard for so long that the user is only checked weekly.
    Stalled,
    /// No check confirmed a `verified` in time.
    Unconfirmed,
    /// The provider's last answer was unusable.
    Unusable,
}

impl Attention {
    /// Every attention.
    pub const ALL: [Attention; 5] = [
        Attention::Held,
        Attention::Conflict,
        Attention::Stalled,
        Attention::Unconfirmed,
        Attention::Unusable,
    ];

    /// The word used in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Attention::Held => "held",
            Attention::Conflict => "conflict",
            Attention::Stalled => "stalled",
            Attention::Unconfirmed => "unconfirmed",
            Attention::Unusable => "unusable",
        }
    }

    /// The attention of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Attention> {
        Attention::ALL
            .into_iter()
            .find(|attention| attention.as_str() == word)
    }
}

/// Which users a list shows; what is `None` does not narrow it.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this partner only.
    pub partner: Option<String>,
    /// Shown with this status.
    pub status: Option<Status>,
    /// Of this country.
    pub country: Option<String>,
    /// With exactly this partner's id.
    pub external_user_id: Option<String>,
    /// Waiting for confirmation, or not.
    pub needs_confirmation: Option<bool>,
    /// Waiting for a person in this way.
    pub attention: Option<Attention>,
    /// Changed at or after this moment.
    pub updated_since: Option<Timestamp>,
    /// Whose `userId` or `externalUserId` begins so.
    pub prefix: Option<String>,
    /// Registered at this moment or later, to the millisecond.
    pub registered_from: Option<Timestamp>,
    /// Registered before this moment, to the millisecond.
    pub registered_before: Option<Timestamp>,
}

/// Up to so many users are gathered by the index that knows how their ids begin. Where more begin so, they are so common that
/// they are found sooner by going through all.
const GATHERED: usize = if cfg!(test) { 40 } else { 20_000 };
/// So many of those are fetched at a time.
const AT_ONCE: usize = GATHERED / 40;

/// A page of users, the newest registration first: at most `limit` of those registered before the one with key `after`.
///
/// With a million users of two partners, whose rows are in memory: a page takes less than a millisecond where many belong on
/// it, and 0.3 to 0.5 s, for a walk through all of them, where hardly anybody does: `rejected` and one country, held, in
/// conflict, changed lately. A span of registration makes that walk as much shorter. The beginning of an id takes 0.03 s at the
/// most where no more than 20,000 users have it, 0.05 s if of those nobody is let through, and 0.4 s where more have it. From a
/// disk the first walk takes as long as to read the table.
pub fn list(
    conn: &mut Conn,
    filter: &Filter,
    view: View,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<UserNow>> {
    let page = page(conn, filter, view, after, limit)?;
    Ok(page.into_iter().map(|user| user.at(view)).collect())
}

fn page(
    conn: &mut Conn,
    filter: &Filter,
    view: View,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<User>> {
    let partner = filter.partner.as_deref();
    let gathered = match &filter.prefix {
        Some(prefix) => beginning_with(conn, partner, prefix)?,
        None => None,
    };
    let Some(keys) = gathered else {
        return newest(conn, narrowed(filter, view, after), limit);
    };
    // What the keys say already is left out, so that nothing but the keys is looked up by an index.
    let further = Filter {
        partner: None,
        prefix: None,
        ..filter.clone()
    };
    let mut page: Vec<User> = Vec::new();
    for keys in keys.chunks(AT_ONCE) {
        let left = limit - i64::try_from(page.len()).unwrap_or(limit);
        if left <= 0 {
            break;
        }
        let some = narrowed(&further, view, after).filter(users::id.eq_any(keys));
        page.extend(newest(conn, some, left)?);
    }
    Ok(page)
}

fn newest(
    conn: &mut Conn,
    some: users::BoxedQuery<'_, Sqlite>,
    limit: i64,
) -> QueryResult<Vec<User>> {
    some.select(User::as_select())
        .order(users::id.desc())
        .limit(limit)
        .load(conn)
}

/// The keys of those one of whose ids begins so, the newest registration first; `None` where they are too many to gather.
fn beginning_with(
    conn: &mut Conn,
    partner: Option<&str>,
    prefix: &str,
) -> QueryResult<Option<Vec<String>>> {
    let partners = match partner {
        Some(partner) => vec![partner.to_owned()],
        None => partners(conn)?,
    };
    let end = after_all_with(prefix);
    let mut keys = Vec::new();
    for partner in &partners {
        let by_user_id = of(partner)
            .filter(users::user_id.ge(prefix))
            .filter(users::user_id.lt(&end));
        let by_external_id = of(partner)
            .filter(users::external_user_id.ge(prefix))
            .filter(users::external_user_id.lt(&end));
        let found = by_user_id.select(users::id).limit(one_too_many(&keys));
        keys.extend(found.load::<String>(conn)?);
        let found = by_external_id.select(users::id).limit(one_too_many(&keys));
        keys.extend(found.load::<String>(conn)?);
    }
    if keys.len() > GATHERED {
        return Ok(None);
    }
    keys.sort_unstable_by(|one, other| other.cmp(one));
    keys.dedup();
    Ok(Some(keys))
}

/// How many more of them say that they are too many.
fn one_too_many(keys: &[String]) -> i64 {
    i64::try_from((GATHERED + 1).saturating_sub(keys.len())).unwrap_or(i64::MAX)
}

/// Everybody who has users, by one step of the index each.
fn partners(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let mut partners: Vec<String> = Vec::new();
    loop {
        let last = partners.last().map_or("", String::as_str);
        let next: Option<String> = users::table
            .filter(users::partner.gt(last))
            .select(diesel::dsl::min(users::partner))
            .get_result(conn)?;
        match next {
            Some(next) => partners.push(next),
            None => return Ok(partners),
        }
    }
}

/// What comes behind every text that begins so. With a range, not with LIKE, a beginning needs no escaping, keeps its case and
/// can use an index.
fn after_all_with(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

type Condition = Box<dyn BoxableExpression<users::table, Sqlite, SqlType = Bool>>;

/// A `verified` that has been unconfirmed for too long, though the row does not say so yet.
fn has_timed_out(view: View) -> Condition {
    let condition = sql::<Bool>(
        "(status = 'verified' AND COALESCE(unconfirmed, '') = 'believed' AND COALESCE(unconfirmed_at <= ",
    )
    .bind::<BigInt, _>(view.now.minus(view.unconfirmed_for))
    .sql(" OR unconfirmed_at > ")
    .bind::<BigInt, _>(view.now.plus(SET_BACK))
    .sql(", FALSE))");
    Box::new(condition)
}

/// A `verified` that no check has confirmed in time.
fn is_unconfirmed(view: View) -> Condition {
    Box::new(sql::<Bool>(IS_UNCONFIRMED).or(has_timed_out(view)))
}

/// A `verified` that reads `in_review`.
fn is_doubted(view: View) -> Condition {
    let held = users::status
        .eq(Status::Verified)
        .and(users::held.is_not_null());
    Box::new(held.or(is_unconfirmed(view)))
}

/// The users that the filter lets through, registered before the one with key `after`.
fn narrowed<'a>(
    filter: &'a Filter,
    view: View,
    after: Option<&'a str>,
) -> users::BoxedQuery<'a, Sqlite> {
    use diesel::dsl::not;

    let mut query = users::table.into_boxed();
    if let Some(partner) = &filter.partner {
        query = query.filter(users::partner.eq(partner));
    }
    if let Some(status) = filter.status {
        query = match status {
            Status::Verified => query.filter(users::status.eq(status).and(not(is_doubted(view)))),
            Status::InReview => query.filter(users::status.eq(status).or(is_doubted(view))),
            _ => query.filter(users::status.eq(status)),
        };
    }
    if let Some(country) = &filter.country {
        query = query.filter(users::country.eq(country));
    }
    if let Some(external_user_id) = &filter.external_user_id {
        query = query.filter(users::external_user_id.eq(external_user_id));
    }
    match filter.needs_confirmation {
        Some(true) => query = query.filter(is_doubted(view)),
        Some(false) => query = query.filter(not(is_doubted(view))),
        None => {}
    }
    match filter.attention {
        Some(Attention::Held) => query = query.filter(users::held.is_not_null()),
        Some(Attention::Conflict) => query = query.filter(users::conflict),
        Some(Attention::Stalled) => query = query.filter(users::step.eq(STALLED)),
        Some(Attention::Unconfirmed) => query = query.filter(is_unconfirmed(view)),
        Some(Attention::Unusable) => query = query.filter(users::unusable.is_not_null()),
        None => {}
    }
    if let Some(since) = filter.updated_since {
        // A user that comes into doubt by time alone changes at that moment.
        let applied_since = sql::<Bool>("COALESCE(unconfirmed_at, 0) >= ")
            .bind::<BigInt, _>(since.minus(view.unconfirmed_for));
        let doubted_since = has_timed_out(view).and(applied_since);
        query = query.filter(users::updated_at.ge(since).or(doubted_since));
    }
    if let Some(prefix) = &filter.prefix {
        let end = after_all_with(prefix);
        let user_id = users::user_id
            .ge(prefix)
            .and(users::user_id.lt(end.clone()));
        let external = users::external_user_id
            .ge(prefix)
            .and(users::external_user_id.lt(end));
        query = query.filter(user_id.or(external));
    }
    if let Some(after) = after {
        query = query.filter(users::id.lt(after));
    }
    if let Some(from) = filter.registered_from {
        query = query.filter(users::id.ge(from.first_id()));
    }
    if let Some(before) = filter.registered_before {
        query = query.filter(users::id.lt(before.first_id()));
    }
    query
}
