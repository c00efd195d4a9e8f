//! What is counted of all users together: that each figure is of whom and of when it says, and that asking is cheap.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use kyc_tracker::census::month::{DecisionTimes, Month};
use kyc_tracker::census::{Counted, PATIENCE};
use kyc_tracker::clock::Timestamp;
use kyc_tracker::import::{self, Entry};
use kyc_tracker::kyc::status::Status;
use kyc_tracker::kyc::verification::Outcome;
use serde_json::json;
use tokio::time::timeout;

use crate::support::wire::STUCK;
use crate::support::{ACME, OTHER, Partner, TestApp};

const CREATED: &str = "CREATED_KYC";
const REVIEW: &str = "REVIEW_NEEDED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn ask(app: &TestApp, age: Duration) -> Option<Arc<Counted>> {
    app.app.census.no_older_than(&app.app, age, PATIENCE).await
}

/// Whoever asks again lets an hour pass before, so that it does not matter how long a reading takes.
async fn count(app: &TestApp) -> Arc<Counted> {
    ask(app, SECOND).await.expect("it was not counted in time")
}

async fn overrule(app: &TestApp, user: &str, status: &str) {
    let path = format!("/v1/admin/users/acme/{user}/override");
    let body = json!({"status": status, "reason": "Seen the papers."});
    assert_eq!(app.admin_posts(&path, &body).await.status, 200);
}

async fn import(app: &TestApp, user: &str, status: Status) {
    let (clock, user) = (app.clock.clone(), user.to_owned());
    let believed = app.app.believed(&app.app.config.partners[0]);
    let load = move |conn: &mut kyc_tracker::db::Conn| {
        let entry = Entry {
            user_id: user.clone(),
            external_user_id: user.clone(),
            country: "DO",
            status,
        };
        import::users(conn, &clock, &believed, ACME.id, &[entry])
    };
    app.db().write(load).await.unwrap();
}

/// Registers the user, or opens its next attempt, and lets the event come so much later.
async fn attempt(app: &TestApp, partner: Partner, user: &str, after: Duration, event: &str) {
    app.pending_of(partner, user).await;
    app.clock.advance(after);
    app.deliver_to(partner, event, user).await;
}

/// The verdicts of the last days, oldest first, as verified and rejected.
fn verdicts<const N: usize>(month: &Month) -> [(i64, i64); N] {
    assert_eq!(month.days.len(), 30);
    let pairs = month.days.iter().map(|day| (day.verified, day.rejected));
    pairs.collect::<Vec<_>>()[30 - N..].try_into().unwrap()
}

fn funnel(month: &Month) -> [i64; 3] {
    let funnel = month.funnel;
    [funnel.opened, funnel.submitted, funnel.decided]
}

fn times(median: u32, ninetieth: u32, of: usize) -> Option<DecisionTimes> {
    Some(DecisionTimes {
        median: MINUTE * median,
        ninetieth: MINUTE * ninetieth,
        of,
    })
}

#[actix_web::test]
async fn users_are_counted_as_they_are_shown_for_each_partner_and_for_all() {
    let app = TestApp::new().await;
    attempt(&app, OTHER, "u1", MINUTE, VERIFIED).await;
    app.pending_of(OTHER, "u9").await;
    let second = app.clock.now();
    for user in ["u2", "u3"] {
        attempt(&app, ACME, user, MINUTE, VERIFIED).await;
    }
    app.deliver(REJECTED, "u3").await;
    app.deliver(CREATED, "stranger").await;
    let counted = count(&app).await;
    let [acme, other] = &counted.partners[..] else {
        panic!("{}", counted.partners.len());
    };
    let shown =
        |figures: &kyc_tracker::census::Figures| Status::ALL.map(|one| figures.users.shown(one));
    assert_eq!(shown(acme), [0, 0, 1, 1, 0]);
    assert_eq!(shown(other), [1, 0, 0, 1, 0]);
    assert_eq!(shown(&counted.total), [1, 0, 1, 2, 0]);
    let doubt = |users: &kyc_tracker::db::users::Count| (users.doubted, users.held, users.conflict);
    assert_eq!(doubt(&acme.users), (1, 1, 0));
    assert_eq!(doubt(&counted.total.users), (1, 1, 0));
    assert_eq!((acme.unmatched, counted.total.unmatched), (1, 1));
    assert_eq!(acme.users.oldest_pending, None);
    assert_eq!(counted.total.users.oldest_pending, Some(second));
    assert!(acme.next_check() > other.next_check() && other.next_check().is_some());
    assert_eq!(counted.total.next_check(), other.next_check());
}

