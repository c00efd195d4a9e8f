//! A search through every history that the rule can meet, made of the very functions that run in production.
//!
//! One user, one new link, two looks at a time; everything else as often as it likes: the provider changes its mind,
//! events are lost, late, disordered and replayed, copies of its data lag behind, looks overlap and are cut off. Only so
//! many places can be told apart that such a history may lead to; each of them is visited, and what must hold is asked of
//! each, so that no number of changes or replays is too large. It must stay true that nothing here decides what
//! `crate::kyc` decides, and that each part of the rule, taken out, makes the search fail.

mod world;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::kyc::status::Status;
use crate::kyc::verification::{Event, Link, State, TrustPolicy, fold, link};
use world::{FIRST, Look, NewLink, Reading, SECOND, Told, VERDICTS, World};

use Status::{InReview, Rejected, Verified};

/// `verified` is shown only if the provider has said so: at some time, where a signed event is believed, and in an
/// answer about the session of this attempt, where it is not (`before_final`; there the search lets events come that
/// were never sent, as if the secret had leaked).
const FOUNDED: &str = "verified is never shown without ground";

/// The tracker is told of a truth by its event, or by an answer that was read when all copies agreed, unless a later look
/// has read something else by then. Once told that the truth is `rejected` or `in_review`, it does not show
/// `verified` while that stays true, except after a `verified` event has come since: by an answer, if a copy of the
/// provider's data still said so when the event came; and under `on_conflict` also by the event itself, if nothing was
/// decided when it came.
const TOLD: &str = "bad news once told is not forgotten";

/// No event changes a verdict, first or replayed, and an answer changes it only to what it says about a session of this
/// attempt.
const FINAL: &str = "only the provider's answer changes a verdict";

/// If nothing more comes, the looks that are due end in the provider's truth with no doubt left, or, while it has no
/// verdict of this attempt, in anything but `verified`. The ladder alone does it, if the event of that truth has come.
const AT_REST: &str = "the looks end in the provider's truth";

/// Not a promise but a sign that the search gets anywhere.
const GETS_FAR: &str = "a second attempt is verified by its own session";

/// The rule, of which parts can be taken out to see that they are needed.
#[derive(Clone, Copy, Debug)]
struct Rule {
    confirm: TrustPolicy,
    fence: bool,
    freshness: bool,
    late_lifting: bool,
    sweep: bool,
}

