//! A delivery that is folded once more does what was said beforehand and what its bytes would do if they came again,
//! whatever has happened before: strays, further attempts, verdicts taken back, users renamed, statuses set by hand.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::capa::signature::Verifier;
use crate::capa::signature::sign;
use crate::clock::{Clock, Timestamp};
use crate::config::WebhookSecret;
use crate::db::deliveries::{self, Delivery, Filter};
use crate::db::looks;
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, NewUser, User, UserNow, View};
use crate::db::{self, Conn, attempts};
use crate::ingest::{self, Believed, Signed};
use crate::kyc::sessions::Session;
use crate::kyc::status::Status;
use crate::kyc::verification::{Outcome, State, Trust, TrustPolicy};
use crate::reconcile;
use crate::refold::{self, WhyNot, Would};

const PARTNER: &str = "acme";
const SECRET: &str = "a secret";
/// Three names that webhooks use; who has which changes.
const NAMES: [&str; 3] = ["e0", "e1", "e2"];
const EVENTS: [&str; 7] = [
    r#"{"type":"KYC","event":"CREATED_KYC","externalUserId":"?"}"#,
    r#"{"type":"KYC","event":"REVIEW_NEEDED_KYC","externalUserId":"?"}"#,
    r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"?"}"#,
    r#"{"type":"KYC","event":"REJECTED_KYC","externalUserId":"?"}"#,
    r#"{"type":"KYC","event":"PAUSED_KYC","externalUserId":"?"}"#,
    r#"{"type":"TRANSACTION","event":"CREATED","externalUserId":"?"}"#,
    r#"{"type":"KYC","externalUserId":"?"}"#,
];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Deliver(usize, usize),
    /// A user is registered by that name; what waited for it is folded, or left over as by an older version.
    Register(usize, bool),
    /// A user is renamed.
    Rename(usize, usize),
    /// A further attempt is opened, and perhaps a session of the one before is known.
    NextAttempt(usize, bool),
    /// The provider says where a user stands.
    Provider(usize, Status),
    Overrule(usize, Status),
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let status = || prop::sample::select(Status::ALL.to_vec());
    prop_oneof![
        8 => (0..EVENTS.len(), 0..NAMES.len()).prop_map(|(event, name)| Step::Deliver(event, name)),
        2 => (0..NAMES.len(), any::<bool>()).prop_map(|(name, folds)| Step::Register(name, folds)),
        1 => (0_usize..100, 0..NAMES.len()).prop_map(|(who, name)| Step::Rename(who, name)),
        2 => (0_usize..100, any::<bool>()).prop_map(|(who, known)| Step::NextAttempt(who, known)),
        2 => (0_usize..100, status()).prop_map(|(place, status)| Step::Provider(place, status)),
        1 => (0_usize..100, status()).prop_map(|(place, status)| Step::Overrule(place, status)),
        2 => (0_usize..100).prop_map(Step::Again),
    ]
}

struct Play {
    conn: Conn,
    clock: Clock,
    trust: Trust,
    believed: Believed,
}

impl Play {
    fn new(policy: TrustPolicy) -> Play {
        let trust = Trust {
            policy,
            unconfirmed_for: Duration::from_secs(300),
            unconfirmed_at_most: 100,
        };
        Play {
            conn: db::in_memory(),
            clock: Clock::driven(Timestamp(1_800_000_000_000_000)),
            trust,
            believed: Believed {
                trust,
                verifier: Arc::new(Verifier::new(&[WebhookSecret::new(SECRET.into())], 1)),
            },
        }
    }

    /// Does something and puts the store back as it was.
    fn tried<T>(&mut self, attempt: impl FnOnce(&mut Play) -> T) -> T {
        db::mark(&mut self.conn);
        let result = attempt(self);
        db::go_back(&mut self.conn);
        result
    }

    fn users(&mut self) -> Vec<User> {
        let (filter, view) = (users::Filter::default(), self.view());
        let listed = users::list(&mut self.conn, &filter, view, None, 100).unwrap();
        listed.into_iter().map(UserNow::into_inner).collect()
    }

    fn view(&self) -> View {
        View::new(self.clock.now(), self.trust)
    }

