//! Searches through every history that the rule can meet, over the functions that production runs.
//!
//! A search has a policy and a list of what may happen besides the usual. The usual is: the
//! provider changes its verdict, events are lost, late, disordered and repeated, copies of the
//! provider's data lag behind by up to 30 s, and checks fail or come at any time. The search visits
//! each place that a history may lead to, and asks the properties of each. So no number of changes,
//! repeats or checks is too large. Everything at once would be too many places; hence several
//! searches. Nothing here decides what `crate::kyc` decides, and each piece of the rule, taken out,
//! makes a search fail.

mod checks;
mod forget;
mod ghosts;
mod steps;
mod time;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::kyc::status::Status;
use crate::kyc::verification::TrustPolicy;
use ghosts::Turns;
use world::World;

use Property::{F, L, P, Rj, S0, S1, S2, S3, S4, T};
use Status::{Rejected, Verified};

/// A piece of the rule that can be taken out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// A verdict counts at once only if none was heard before.
    NothingHeard,
    /// No verdict at a check 30 s after an unconfirmed `verified` was applied puts it in doubt.
    DoubtAt30s,
    UnconfirmedFor,
    /// A verdict from before the registration is held, and was heard.
    Unmatched,
    Fence,
    Freshness,
    Lateness,
    Sweep,
    IdsBeforeTimes,
    /// A verified user of whom the provider has had no verdict for 24 h is held.
    NoVerdictForADay,
    /// A late check flags a rejection of which the provider has no verdict.
    FlagOnRejection,
    /// It takes two answers without a session to end an attempt without one.
    NotingTwice,
    HeardAfterErasure,
    /// A review that is read early says nothing of a `verified` that was applied after a review.
    AfterReview,
}

/// What may happen in a search, besides the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// Reviews: the provider says so, and events.
    Review,
    /// Of two changes within 30 s a copy may also show what was true before the first.
    QuickChange,
    /// Events arrive that the provider never sent: the secret has leaked.
    Leak,
    /// Two checks overlap.
    Overlap,
    /// A check reads some time after it began; otherwise at once.
    ReadLater,
    /// Users ask for links; without it there is one session from the beginning.
    Link,
    /// They ask for a second link in an attempt.
    SecondLink,
    /// A call for a link has no answer, and made no session.
    LostLink,
    /// Users ask for the next attempt although they are verified.
    ForceNew,
    /// All sessions have the same created-at.
    EqualTimes,
    Override,
    /// The cap is full, or not, whenever it is asked.
    FullCap,
    ClockSetBack,
    EventBeforeRegistration,
    /// Erasure, and registering again.
    Erasure,
    /// Only this: each event arrives once, before the next change; no check is lost, late or early;
    /// and a check that has read the newest data leaves no older copy.
    OnlyInOrder,
}

/// What is to be shown, by the names of the design. Of an overridden user only L is asked.
///
/// Some of them need a premise, because a copy that lags behind can tell any check anything old:
/// - T: an answer tells only if no copy lags behind and no later check has read something else. A
///   `verified` may be shown after its event came again while a copy still said so, and where it is
///   the first verdict ever heard, in attempt 1, until a check counts that says otherwise.
/// - S3 ends when a check that counts has moved the user: then there is no bad news waiting.
/// - F: events come in order, each before the next change, and no check reads an older copy after
///   a newer one. It is asked from the delivery of what is true on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    S0,
    S1,
    S2,
    S3,
    S4,
    T,
    Rj,
    L,
    P,
    F,
}

fn condition<const PLACE: usize>(search: &Search, world: &World) -> bool {
    !world.registered || Property::ALL[PLACE].holds(search, world)
}

impl Property {
    const ALL: [Property; 10] = [S0, S1, S2, S3, S4, T, Rj, L, P, F];

    const CONDITIONS: [fn(&Search, &World) -> bool; 10] = [
        condition::<0>,
        condition::<1>,
        condition::<2>,
        condition::<3>,
        condition::<4>,
        condition::<5>,
        condition::<6>,
        condition::<7>,
        condition::<8>,
        condition::<9>,
    ];

    fn condition(self) -> fn(&Search, &World) -> bool {
        Property::CONDITIONS[self as usize]
    }