impl Rule {
    const fn whole(confirm: TrustPolicy) -> Rule {
        Rule {
            confirm,
            fence: true,
            freshness: true,
            late_lifting: true,
            sweep: true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    ProviderDecides(Option<Status>),
    EventArrives(Event),
    TimePasses,
    LookBegins,
    LookReads(usize, Reading),
    LookSettles(usize),
    Crash,
    AttemptOpens,
    EarlierSessionIsNoted,
    SessionOpens,
}

impl World {
    fn is_founded(&self, rule: Rule) -> bool {
        let ground = match rule.confirm {
            TrustPolicy::BeforeFinal => self.answered_verified,
            TrustPolicy::OnConflict | TrustPolicy::Never => self.verified_sent,
        };
        ground || self.state.shown() != Verified
    }

    fn remembers_bad_news(&self) -> bool {
        let bad = matches!(self.verdict(), Some(InReview | Rejected));
        let told = self.told != Told::No && !self.excused;
        !(bad && told && self.state.shown() == Verified)
    }

    fn keeps_its_verdict(&self, rule: Rule) -> bool {
        let now = self.state.status;
        if !now.is_final() {
            return true;
        }
        let kept = |event: &Event| fold(self.state, *event, rule.confirm).0.status == now;
        let agreed = |look: &Look| {
            let Some(reading) = look.reading else {
                return true;
            };
            let mut after = self.clone();
            after.settle(*look, reading, rule);
            let said = reading.verdict.filter(|_| self.is_of_this_attempt(reading));
            after.state.status == now || Some(after.state.status) == said
        };
        self.events(rule.confirm).iter().all(kept) && self.on_their_way.iter().flatten().all(agreed)
    }
}

impl Model for Rule {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(*self);
        world.forget(*self);
        vec![world]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for verdict in VERDICTS {
            if verdict != world.truth.verdict {
                steps.push(Step::ProviderDecides(verdict));
            }
        }
        let events = world.events(self.confirm);
        steps.extend(events.into_iter().map(Step::EventArrives));
        steps.push(Step::TimePasses);
        let due = self.sweep || !world.looks.is_sweep();
        if due && world.on_their_way[1].is_none() {
            steps.push(Step::LookBegins);
        }
        for (place, look) in world.on_their_way.iter().enumerate() {
            match look {
                Some(Look { reading: None, .. }) => {
                    steps.push(Step::LookReads(place, world.truth));
                    steps.extend(world.outdated.map(|old| Step::LookReads(place, old)));
                }
                Some(_) => steps.push(Step::LookSettles(place)),
                None => {}
            }
        }
        if world.on_their_way[0].is_some() {
            steps.push(Step::Crash);
        }
        match world.new_link {
            NewLink::NotAskedFor => steps.push(Step::AttemptOpens),
            NewLink::AttemptOpened => steps.push(Step::EarlierSessionIsNoted),
            NewLink::Made if world.truth.session == FIRST => steps.push(Step::SessionOpens),
            NewLink::Made => {}
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::ProviderDecides(verdict) => {
                let session = world.truth.session;
                world.becomes_true(Reading { session, verdict });
            }
            Step::EventArrives(event) => world.arrive(event, self.confirm),
            Step::TimePasses => world.pass_time(),
            Step::LookBegins => {
                let look = world.begin();
                let free = world.on_their_way.iter_mut().find(|place| place.is_none());
                *free? = Some(look);
            }
            Step::LookReads(place, reading) => {
                world.on_their_way[place].as_mut()?.reading = Some(reading);
            }
            Step::LookSettles(place) => {
                let look = world.on_their_way[place].take()?;
                world.settle(look, look.reading?, *self);
            }
            Step::Crash => world.on_their_way = [None; 2],
            Step::AttemptOpens => match link(world.state, false) {
                Link::Next(opened) => world.open_attempt(opened),
                Link::Current | Link::AlreadyVerified => return None,
            },
            Step::EarlierSessionIsNoted => world.note_session(),
            Step::SessionOpens => world.becomes_true(Reading {
                session: SECOND,
                verdict: None,
            }),
        }
        world.forget(*self);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Rule>> {
        vec![
            Property::always(FOUNDED, |rule: &Rule, world: &World| {
                world.is_founded(*rule)
            }),
            Property::always(TOLD, |_, world: &World| world.remembers_bad_news()),
            Property::always(FINAL, |rule: &Rule, world: &World| {
                world.keeps_its_verdict(*rule)
            }),
            // A crash leads from every other place to one where no look is on its way.
            Property::always(AT_REST, |rule: &Rule, world: &World| {
                world.on_their_way[0].is_some() || world.comes_to_rest(*rule)
            }),
            Property::sometimes(GETS_FAR, |_, world: &World| {
                world.state
                    == State {
                        attempt: 2,
                        status: Verified,
                        ..world.state
                    }
                    && world.verdict() == Some(Verified)
                    && world.looks.confirmed
            }),
        ]
    }
}

fn search(rule: Rule) -> impl Checker<Rule> {
    let checker = rule
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (places, steps) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{rule:?}: {places} places by {steps} steps, the farthest {} steps away",
        checker.max_depth()
    );
    checker
}

fn holds(confirm: TrustPolicy) {
    let checker = search(Rule::whole(confirm));
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000_000);
}

/// Asserts that the search finds that promise broken, and prints how.
fn breaks(rule: Rule, promise: &'static str) {
    let path = search(rule).discovery(promise).unwrap();
    println!("{promise}: broken by {:#?}", path.into_actions());
}

#[test]
fn nothing_breaks_the_rule_where_webhooks_decide() {
    holds(TrustPolicy::OnConflict);
}

#[test]
fn nothing_breaks_the_rule_where_verified_waits_for_an_answer() {
    holds(TrustPolicy::BeforeFinal);
}

#[test]
fn without_the_fence_bad_news_is_forgotten() {
    for confirm in [TrustPolicy::OnConflict, TrustPolicy::BeforeFinal] {
        let rule = Rule {
            fence: false,
            ..Rule::whole(confirm)
        };
        breaks(rule, TOLD);
    }
}

#[test]
fn without_freshness_bad_news_is_forgotten() {
    for confirm in [TrustPolicy::OnConflict, TrustPolicy::BeforeFinal] {
        let rule = Rule {
            freshness: false,
            ..Rule::whole(confirm)
        };
        breaks(rule, TOLD);
    }
}

#[test]
fn without_late_lifting_bad_news_is_forgotten() {
    for confirm in [TrustPolicy::OnConflict, TrustPolicy::BeforeFinal] {
        let rule = Rule {
            late_lifting: false,
            ..Rule::whole(confirm)
        };
        breaks(rule, TOLD);
    }
}

#[test]
fn without_the_sweep_a_lost_event_is_never_made_up_for() {
    for confirm in [TrustPolicy::OnConflict, TrustPolicy::BeforeFinal] {
        let rule = Rule {
            sweep: false,
            ..Rule::whole(confirm)
        };
        breaks(rule, AT_REST);
    }
}