    fn deliveries(&mut self) -> Vec<Delivery> {
        let all = deliveries::list(&mut self.conn, &Filter::default(), None, 1000).unwrap();
        all.into_iter().map(|(delivery, _)| delivery).collect()
    }

    fn send(&mut self, body: Vec<u8>) -> Outcome {
        let mut signature = [0; 32];
        hex::decode_to_slice(sign(SECRET, &body), &mut signature).unwrap();
        let signed = Signed {
            partner: PARTNER.to_owned(),
            body,
            signature,
            secret: "one".to_owned(),
        };
        let received = ingest::delivery(&mut self.conn, &self.clock, self.trust, signed);
        received.unwrap().outcome
    }

    fn again(&mut self, id: &str) -> Would {
        let again = refold::again(&mut self.conn, &self.clock, self.trust, "ops", id).unwrap();
        again.expect("it is stored")
    }

    fn moves(&mut self, user: &User, after: State, cause: Cause<'_>) -> User {
        transitions::record(&mut self.conn, user, after, cause, self.clock.now()).unwrap()
    }

    fn step(&mut self, step: &Step) {
        let (users, now) = (self.users(), self.clock.now());
        let named = |name: usize| {
            users
                .iter()
                .any(|user| user.external_user_id == NAMES[name])
        };
        let who = |place: &usize| &users[place % users.len()];
        match step {
            Step::Deliver(event, name) => {
                self.send(EVENTS[*event].replace('?', NAMES[*name]).into_bytes());
            }
            Step::Register(name, folds) if !named(*name) => {
                let id = self.clock.id();
                let new = NewUser {
                    user_id: &id,
                    id: id.clone(),
                    partner: PARTNER,
                    external_user_id: NAMES[*name],
                    country: "DO",
                    redirect_uri: None,
                    status: Status::Pending,
                    heard: false,
                };
                let user = transitions::register(&mut self.conn, &new, now).unwrap();
                if *folds {
                    ingest::unmatched(&mut self.conn, &self.clock, &self.believed, user).unwrap();
                }
            }
            Step::Rename(index, name) if !users.is_empty() && !named(*name) => {
                let renamed = User {
                    external_user_id: NAMES[*name].to_owned(),
                    ..who(index).clone()
                };
                transitions::touch(&mut self.conn, who(index), renamed, now).unwrap();
            }
            Step::NextAttempt(index, known) if !users.is_empty() => {
                let user = who(index);
                if *known {
                    let session = Session {
                        id: "s",
                        created_at: None,
                    };
                    attempts::note(&mut self.conn, &user.id, user.attempt, Some(session)).unwrap();
                }
                let user = self.moves(user, user.state().next_attempt(), Cause::Link);
                reconcile::next_attempt(&mut self.conn, &user, now).unwrap();
            }
            Step::Provider(index, status) if !users.is_empty() => {
                let after = State {
                    status: *status,
                    held: None,
                    unconfirmed: None,
                    ..who(index).state()
                };
                self.moves(who(index), after, Cause::Provider);
            }
            Step::Overrule(index, status) if !users.is_empty() => {
                let after = crate::kyc::verification::overrule(who(index).state(), *status);
                self.moves(who(index), after, Cause::Manual);
            }
            Step::Again(place) => {
                let stored = self.deliveries();
                if !stored.is_empty() {
                    self.again(&stored[place % stored.len()].id);
                }
            }
            _ => {}
        }
    }

    /// Whom the delivery is about and how that user and its looks stand.
    fn stands(&mut self, delivery: &Delivery) -> Option<(State, looks::Memory)> {
        let id = delivery.external_user_id.as_deref()?;
        let user = users::by_external_id(&mut self.conn, PARTNER, id).unwrap()?;
        Some((user.state(), looks::of(&mut self.conn, &user.id).unwrap()))
    }

