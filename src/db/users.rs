//! The table of users, and every query of it.
//!
//! Each query says whose users it means: `of(partner)` is where those of one user begin, and a list's filter names the
//! partner. Only an admin's list may name none.

mod list;

use std::ops::Deref;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::kept;
use super::schema::users;
use super::{Conn, QueryResult, exactly_one};
use crate::clock::Timestamp;
use crate::kyc::looks::STALLED;
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::{State, Trust, Unconfirmed};

pub use list::{Attention, Filter, list};

/// Of a row: a `verified` that reads `in_review`, because no check confirmed it in time or one denied it.
const IS_UNCONFIRMED: &str =
    "(status = 'verified' AND COALESCE(unconfirmed, 'believed') <> 'believed')";

/// One person of one partner.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(Sqlite))]
pub struct User {
    /// Our own key of the row; sorts by the time of registration.
    pub id: String,
    /// The partner whose user it is.
    pub partner: String,
    /// The provider's id.
    pub user_id: String,
    /// The partner's own id, the only one that webhooks carry.
    pub external_user_id: String,
    /// The country whose KYC template is used.
    pub country: String,
    /// Where the provider sends the user afterwards.
    pub redirect_uri: Option<String>,
    /// Number of the current attempt.
    pub attempt: i64,
    /// The stored status; [`UserNow`] has what may be shown.
    pub status: Status,
    /// What an event says that waits for a check.
    pub held: Option<Status>,
    /// What moved the status last.
    pub source: Source,
    /// Grows by one with every change a reader could see.
    pub version: i64,
    /// The provider's session of this attempt; whoever has it can act as the user. Gone once decided.
    pub kyc_link: Option<String>,
    /// When the provider gave that link.
    pub link_created_at: Option<Timestamp>,
    /// When the user was registered.
    pub created_at: Timestamp,
    /// When a reader could last see a change.
    pub updated_at: Timestamp,
    /// When the current attempt was decided.
    pub decided_at: Option<Timestamp>,
    /// Whether an admin has set the status of this attempt.
    pub overridden: bool,
    /// Whether a person must see why hints and provider disagree.
    pub conflict: bool,
    /// When the provider last agreed with the status.
    pub confirmed_at: Option<Timestamp>,
    /// The last delivery, from which [`super::deliveries`] go back one by one.
    pub last_delivery: Option<String>,
    /// The number of the last transition, from which [`super::transitions`] go back one by one.
    pub last_transition: Option<i64>,
    /// Whether a verdict about the user was ever delivered or read.
    pub heard: bool,
    /// What is known against a verdict that a webhook set and no check has confirmed.
    pub unconfirmed: Option<Unconfirmed>,
    /// When that verdict was applied.
    pub unconfirmed_at: Option<Timestamp>,
    /// When the current attempt opened.
    pub opened_at: Timestamp,
}

/// From when a user is read, and how long a `verified` may stand unconfirmed.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The present moment.
    pub now: Timestamp,
    /// The setting `webhooks.unconfirmed_for`.
    pub unconfirmed_for: Duration,
}

impl View {
    /// The present moment, for users of a partner who is trusted so far.
    pub fn new(now: Timestamp, trust: Trust) -> View {
        View {
            now,
            unconfirmed_for: trust.unconfirmed_for,
        }
    }

    /// Whether a verdict applied at that moment has been unconfirmed for too long.
    pub fn has_passed(self, applied_at: Timestamp) -> bool {
        self.now.age(applied_at, Duration::MAX) >= self.unconfirmed_for
    }
}

/// A user as it reads at one moment: a `verified` that nothing confirmed in time is in doubt, whether that is written down
/// already or not. Nothing shows a user to a reader but through this.
#[derive(Clone, Debug)]
pub struct UserNow(User);

impl UserNow {
    /// The user itself.
    pub fn into_inner(self) -> User {
        self.0
    }
}

impl Deref for UserNow {
    type Target = User;

    fn deref(&self) -> &User {
        &self.0
    }
}

