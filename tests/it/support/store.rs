//! The database file from the outside: filled before the service starts, and looked through when it is gone.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_migrations::MigrationHarness;
use kyc_tracker::clock::Clock;
use kyc_tracker::db::users::{self, NewUser, User};
use kyc_tracker::db::{Conn, MIGRATIONS, deliveries, transitions};
use kyc_tracker::kyc::status::Status;
use kyc_tracker::kyc::verification::{Event, Outcome, State, TrustPolicy, apply};

use super::ACME;
use super::load::{Book, number};

/// A connection to the file, as anybody might have one.
pub fn connect(database: &Path) -> Conn {
    Conn::establish(database.to_str().unwrap()).unwrap()
}

/// Registers a user of acme who has both ids alike.
pub fn register(conn: &mut Conn, clock: &Clock, id: &str) -> QueryResult<User> {
    let new = NewUser {
        id: clock.id(),
        partner: ACME.id,
        user_id: id,
        external_user_id: id,
        country: "DO",
        redirect_uri: None,
        status: Status::Pending,
        heard: false,
    };
    transitions::register(conn, &new, clock.now())
}

/// Makes the file, with so many users of acme.
pub fn populate(database: &Path, users: u64) {
    let mut conn = connect(database);
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    let clock = Clock::system();
    let registered = conn.immediate_transaction(|conn| {
        for user in 0..users {
            register(conn, &clock, &format!("u{user}"))?;
        }
        QueryResult::Ok(())
    });
    registered.unwrap();
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut Conn, query: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(query).load(conn).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    user_key: String,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The numbers of the webhooks that are in the file.
pub fn stored(conn: &mut Conn) -> BTreeSet<u64> {
    let bodies = lines(conn, "SELECT CAST(body AS TEXT) AS line FROM deliveries");
    let count = bodies.len();
    let numbers: BTreeSet<u64> = bodies.iter().map(|body| number(body.as_bytes())).collect();
    assert_eq!(numbers.len(), count, "a webhook is stored twice");
    numbers
}

/// Fails unless all that was acknowledged is stored, and all that is stored agrees.
pub fn check(database: &Path, book: &Book) {
    let mut conn = connect(database);
    let stored = stored(&mut conn);
    let acknowledged = book.acknowledged.borrow();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    let (count, of) = (lost.len(), acknowledged.len());
    assert!(
        lost.is_empty(),
        "{count} of {of} that were acknowledged are lost: {lost:?}"
    );
    let integrity = "SELECT integrity_check AS line FROM pragma_integrity_check";
    assert_eq!(lines(&mut conn, integrity), ["ok"]);
    check_sequence(&mut conn);
    let users = lines(&mut conn, "SELECT user_id AS line FROM users");
    for id in users {
        let user = users::find(&mut conn, ACME.id, &id).unwrap().unwrap();
        check_user(&mut conn, &user);
    }
}

/// The partner's transitions are numbered without gaps, and none has the version of another of the same user.
fn check_sequence(conn: &mut Conn) {
    let steps =
        "SELECT seq, user_key, version FROM transitions WHERE partner = 'acme' ORDER BY seq";
    let steps: Vec<Step> = diesel::sql_query(steps).load(conn).unwrap();
    assert!(steps.iter().map(|step| step.seq).eq(1..=steps.len() as i64));
    let versions: BTreeSet<_> = steps
        .iter()
        .map(|step| (&step.user_key, step.version))
        .collect();
    assert_eq!(versions.len(), steps.len());
}

/// The user stands where the webhooks that are stored lead to, and its history tells the same.
fn check_user(conn: &mut Conn, user: &User) {
    let mut state = State::registered(false);
    let mut history = vec![(None, Status::Pending)];
    for delivery in deliveries::of_user(conn, user).unwrap() {
        let event = Event {
            target: Status::from_event(&delivery.event.unwrap()).unwrap(),
            seen_before: false,
            session_noted: false,
            unmatched: false,
        };
        let (after, outcome) = apply(state, event, TrustPolicy::Never, true);
        assert_eq!(outcome, delivery.outcome, "{}", user.user_id);
        if outcome == Outcome::Applied {
            history.push((Some(state.shown()), after.shown()));
        }
        state = after;
    }
    // An import takes a verdict for heard that no delivery tells of.
    state.heard |= user.heard;
    assert_eq!(state, user.state(), "{}", user.user_id);
    let told = transitions::of_user(conn, user).unwrap();
    let told = told
        .iter()
        .map(|transition| (transition.from_status, transition.to_status));
    assert_eq!(told.collect::<Vec<_>>(), history, "{}", user.user_id);
}