    /// This one alone.
    fn only(self) -> &'static [Property] {
        let all: &'static [Property] = &Property::ALL;
        &all[self as usize..=self as usize]
    }

    const fn name(self) -> &'static str {
        match self {
            S0 => "S0: verified is shown only if the provider said so of this attempt",
            S1 => "S1: a verified that was checked is the last verdict answered",
            S2 => "S2: an old verified is shown only if a check said so, without bad news since",
            S3 => "S3: after bad news verified is shown only if a late check says so",
            S4 => "S4: a verdict from before the registration alone verifies nobody",
            T => "T: bad news once told is not forgotten",
            Rj => "RJ: rejected is shown only if the provider said so of this attempt",
            L => "L: the checks that are due end in the truth of this attempt",
            P => "P: the provider's verified is shown by the next late check",
            F => "F: verified does not come and go without news",
        }
    }

    fn holds(self, search: &Search, world: &World) -> bool {
        let (state, ghosts) = (world.state, world.ghosts);
        let shown = state.shown();
        let shown = Some(shown).filter(|_| !state.overridden);
        let verified = shown == Some(Verified);
        // A check that fails leads from every other place to one without a check in flight.
        let in_flight = world.checks[0].is_some();
        match self {
            S0 => !verified || ghosts.said_verified,
            S1 => {
                let checked = state.unconfirmed.is_none() || ghosts.checked;
                !verified || !checked || ghosts.last_answer_verified
            }
            S2 => !verified || !ghosts.over || ghosts.vouched,
            S3 => !verified || !ghosts.bad_news,
            S4 => !verified || ghosts.grounded,
            T => !verified || !ghosts.told || ghosts.excused,
            Rj => shown != Some(Rejected) || ghosts.said_rejected,
            L => in_flight || world.comes_to_rest(search),
            P => {
                let honest = || world.honest_verdict_is_confirmed(search);
                in_flight || world.next_late_check_verifies(search) && honest()
            }
            F => ghosts.turns != Turns::AndVerified,
        }
    }
}

/// One search: the rule, and the world it is put in.
#[derive(Clone, Copy, Debug)]
struct Search {
    policy: TrustPolicy,
    without: Option<Piece>,
    may: &'static [May],
    /// How many attempts there may be.
    attempts: i64,
    asks: &'static [Property],
}

impl Search {
    const fn new(may: &'static [May], attempts: i64, asks: &'static [Property]) -> Search {
        Search {
            policy: TrustPolicy::OnConflict,
            without: None,
            may,
            attempts,
            asks,
        }
    }

    fn has(&self, piece: Piece) -> bool {
        self.without != Some(piece)
    }

    fn may(&self, may: May) -> bool {
        self.may.contains(&may)
    }

    fn asks(&self, property: Property) -> bool {
        self.asks.contains(&property)
    }
}

const HONEST: &[Property] = &[S0, S1, S2, S3, T, Rj, L, P];

/// With a leaked secret S0 and RJ cannot hold.
const LEAKED: &[Property] = &[S1, S2, S3, T, L, P];

const PLAIN: Search = Search::new(&[May::Review], 1, HONEST);

const OVERLAP: Search = Search::new(
    &[May::Review, May::QuickChange, May::Overlap, May::ReadLater],
    1,
    HONEST,
);

const LEAK: Search = Search::new(
    &[
        May::Review,
        May::Leak,
        May::Overlap,
        May::FullCap,
        May::ClockSetBack,
    ],
    1,
    LEAKED,
);

const REGISTRATION: Search = Search::new(
    &[
        May::Review,
        May::EventBeforeRegistration,
        May::Erasure,
        May::FullCap,
    ],
    1,
    &[S0, S1, S2, S3, S4, T, Rj, L, P],
);

const TWO_ATTEMPTS: Search = Search::new(&[May::Review, May::Link, May::ForceNew], 2, HONEST);

const SECOND_LINK: Search = Search::new(
    &[May::QuickChange, May::Link, May::SecondLink, May::ForceNew],
    2,
    HONEST,
);

const THREE_ATTEMPTS: Search = Search::new(
    &[
        May::Link,
        May::SecondLink,
        May::LostLink,
        May::ForceNew,
        May::EqualTimes,
    ],
    3,
    HONEST,
);

const LEAKED_ATTEMPTS: Search = Search::new(
    &[May::Link, May::SecondLink, May::Leak, May::ClockSetBack],
    2,
    LEAKED,
);

const OVERRIDE: Search = Search::new(&[May::Review, May::Override, May::Link], 2, HONEST);

const IN_ORDER: Search = Search::new(&[May::Review, May::OnlyInOrder], 1, &[F]);

fn run(search: Search) -> impl Checker<Search> {
    let began = Instant::now();
    let checker = search
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{search:?}: {} places by {} steps, the farthest {} steps away, {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed()
    );
    checker
}

/// Asserts that every property holds in every place, under both policies, and that there are at
/// least so many places; prints how a property breaks.
fn holds(search: Search, places: [usize; 2]) {
    let policies = [TrustPolicy::OnConflict, TrustPolicy::BeforeFinal];
    for (policy, at_least) in policies.into_iter().zip(places) {
        let checker = run(Search { policy, ..search });
        for (name, path) in checker.discoveries() {
            println!("{name}: broken by {:#?}", path.into_actions());
        }
        assert!(checker.discoveries().is_empty());
        assert!(checker.unique_state_count() > at_least);
    }
}

