//! Every interleaving of the four events, each delivered twice, ends in the provider's truth: 2,520 orders, each final
//! truth, the provider's answers outdated or not, looks at different moments.
//!
//! Orders that begin alike share their beginning: the search is a tree, and what was tried is undone. Orders that have come
//! to the same rows with the same events still to come go on alike, so that they are followed once and counted all.

use std::collections::HashMap;
use std::time::Duration;

use super::world::{Ask, LAG, Truth, Who, World};
use crate::kyc::status::Status;
use crate::kyc::verification::TrustPolicy;

const EVENTS: [Status; 4] = [
    Status::Submitted,
    Status::InReview,
    Status::Verified,
    Status::Rejected,
];
const VERDICTS: [Status; 3] = [Status::InReview, Status::Verified, Status::Rejected];
const TRUTHS: [Truth; 4] = [
    None,
    Some(Status::InReview),
    Some(Status::Verified),
    Some(Status::Rejected),
];
/// Eight events of which each comes twice: 8! / 2!⁴.
const ORDERS: usize = 2_520;

/// When looks are made while events arrive.
#[derive(Clone, Copy, Debug)]
enum Looking {
    /// After every event, whether one is due or not.
    Always,
    /// One is on its way over every event: answered before it, put in its place after it.
    Across,
    /// The same, and a look after the event, which sees the latest, is answered before that one.
    Crossing,
    /// When they are due.
    WhenDue,
    /// Only after the last event.
    Afterwards,
}

/// What the provider does.
#[derive(Clone, Copy, Debug)]
struct Provider {
    /// What it said before it came to its final truth.
    before: Status,
    /// Its final truth.
    truth: Truth,
    /// Whether it comes to it only when the first event that says so is about to arrive, not before all of them.
    at_the_last_moment: bool,
    /// Whether it answers from a copy that lags behind.
    outdated: bool,
}

impl Provider {
    fn all() -> Vec<Provider> {
        let mut all = Vec::new();
        for truth in TRUTHS {
            let before = VERDICTS.into_iter().filter(|before| Some(*before) != truth);
            for (place, before) in before.enumerate() {
                let outdated = Provider {
                    before,
                    truth,
                    at_the_last_moment: false,
                    outdated: true,
                };
                all.push(outdated);
                // No answer shows what was before then.
                all.extend((place == 0).then_some(Provider {
                    outdated: false,
                    ..outdated
                }));
                // No event says that there is no verdict any more.
                all.extend(truth.map(|_| Provider {
                    at_the_last_moment: true,
                    ..outdated
                }));
            }
        }
        all
    }
}

/// One search.
struct Search {
    who: Who,
    provider: Provider,
    looking: Looking,
    left: [u8; EVENTS.len()],
    heard: Vec<Status>,
    /// How many orders there are from a situation on that was followed already.
    followed: HashMap<([u8; EVENTS.len()], String), usize>,
}

impl Search {
    /// Follows every order, and counts them.
    fn run(world: &mut World, provider: Provider, looking: Looking) -> usize {
        world.tried(|world| {
            let who = world.person();
            world.link(who, Ask::default());
            world.advance(Duration::from_secs(60));
            world.submit(who);
            // Every event was true once.
            for passing in VERDICTS {
                if passing != provider.before && Some(passing) != provider.truth {
                    world.decide(who, Some(passing));
                }
            }
            world.decide(who, Some(provider.before));
            world.advance(LAG);
            if !provider.at_the_last_moment {
                world.decide(who, provider.truth);
            }
            let mut search = Search {
                who,
                provider,
                looking,
                left: [2; EVENTS.len()],
                heard: Vec::new(),
                followed: HashMap::new(),
            };
            search.further(world)
        })
    }