impl User {
    /// The part that the rule knows.
    pub fn state(&self) -> State {
        State {
            attempt: self.attempt,
            status: self.status,
            held: self.held,
            overridden: self.overridden,
            heard: self.heard,
            unconfirmed: self.unconfirmed,
        }
    }

    /// The part that the rule knows, as it reads at that moment.
    pub fn state_at(&self, view: View) -> State {
        let state = self.state();
        let unconfirmed = match self.has_timed_out(view) {
            true => Some(Unconfirmed::TimedOut),
            false => state.unconfirmed,
        };
        State {
            unconfirmed,
            ..state
        }
    }

    /// The user as it reads at that moment. Where that is in doubt and the row is not yet, the version is one higher, as it will
    /// be once the doubt is written down.
    pub fn at(mut self, view: View) -> UserNow {
        if let Some(deadline) = self.times_out_at(view).filter(|_| self.has_timed_out(view)) {
            let (before, after) = (self.state(), self.state_at(view));
            self.unconfirmed = after.unconfirmed;
            if after.shown() != before.shown() {
                self.version += 1;
                self.source = Source::Provider;
                self.updated_at = deadline.min(view.now).max(self.updated_at);
            }
        }
        UserNow(self)
    }

    /// Whether the verdict has been unconfirmed for too long and the row does not say so yet.
    pub fn has_timed_out(&self, view: View) -> bool {
        let applied_at = self.unconfirmed_at.filter(|_| self.state().is_believed());
        applied_at.is_some_and(|at| view.has_passed(at))
    }

    /// When the user comes into doubt by time alone, if it may.
    pub fn times_out_at(&self, view: View) -> Option<Timestamp> {
        let applied_at = self.unconfirmed_at.filter(|_| self.state().is_believed());
        applied_at.map(|at| at.plus(view.unconfirmed_for))
    }

    /// When the verdict was reached that readers are told; `None` while there is none.
    pub fn shown_decided_at(&self) -> Option<Timestamp> {
        let decided = self.state().shown().is_final();
        self.decided_at.filter(|_| decided)
    }

    /// When the provider last confirmed what readers are told.
    pub fn as_of(&self) -> Option<Timestamp> {
        let doubted = self.state().needs_confirmation();
        self.confirmed_at.filter(|_| !doubted)
    }
}

/// A user to be registered, in attempt 1.
pub struct NewUser<'a> {
    /// The key of the row.
    pub id: String,
    /// The partner whose user it will be.
    pub partner: &'a str,
    /// The provider's id.
    pub user_id: &'a str,
    /// The partner's own id.
    pub external_user_id: &'a str,
    /// The country whose KYC template is used.
    pub country: &'a str,
    /// Where the provider sends the user afterwards.
    pub redirect_uri: Option<&'a str>,
    /// The user's status; an import may bring any.
    pub status: Status,
    /// Whether a verdict about the user was delivered before.
    pub heard: bool,
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of<'a>(partner: &'a str) -> _ {
    users::table.filter(users::partner.eq(partner))
}

/// The partner's user with that provider's id.
pub fn find(conn: &mut Conn, partner: &str, user_id: &str) -> QueryResult<Option<User>> {
    of(partner)
        .filter(users::user_id.eq(user_id))
        .select(User::as_select())
        .get_result(conn)
        .optional()
}

/// The partner's user with that id of the partner's own.
pub fn by_external_id(
    conn: &mut Conn,
    partner: &str,
    external_user_id: &str,
) -> QueryResult<Option<User>> {
    of(partner)
        .filter(users::external_user_id.eq(external_user_id))
        .select(User::as_select())
        .get_result(conn)
        .optional()
}

/// The user with that key of ours.
pub fn by_key(conn: &mut Conn, key: &str) -> QueryResult<User> {
    users::table
        .find(key)
        .select(User::as_select())
        .get_result(conn)
}

/// The user with that key of ours, if there is one: for a key that came from outside, signed.
pub fn find_by_key(conn: &mut Conn, key: &str) -> QueryResult<Option<User>> {
    by_key(conn, key).optional()
}