/// Asserts that the search finds that property broken without the piece, and prints how.
fn breaks(search: Search, piece: Piece, policies: &[TrustPolicy], property: Property) {
    for policy in policies {
        let checker = run(Search {
            policy: *policy,
            without: Some(piece),
            asks: property.only(),
            ..search
        });
        let path = checker.discovery(property.name()).unwrap();
        println!("{}: broken by {:#?}", property.name(), path.into_actions());
    }
}

const ON_CONFLICT: &[TrustPolicy] = &[TrustPolicy::OnConflict];
const BOTH: &[TrustPolicy] = &[TrustPolicy::OnConflict, TrustPolicy::BeforeFinal];

#[test]
fn nothing_breaks_the_rule_where_checks_overlap() {
    holds(OVERLAP, [2_400_000, 620_000]);
}

#[test]
fn nothing_breaks_the_rule_where_the_secret_has_leaked() {
    holds(LEAK, [1_400_000, 330_000]);
}

#[test]
fn nothing_breaks_the_rule_before_registration_and_after_erasure() {
    holds(REGISTRATION, [380_000, 150_000]);
}

#[test]
fn nothing_breaks_the_rule_in_a_second_attempt() {
    holds(TWO_ATTEMPTS, [280_000, 170_000]);
}

#[test]
fn nothing_breaks_the_rule_where_an_attempt_has_two_links() {
    holds(SECOND_LINK, [690_000, 520_000]);
}

#[test]
fn nothing_breaks_the_rule_in_three_attempts_whose_sessions_have_equal_times() {
    holds(THREE_ATTEMPTS, [970_000, 890_000]);
}

#[test]
fn nothing_breaks_the_rule_in_a_second_attempt_where_the_secret_has_leaked() {
    holds(LEAKED_ATTEMPTS, [450_000, 350_000]);
}

#[test]
fn nothing_breaks_the_rule_where_an_admin_overrides_it() {
    holds(OVERRIDE, [830_000, 690_000]);
}

#[test]
fn verified_does_not_come_and_go_where_news_comes_in_order() {
    holds(IN_ORDER, [2_000, 2_000]);
}

#[test]
fn without_the_rule_of_nothing_heard_bad_news_is_forgotten() {
    breaks(PLAIN, Piece::NothingHeard, ON_CONFLICT, T);
}

#[test]
fn without_the_doubt_at_30_s_a_forged_verdict_stands() {
    breaks(LEAK, Piece::DoubtAt30s, ON_CONFLICT, S1);
}

#[test]
fn without_unconfirmed_for_a_verdict_stands_that_no_check_confirms() {
    breaks(PLAIN, Piece::UnconfirmedFor, ON_CONFLICT, S2);
}

#[test]
fn without_the_rule_for_unmatched_deliveries_an_old_verdict_verifies() {
    breaks(REGISTRATION, Piece::Unmatched, ON_CONFLICT, S4);
}

#[test]
fn without_the_fence_bad_news_is_forgotten() {
    breaks(OVERLAP, Piece::Fence, BOTH, T);
}

#[test]
fn without_freshness_bad_news_is_forgotten() {
    breaks(PLAIN, Piece::Freshness, BOTH, T);
}

#[test]
fn without_lateness_bad_news_is_forgotten() {
    breaks(PLAIN, Piece::Lateness, BOTH, S3);
    breaks(PLAIN, Piece::Lateness, BOTH, T);
}

#[test]
fn without_the_sweep_a_lost_event_is_never_made_up_for() {
    breaks(PLAIN, Piece::Sweep, BOTH, L);
}

#[test]
fn without_ids_before_times_an_honest_second_attempt_is_not_verified() {
    breaks(THREE_ATTEMPTS, Piece::IdsBeforeTimes, BOTH, P);
}

#[test]
fn without_the_hold_after_24_h_a_verdict_stands_that_the_provider_took_back() {
    breaks(PLAIN, Piece::NoVerdictForADay, BOTH, L);
}

#[test]
fn without_the_flag_a_rejection_stands_that_the_provider_took_back() {
    breaks(PLAIN, Piece::FlagOnRejection, BOTH, L);
}

#[test]
fn without_noting_twice_an_old_session_decides_the_next_attempt() {
    breaks(SECOND_LINK, Piece::NotingTwice, BOTH, Rj);
    breaks(SECOND_LINK, Piece::NotingTwice, BOTH, S0);
}

#[test]
fn without_what_was_heard_before_an_erasure_bad_news_is_forgotten() {
    breaks(REGISTRATION, Piece::HeardAfterErasure, ON_CONFLICT, T);
}

#[test]
fn without_the_rule_for_a_verdict_after_a_review_it_comes_and_goes() {
    breaks(IN_ORDER, Piece::AfterReview, ON_CONFLICT, F);
}