#[actix_web::test]
async fn verdicts_are_counted_by_the_day_in_utc_and_a_day_without_any_stands_there_too() {
    let app = TestApp::new().await;
    // It is 19:20. The second verdict is of the next day, although it comes within the same 24 hours.
    attempt(&app, ACME, "u1", HOUR * 4, REJECTED).await;
    attempt(&app, OTHER, "u1", HOUR, VERIFIED).await;
    attempt(&app, ACME, "u2", DAY * 2, VERIFIED).await;
    let counted = count(&app).await;
    let [acme, other] = &counted.partners[..] else {
        panic!("{}", counted.partners.len());
    };
    assert_eq!(verdicts(&acme.month), [(0, 1), (0, 0), (0, 0), (1, 0)]);
    assert_eq!(verdicts(&other.month), [(0, 0), (1, 0), (0, 0), (0, 0)]);
    let total = verdicts(&counted.total.month);
    assert_eq!(total, [(0, 1), (1, 0), (0, 0), (1, 0)]);
    let last = acme.month.days.last().unwrap().begins;
    assert_eq!(last, Timestamp::of_day(counted.at.day()));
}

#[actix_web::test]
async fn a_verdict_counts_as_often_as_it_is_given_and_an_imported_one_is_of_another_day() {
    let app = TestApp::new().await;
    import(&app, "u1", Status::Verified).await;
    attempt(&app, ACME, "u2", HOUR, VERIFIED).await;
    app.deliver(VERIFIED, "u2").await;
    app.clock.advance(DAY);
    app.deliver(REJECTED, "u2").await;
    assert_eq!(app.status("u2").await, "in_review");
    app.clock.advance(DAY);
    overrule(&app, "u2", "verified").await;
    overrule(&app, "u2", "rejected").await;
    import(&app, "u3", Status::InReview).await;
    // An imported user may have had a verdict before, so that a check decides.
    app.truth.says("u3", "DECLINED", "s1");
    app.deliver(REJECTED, "u3").await;
    app.look().await;
    let month = &count(&app).await.total.month;
    assert_eq!(verdicts(month), [(1, 0), (0, 0), (1, 2)]);
}

#[actix_web::test]
async fn verdicts_and_attempts_of_more_than_thirty_days_ago_are_forgotten() {
    let app = TestApp::new().await;
    attempt(&app, ACME, "u1", HOUR, VERIFIED).await;
    app.pending("u2").await;
    app.clock.advance(HOUR * 5);
    attempt(&app, ACME, "u3", HOUR, VERIFIED).await;
    app.clock.advance(DAY * 29);
    // Its attempt is not one of these days, but its verdict is.
    app.deliver(VERIFIED, "u2").await;
    let month = &count(&app).await.total.month;
    let mut verified = month.days.iter().map(|day| day.verified);
    assert_eq!(verified.clone().sum::<i64>(), 2);
    assert_eq!(
        (verified.clone().next(), verified.next_back()),
        (Some(1), Some(1))
    );
    assert_eq!(funnel(month), [1, 1, 1]);
    assert_eq!(month.decision_times(), times(60, 60, 1));
}

#[actix_web::test]
async fn the_funnel_counts_attempts_and_not_users_or_changes() {
    let app = TestApp::new().await;
    // Straight to a verdict, and from there to a second attempt that gets less far.
    attempt(&app, ACME, "u1", MINUTE, REJECTED).await;
    attempt(&app, ACME, "u1", MINUTE, CREATED).await;
    app.deliver(REVIEW, "u1").await;
    // Decided twice, and back at the beginning.
    app.pending("u2").await;
    for status in ["verified", "rejected", "pending", "submitted", "pending"] {
        overrule(&app, "u2", status).await;
    }
    app.pending("u3").await;
    // These have opened none, whatever becomes of them.
    import(&app, "u4", Status::Submitted).await;
    app.truth.says("u4", "APPROVED", "s1");
    app.deliver(VERIFIED, "u4").await;
    app.look().await;
    assert_eq!(app.status("u4").await, "verified");
    import(&app, "u5", Status::Rejected).await;
    attempt(&app, OTHER, "u1", MINUTE, VERIFIED).await;
    let counted = count(&app).await;
    let partners = counted.partners.iter();
    let partners: Vec<_> = partners.map(|figures| funnel(&figures.month)).collect();
    assert_eq!(partners, [[4, 3, 2], [1, 1, 1]]);
    assert_eq!(funnel(&counted.total.month), [5, 4, 3]);
}

#[actix_web::test]
async fn a_decision_takes_from_the_opening_of_its_attempt_to_its_first_verdict() {
    let app = TestApp::new().await;
    app.truth.says("u1", "DECLINED", "s1");
    attempt(&app, ACME, "u1", MINUTE * 10, REJECTED).await;
    app.clock.advance(DAY);
    attempt(&app, ACME, "u1", MINUTE * 20, VERIFIED).await;
    // In a further attempt the check decides that follows at once.
    app.truth.says("u1", "APPROVED", "s2");
    app.look().await;
    assert_eq!(app.status("u1").await, "verified");
    // A verdict that is taken back and given again was given at first.
    app.deliver(REJECTED, "u1").await;
    app.clock.advance(DAY);
    overrule(&app, "u1", "verified").await;
    // What a hand has decided says nothing of how long it takes.
    app.pending("u2").await;
    app.clock.advance(DAY);
    overrule(&app, "u2", "verified").await;
    import(&app, "u3", Status::Verified).await;
    attempt(&app, OTHER, "u1", MINUTE * 40, VERIFIED).await;
    let counted = count(&app).await;
    let [acme, other] = &counted.partners[..] else {
        panic!("{}", counted.partners.len());
    };
    assert_eq!(acme.month.decision_times(), times(10, 20, 2));
    assert_eq!(other.month.decision_times(), times(40, 40, 1));
    assert_eq!(counted.total.month.decision_times(), times(20, 40, 3));
}