    /// All of it that must be true of one delivery.
    fn prove(&mut self, stored: &Delivery) -> Result<(), TestCaseError> {
        let before = self.stands(stored);
        let would = refold::would(&mut self.conn, self.trust, stored, self.clock.now()).unwrap();
        let (did, after, row) = self.tried(|play| {
            let did = play.again(&stored.id);
            for user in play.users() {
                assert!(db::is_chained(&mut play.conn, &user), "{stored:?}");
            }
            let row = deliveries::by_id(&mut play.conn, &stored.id).unwrap();
            (did, play.stands(stored), row.expect("it stays"))
        });
        prop_assert_eq!(&would, &did);
        let (row, owner) = row;
        prop_assert_eq!(
            (row.repeats, row.last_received_at),
            (stored.repeats, stored.last_received_at)
        );
        prop_assert_eq!(owner.map(|owner| owner.id), row.user_key.clone());
        let Would::Fold {
            outcome,
            before: shown,
            after: then,
            ..
        } = did
        else {
            prop_assert_eq!((before, &row.user_key), (after, &stored.user_key));
            return Ok(());
        };
        let ((old, _), (new, memory)) = (before.expect("whose"), after.expect("whose"));
        prop_assert_eq!((shown, then), (old.shown(), new.shown()));
        // A verdict is never undone, and one of an earlier attempt never decides.
        let of_before = stored.attempt.is_some_and(|attempt| attempt < old.attempt);
        prop_assert!(!old.status.is_final() || new.status == old.status);
        prop_assert!(!of_before || !new.status.is_final() || new.status == old.status);
        // What moved a user says so, and what is said of a row of an earlier attempt stays.
        if stored.user_key.is_none() {
            prop_assert_eq!((row.outcome, row.attempt), (outcome, Some(old.attempt)));
        } else {
            prop_assert_eq!(row.attempt, stored.attempt);
            prop_assert!(row.outcome == stored.outcome || (row.outcome == outcome && !of_before));
            prop_assert!(stored.outcome != Outcome::Applied || row.outcome == Outcome::Applied);
            prop_assert!(outcome != Outcome::Applied || of_before || row.outcome == outcome);
        }
        // The same bytes would have done the same.
        let came =
            self.tried(|play| (play.send(stored.body.clone().unwrap()), play.stands(stored)));
        prop_assert_eq!(came, (outcome, Some((new, memory.clone()))));
        // And a second time is what a repeat would be.
        let (twice, repeated) = self.tried(|play| {
            play.again(&stored.id);
            let twice = play.tried(|play| (play.again(&stored.id), play.stands(stored)).1);
            (
                twice,
                (play.send(stored.body.clone().unwrap()), play.stands(stored)).1,
            )
        });
        prop_assert_eq!(&twice, &repeated);
        prop_assert_eq!(twice.map(|(state, _)| state), Some(new));
        Ok(())
    }
}

fn random_histories(confirm: TrustPolicy) {
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let play = RefCell::new(Play::new(confirm));
    let played = TestRunner::new(config).run(&prop::collection::vec(step(), 1..30), |steps| {
        play.borrow_mut().tried(|play| {
            for step in &steps {
                play.step(step);
            }
            let stored = play.deliveries();
            stored.iter().try_for_each(|delivery| play.prove(delivery))
        })
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}

#[test]
fn a_delivery_folded_once_more_does_what_its_bytes_would() {
    random_histories(TrustPolicy::OnConflict);
}

#[test]
fn a_delivery_folded_once_more_does_what_its_bytes_would_where_verified_waits_for_confirmation() {
    random_histories(TrustPolicy::BeforeFinal);
}

#[test]
fn a_delivery_folded_once_more_does_what_its_bytes_would_where_nothing_is_held() {
    random_histories(TrustPolicy::Never);
}

#[test]
fn whoever_has_the_name_of_a_renamed_user_is_not_moved_by_what_was_the_others() {
    let mut play = Play::new(TrustPolicy::OnConflict);
    play.step(&Step::Register(0, true));
    play.step(&Step::Deliver(2, 0));
    let stored = play.deliveries().remove(0);
    play.step(&Step::Rename(0, 1));
    assert_eq!(play.again(&stored.id), Would::Nothing(WhyNot::Nobody));
    play.step(&Step::Register(0, true));
    assert_eq!(play.again(&stored.id), Would::Nothing(WhyNot::SomebodyElse));
    let newest = play.users().remove(0);
    assert_eq!(newest.state(), State::registered(false));
}