/// Every partner's user with that provider's id, with its key.
pub fn with_user_id(conn: &mut Conn, user_id: &str) -> QueryResult<Vec<User>> {
    users::table
        .filter(users::user_id.eq(user_id))
        .order(users::id)
        .select(User::as_select())
        .load(conn)
}

/// Registers a user without a link, by the transition of that number and source.
pub fn insert(
    conn: &mut Conn,
    new: &NewUser<'_>,
    (transition, source): (i64, Source),
    now: Timestamp,
) -> QueryResult<User> {
    let user = User {
        id: new.id.clone(),
        partner: new.partner.to_owned(),
        user_id: new.user_id.to_owned(),
        external_user_id: new.external_user_id.to_owned(),
        country: new.country.to_owned(),
        redirect_uri: new.redirect_uri.map(str::to_owned),
        attempt: 1,
        status: new.status,
        held: None,
        source,
        version: 1,
        kyc_link: None,
        link_created_at: None,
        created_at: now,
        updated_at: now,
        decided_at: new.status.is_final().then_some(now),
        overridden: false,
        conflict: false,
        confirmed_at: None,
        last_delivery: None,
        last_transition: Some(transition),
        heard: new.heard || new.status.is_final(),
        unconfirmed: None,
        unconfirmed_at: None,
        opened_at: now,
    };
    diesel::insert_into(users::table)
        .values((
            users::id.eq(&user.id),
            users::partner.eq(&user.partner),
            users::user_id.eq(&user.user_id),
            users::external_user_id.eq(&user.external_user_id),
            users::country.eq(&user.country),
            users::redirect_uri.eq(&user.redirect_uri),
            users::attempt.eq(user.attempt),
            users::status.eq(user.status),
            users::source.eq(user.source),
            users::version.eq(user.version),
            users::created_at.eq(user.created_at),
            users::updated_at.eq(user.updated_at),
            users::decided_at.eq(user.decided_at),
            users::last_transition.eq(user.last_transition),
            users::heard.eq(user.heard),
            users::opened_at.eq(user.opened_at),
        ))
        .execute(conn)?;
    Ok(user)
}

/// Writes what has changed of how a user stands, whose version was `before`. No index knows of any of it.
///
/// # Errors
/// [`diesel::NotFound`] when the row has moved on since it was read.
pub fn update(conn: &mut Conn, before: i64, user: &User) -> QueryResult<()> {
    let rows = kept::update(
        conn,
        users::table,
        users::id.eq(&user.id).and(users::version.eq(before)),
        (
            users::attempt.eq(user.attempt),
            users::status.eq(user.status),
            users::held.eq(user.held),
            users::source.eq(user.source),
            users::version.eq(user.version),
            users::kyc_link.eq(&user.kyc_link),
            users::link_created_at.eq(user.link_created_at),
            users::updated_at.eq(user.updated_at),
            users::decided_at.eq(user.decided_at),
            users::overridden.eq(user.overridden),
            users::last_delivery.eq(&user.last_delivery),
            users::last_transition.eq(user.last_transition),
            users::heard.eq(user.heard),
            users::unconfirmed.eq(user.unconfirmed),
            users::unconfirmed_at.eq(user.unconfirmed_at),
            users::opened_at.eq(user.opened_at),
        ),
    )?;
    exactly_one(rows)
}

/// Who a user is, which a link request may change.
pub fn description(user: &User) -> (&str, &str, Option<&str>) {
    let redirect_uri = user.redirect_uri.as_deref();
    (&user.external_user_id, &user.country, redirect_uri)
}

/// Writes the [`description`] of a user, which [`update`] leaves alone.
pub fn describe(conn: &mut Conn, user: &User) -> QueryResult<()> {
    let (external_user_id, country, redirect_uri) = description(user);
    let rows = diesel::update(users::table.find(&user.id))
        .set((
            users::external_user_id.eq(external_user_id),
            users::country.eq(country),
            users::redirect_uri.eq(redirect_uri),
        ))
        .execute(conn)?;
    exactly_one(rows)
}