#[actix_web::test]
async fn where_nothing_was_decided_no_time_is_told() {
    let app = TestApp::new().await;
    attempt(&app, ACME, "u1", MINUTE, CREATED).await;
    let counted = count(&app).await;
    assert_eq!(counted.total.month.decision_times(), None);
    assert_eq!(counted.at, app.clock.now());
}

#[actix_web::test]
async fn deliveries_are_counted_by_when_they_came_first() {
    let app = TestApp::new().await;
    attempt(&app, ACME, "u1", MINUTE, CREATED).await;
    app.clock.advance(HOUR * 23);
    app.deliver(REVIEW, "u1").await;
    app.deliver(CREATED, "u1").await;
    app.clock.advance(HOUR + SECOND);
    // Counted on the row of the one that it repeats.
    app.deliver(REVIEW, "u1").await;
    app.deliver(VERIFIED, "u1").await;
    app.deliver_to(OTHER, VERIFIED, "stranger").await;
    app.clock.advance(HOUR);
    let counted = count(&app).await;
    let came = |figures: &kyc_tracker::census::Figures| {
        let (hour, day) = (&figures.deliveries.hour, &figures.deliveries.day);
        let of = |outcome| (hour.of(outcome), day.of(outcome));
        [Outcome::Applied, Outcome::Stale, Outcome::Unmatched].map(of)
    };
    assert_eq!(came(&counted.partners[0]), [(1, 2), (0, 1), (0, 0)]);
    assert_eq!(came(&counted.partners[1]), [(0, 0), (0, 0), (1, 1)]);
    assert_eq!(came(&counted.total), [(1, 2), (0, 1), (1, 1)]);
}

#[actix_web::test]
async fn the_last_delivery_is_the_stored_one_until_another_comes() {
    let mut app = TestApp::new().await;
    app.deliver(CREATED, "u1").await;
    let stored = app.clock.now();
    app.clock.advance(HOUR);
    app.restart().await;
    count(&app).await;
    let last = |place| app.app.census.last_delivery(&app.app.metrics, place);
    assert_eq!((last(0), last(1)), (Some(stored), None));
    app.clock.advance(HOUR);
    count(&app).await;
    assert_eq!((last(0), last(1)), (Some(stored), None));
    for partner in [ACME, OTHER] {
        app.deliver_to(partner, CREATED, "u2").await;
    }
    let second = Timestamp(app.clock.now().0 / 1_000_000 * 1_000_000);
    assert_eq!((last(0), last(1)), (Some(second), Some(second)));
}

#[actix_web::test]
async fn a_reading_serves_whoever_asks_for_none_that_is_younger() {
    let app = TestApp::new().await;
    let all = join_all((0..20).map(|_| count(&app))).await;
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
    app.pending("u1").await;
    app.clock.advance(HOUR - SECOND);
    let same = ask(&app, HOUR).await.unwrap();
    assert!(Arc::ptr_eq(&same, &all[0]));
    app.clock.advance(SECOND);
    let anew = ask(&app, HOUR).await.unwrap();
    assert_eq!(anew.total.users.shown(Status::Pending), 1);
    app.clock.advance(HOUR - SECOND);
    assert_eq!(count(&app).await.at, app.clock.now());
}

#[actix_web::test]
async fn nobody_waits_long_for_a_reading_and_it_goes_on() {
    let app = TestApp::new().await;
    // All of the few readings that may go on at the same time are held.
    let (go_on, held) = mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let holding = (0..4).map(|_| {
        let (db, held) = (app.db(), Arc::clone(&held));
        let hold = move |_: &mut kyc_tracker::db::Conn| {
            let _ = held.lock().unwrap().recv_timeout(STUCK);
            Ok(())
        };
        actix_web::rt::spawn(async move { db.read(hold).await })
    });
    let holding: Vec<_> = holding.collect();
    let began = app.clock.now();
    let none = timeout(STUCK / 2, ask(&app, DAY)).await.expect("it waits");
    assert!(none.is_none(), "there was never one");
    app.clock.advance(HOUR);
    drop(go_on);
    join_all(holding).await;
    assert_eq!(ask(&app, DAY).await.unwrap().at, began);
}

#[actix_web::test]
async fn a_reading_that_fails_leaves_the_last_one() {
    use diesel::connection::SimpleConnection;
    let app = TestApp::new().await;
    app.pending("u1").await;
    let first = count(&app).await;
    let mut store = crate::support::store::connect(&app.folder().join("kyc.db"));
    store
        .batch_execute("ALTER TABLE transitions RENAME TO elsewhere")
        .unwrap();
    app.clock.advance(DAY);
    assert!(Arc::ptr_eq(&count(&app).await, &first));
    store
        .batch_execute("ALTER TABLE elsewhere RENAME TO transitions")
        .unwrap();
    app.clock.advance(DAY);
    assert_eq!(count(&app).await.at, app.clock.now());
}