    fn further(&mut self, world: &mut World) -> usize {
        let situation = (self.left, world.situation(self.who));
        if let Some(orders) = self.followed.get(&situation) {
            return *orders;
        }
        let mut orders = 0;
        if self.left == [0; EVENTS.len()] {
            orders = 1;
            world.tried(|world| self.rest(world));
        }
        for (place, event) in EVENTS.into_iter().enumerate() {
            if self.left[place] == 0 {
                continue;
            }
            self.left[place] -= 1;
            self.heard.push(event);
            orders += world.tried(|world| {
                self.step(world, event);
                self.further(world)
            });
            self.heard.pop();
            self.left[place] += 1;
        }
        self.followed.insert(situation, orders);
        orders
    }

    fn step(&self, world: &mut World, event: Status) {
        let (who, outdated) = (self.who, self.provider.outdated);
        let on_its_way = match self.looking {
            Looking::Always | Looking::WhenDue | Looking::Afterwards => None,
            Looking::Across | Looking::Crossing => Some(world.ask(who, outdated)),
        };
        let first = self.heard.iter().filter(|heard| **heard == event).count() == 1;
        if self.provider.at_the_last_moment && self.provider.truth == Some(event) && first {
            world.decide(who, self.provider.truth);
        }
        world.deliver(who, event);
        match self.looking {
            Looking::Always => world.look(who, outdated),
            Looking::Crossing => world.look(who, false),
            Looking::WhenDue => world.pass(Duration::from_secs(12), outdated),
            Looking::Across | Looking::Afterwards => {}
        }
        if let Some(answered) = on_its_way {
            world.settle(&answered);
        }
        self.check(world);
        world.advance(Duration::from_secs(2));
    }

    fn check(&self, world: &World) {
        if let Some(wrong) = world.wrong {
            panic!("{wrong}: {}", self.story());
        }
    }

    /// Nothing more is sent: the ladder suffices to come to any truth, and two days where there is none.
    fn rest(&self, world: &mut World) {
        let hours = if self.provider.truth.is_none() { 54 } else { 1 };
        world.pass(Duration::from_secs(hours * 3600), self.provider.outdated);
        self.check(world);
        let user = world.user(self.who);
        let shown = user.state().shown();
        match self.provider.truth {
            Some(truth) => assert_eq!(shown, truth, "{}", self.story()),
            None => {
                assert_ne!(shown, Status::Verified, "{}", self.story());
                let reported = user.conflict || user.held.is_some() || user.state().is_doubted();
                // What the provider itself has taken back needs no report.
                let last = self
                    .heard
                    .iter()
                    .rfind(|event| **event != Status::Submitted);
                let decided = user.status.is_final() || last.is_some_and(|last| last.is_final());
                assert!(reported || !decided, "{}", self.story());
            }
        }
    }

    fn story(&self) -> String {
        format!(
            "heard {:?}, looking {:?}, with {:?}",
            self.heard, self.looking, self.provider
        )
    }
}

fn every_order(looking: Looking, modes: &[TrustPolicy]) {
    for confirm in modes {
        let mut world = World::new(*confirm);
        for provider in Provider::all() {
            assert_eq!(Search::run(&mut world, provider, looking), ORDERS);
        }
    }
}

const BOTH: [TrustPolicy; 2] = [TrustPolicy::OnConflict, TrustPolicy::BeforeFinal];

#[test]
fn every_order_ends_in_the_truth_with_a_look_after_every_event() {
    every_order(Looking::Always, &BOTH);
}

#[test]
fn every_order_ends_in_the_truth_with_a_look_on_its_way_over_every_event() {
    every_order(Looking::Across, &BOTH[..1]);
}

#[test]
fn every_order_ends_in_the_truth_with_two_looks_that_cross_over_every_event() {
    every_order(Looking::Crossing, &BOTH[..1]);
}

#[test]
fn every_order_ends_in_the_truth_with_looks_when_they_are_due() {
    every_order(Looking::WhenDue, &BOTH[..1]);
}

#[test]
fn every_order_ends_in_the_truth_with_looks_after_the_last_event() {
    every_order(Looking::Afterwards, &BOTH);
}