/// Writes down the last delivery of a user that it did not move.
pub fn chain(conn: &mut Conn, user: &User) -> QueryResult<()> {
    let rows = kept::update(
        conn,
        users::table,
        users::id.eq(&user.id),
        users::last_delivery.eq(&user.last_delivery),
    )?;
    exactly_one(rows)
}

/// How many of a partner's users stand where.
#[derive(Default, QueryableByName)]
pub struct Count {
    /// Whose they are; empty where nobody's or everybody's.
    #[diesel(sql_type = Text)]
    pub partner: String,
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = BigInt)]
    submitted: i64,
    #[diesel(sql_type = BigInt)]
    in_review: i64,
    #[diesel(sql_type = BigInt)]
    verified: i64,
    #[diesel(sql_type = BigInt)]
    rejected: i64,
    /// Verified users in doubt, who are shown as in review.
    #[diesel(sql_type = BigInt)]
    pub doubted: i64,
    /// Of whom an event waits for a check, whether readers are told or not.
    #[diesel(sql_type = BigInt)]
    pub held: i64,
    /// Whose `verified` was not confirmed in time.
    #[diesel(sql_type = BigInt)]
    pub unconfirmed: i64,
    /// Whose last answer of the provider was unusable.
    #[diesel(sql_type = BigInt)]
    pub unusable: i64,
    /// About whom the provider and what it sent disagree.
    #[diesel(sql_type = BigInt)]
    pub conflict: i64,
    /// Of whom nothing has been heard for so long that they are only looked at weekly.
    #[diesel(sql_type = BigInt)]
    pub stalled: i64,
    /// When a reader could last see a change of that one of the pending who has not changed for the longest time.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub oldest_pending: Option<Timestamp>,
}

impl Count {
    /// How many are shown with that status.
    pub fn shown(&self, status: Status) -> i64 {
        match status {
            Status::Pending => self.pending,
            Status::Submitted => self.submitted,
            Status::InReview => self.in_review + self.doubted,
            Status::Verified => self.verified - self.doubted,
            Status::Rejected => self.rejected,
        }
    }

    /// Adds those of another partner.
    pub fn add(&mut self, other: &Count) {
        self.pending += other.pending;
        self.submitted += other.submitted;
        self.in_review += other.in_review;
        self.verified += other.verified;
        self.rejected += other.rejected;
        self.doubted += other.doubted;
        self.held += other.held;
        self.unconfirmed += other.unconfirmed;
        self.unusable += other.unusable;
        self.conflict += other.conflict;
        self.stalled += other.stalled;
        let oldest = self.oldest_pending.into_iter().chain(other.oldest_pending);
        self.oldest_pending = oldest.min();
    }
}

/// Counts all users, which takes a second for a million.
///
/// Of the indexes that begin with the partner, the one named has users in the order in which they lie in the table; by another
/// it would take four times as long, and to sort them would take much memory.
pub fn counts(conn: &mut Conn) -> QueryResult<Vec<Count>> {
    let counts = format!(
        "SELECT partner, SUM(status = 'pending') AS pending, SUM(status = 'submitted') AS submitted,
            SUM(status = 'in_review') AS in_review, SUM(status = 'verified') AS verified,
            SUM(status = 'rejected') AS rejected, SUM(status = 'verified' AND held IS NOT NULL OR {IS_UNCONFIRMED}) AS doubted,
            SUM(held IS NOT NULL) AS held, SUM({IS_UNCONFIRMED}) AS unconfirmed,
            SUM(unusable IS NOT NULL) AS unusable, SUM(conflict) AS conflict, SUM(step = ?) AS stalled,
            MIN(CASE WHEN status = 'pending' THEN updated_at END) AS oldest_pending
        FROM users INDEXED BY users_by_registration GROUP BY partner"
    );
    diesel::sql_query(counts)
        .bind::<BigInt, _>(STALLED)
        .load(conn)
}
