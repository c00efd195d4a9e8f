//! Whoever has recorded webhooks and sends them again changes no answer: a week of a thousand users, then every
//! `VERIFIED_USER` and `CREATED_KYC` of it ten times over, before and after further links.
//!
//! Everything sent arrived in that week, late or twice perhaps: what never arrived would be news and no replay. And the
//! cost of a storm of one event is a handful of looks.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{Ask, Truth, Who, World};
use crate::db::secrets::Secret;
use crate::db::transitions;
use crate::kyc::status::Status;
use crate::kyc::verification::TrustPolicy;
use crate::start_pages::StartPages;
use crate::web::documents::{LinkedUserDocument, TransitionDocument};

const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);
const TIMES: usize = 10;

/// Chance that can be had again: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn shuffle<T>(&mut self, cards: &mut [T]) {
        for last in (1..cards.len()).rev() {
            let other = self.below(last + 1);
            cards.swap(last, other);
        }
    }
}

/// The week.
struct Week {
    users: usize,
    world: World,
    dice: Dice,
    sent: Vec<(Who, Status)>,
    late: Vec<(Who, Status)>,
}

impl Week {
    /// Lives through it, until all is at rest.
    fn lived(confirm: TrustPolicy, users: usize) -> Week {
        let mut world = World::new(confirm);
        // The service has a thousand users to see to, so that it looks a little later than it might.
        world.grain = Duration::from_secs(60);
        let mut week = Week {
            users,
            world,
            dice: Dice(0x9e37_79b9_7f4a_7c15),
            sent: Vec::new(),
            late: Vec::new(),
        };
        for _ in 0..users {
            let who = week.world.person();
            week.world.link(who, Ask::default());
        }
        for _ in 0..14 {
            for who in 0..users {
                week.something(who);
            }
            week.world.pass(HALF_A_DAY, false);
            let mut late = std::mem::take(&mut week.late);
            week.dice.shuffle(&mut late);
            for (who, event) in late {
                week.world.deliver(who, event);
            }
        }
        week.world.pass(HALF_A_DAY * 6, false);
        week
    }

    fn something(&mut self, who: Who) {
        match self.dice.below(8) {
            0 | 1 => {
                let begun = self.world.submit(who);
                begun.then(|| self.send(who, Status::Submitted));
            }
            2 | 3 => self.decide(who),
            4 if self.world.user(who).state().shown() == Status::Rejected => {
                self.world.link(who, Ask::default());
            }
            5 if self.dice.one_in(10) => {
                let force_new = Ask {
                    force_new: true,
                    ..Ask::default()
                };
                self.world.link(who, force_new);
            }
            6 if self.dice.one_in(10) => {
                let statuses = [Status::InReview, Status::Verified, Status::Rejected];
                self.world.overrule(who, self.dice.pick(&statuses));
            }
            _ => {}
        }
    }

    fn decide(&mut self, who: Who) {
        let (verified, rejected) = (Some(Status::Verified), Some(Status::Rejected));
        let in_review = Some(Status::InReview);
        let truths: [Truth; 6] = [None, in_review, verified, verified, rejected, rejected];
        let truth = self.dice.pick(&truths);
        if self.world.decide(who, truth)
            && let Some(event) = truth
        {
            self.send(who, event);
        }
    }

    fn send(&mut self, who: Who, event: Status) {
        self.sent.push((who, event));
        match self.dice.below(5) {
            0 => self.late.push((who, event)),
            1 => {
                self.late.push((who, event));
                self.world.deliver(who, event);
            }
            _ => {
                self.world.deliver(who, event);
            }
        }
    }

    /// Sends every recorded event of the two kinds again and again, in any order, and lets two days pass.
    fn replay(&mut self) {
        let kinds = [Status::Verified, Status::Submitted];
        let recorded = self.sent.iter().filter(|(_, event)| kinds.contains(event));
        let mut again: Vec<_> = recorded.copied().collect();
        again = again.repeat(TIMES);
        self.dice.shuffle(&mut again);
        for some in again.chunks(40) {
            for (who, event) in some {
                self.world.deliver(*who, *event);
            }
            self.world.pass(Duration::from_secs(1), false);
        }
        self.world.pass(HALF_A_DAY * 4, false);
    }

    /// All that partners are told: every user and its history. When the provider last confirmed it may change.
    fn answers(&mut self) -> Vec<Value> {
        (0..self.users)
            .map(|who| answer(&mut self.world, who))
            .collect()
    }

    fn assert_unchanged(&mut self, before: &[Value]) {
        assert_eq!(self.world.wrong, None);
        let after = self.answers();
        let changed = before.iter().zip(&after).find(|(then, now)| then != now);
        if let Some((then, now)) = changed {
            panic!("a replay changed\n{then:#}\nto\n{now:#}");
        }
    }
}

fn answer(world: &mut World, who: Who) -> Value {
    let user = world.user(who);
    let history = transitions::of_user(&mut world.conn, &user).unwrap();
    let history: Vec<_> = history.into_iter().map(TransitionDocument::from).collect();
    let public_url = "https://kyc.example".parse().unwrap();
    let start_pages = StartPages::new(&public_url, &Secret([7; 32]));
    let mut told = serde_json::to_value(LinkedUserDocument::new(&start_pages, user)).unwrap();
    told.as_object_mut().unwrap().remove("asOf");
    json!({"user": told, "history": history})
}

fn replays_change_nothing(confirm: TrustPolicy, users: usize) {
    let mut week = Week::lived(confirm, users);
    let before = week.answers();
    week.replay();
    week.assert_unchanged(&before);

    let mut links = 0;
    for who in 0..users {
        if week.world.user(who).state().shown() == Status::Rejected {
            assert!(week.world.link_at_last(who, Ask::default()));
            links += 1;
        }
    }
    assert!(links > users / 10, "{links}");
    let before = week.answers();
    week.replay();
    week.assert_unchanged(&before);
}

#[test]
fn replays_change_no_answer() {
    replays_change_nothing(TrustPolicy::OnConflict, 1_000);
}

#[test]
fn replays_change_no_answer_where_verified_waits_for_confirmation() {
    replays_change_nothing(TrustPolicy::BeforeFinal, 200);
}

#[test]
fn a_thousand_repeats_in_ten_seconds_cause_six_looks_at_most() {
    for truth in [Status::Verified, Status::Rejected] {
        let mut world = World::new(TrustPolicy::OnConflict);
        let who = world.person();
        world.link(who, Ask::default());
        world.submit(who);
        world.decide(who, Some(truth));
        world.deliver(who, truth);
        world.pass(HALF_A_DAY, false);
        let before = world.gets;
        for _ in 0..1_000 {
            world.deliver(who, Status::Verified);
            world.pass(Duration::from_millis(10), false);
        }
        world.pass(Duration::from_secs(40 * 60), false);
        let gets = world.gets - before;
        assert!((4..=6).contains(&gets), "{gets} looks");
    }
}
