//! Random histories end in the provider's truth: it changes its mind, events are lost, late, doubled and replayed, further
//! attempts are opened, looks cross each other, and the service stands still or dies at any moment.
//!
//! One thing is taken for granted: nobody gets a verdict and asks for the next link so soon after handing something in
//! that the provider's lagging copy has not heard of that session yet.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::world::{Answered, Ask, LAG, Truth, Who, World};
use crate::db;
use crate::kyc::status::Status;
use crate::kyc::verification::TrustPolicy;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// The partner asks for a link.
    Link(Ask),
    /// The person hands everything in.
    Submit,
    /// The provider comes to that verdict, or has none any more.
    Decide(Truth),
    /// An event on its way arrives.
    Arrive(Index),
    /// It arrives, and will arrive again.
    Double(Index),
    /// It never arrives.
    Lose(Index),
    /// Anything ever sent arrives again.
    Replay(Index),
    /// Somebody asks where the user stands: a whole look.
    Look { outdated: bool },
    /// A look is answered, and the answer is on its way.
    Ask { outdated: bool },
    /// An answer on its way arrives.
    Answer(Index),
    /// The service dies: no answer on its way arrives any more.
    Crash,
    /// Time passes, with looks when they are due.
    Run { seconds: u64, outdated: bool },
    /// Time passes, and the service stands still.
    Stop { seconds: u64 },
}

/// When the clock jumps ahead and when it is put right, by the number of the step before, and how far.
#[derive(Clone, Copy, Debug)]
struct Jump {
    ahead: Index,
    back: Index,
    by: Duration,
}

/// A history, and which of what is on its way at its end arrives.
#[derive(Clone)]
struct History {
    steps: Vec<Step>,
    jump: Option<Jump>,
    arrives: Vec<bool>,
}

/// One line for each step, also where more would be wanted.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "\n    {step:?}")?;
        }
        if let Some(jump) = &self.jump {
            let length = self.steps.len();
            let (ahead, back) = (jump.ahead.index(length), jump.back.index(length));
            write!(
                f,
                "\n    the clock jumps ahead by {:?} before step {ahead} and back before {back}",
                jump.by
            )?;
        }
        write!(f, "\n    then arrives {:?}", self.arrives)
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let cut_short = prop::bool::weighted(0.1);
    (any::<bool>(), any::<bool>(), any::<bool>(), cut_short).prop_map(
        |(force_new, shown_at_once, outdated, cut_short)| Ask {
            force_new,
            shown_at_once,
            outdated,
            cut_short,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let truth = prop::sample::select(vec![
        None,
        Some(Status::InReview),
        Some(Status::Verified),
        Some(Status::Verified),
        Some(Status::Rejected),
        Some(Status::Rejected),
    ]);
    let seconds = prop::sample::select(vec![1, 5, 11, 19, 31, 70, 400, 2_400, 7 * 3600, 12 * 3600]);
    prop_oneof![
        2 => ask().prop_map(Step::Link),
        2 => Just(Step::Submit),
        4 => truth.prop_map(Step::Decide),
        5 => any::<Index>().prop_map(Step::Arrive),
        2 => any::<Index>().prop_map(Step::Double),
        1 => any::<Index>().prop_map(Step::Lose),
        2 => any::<Index>().prop_map(Step::Replay),
        2 => any::<bool>().prop_map(|outdated| Step::Look { outdated }),
        3 => any::<bool>().prop_map(|outdated| Step::Ask { outdated }),
        3 => any::<Index>().prop_map(Step::Answer),
        1 => Just(Step::Crash),
        3 => (seconds.clone(), any::<bool>()).prop_map(|(seconds, outdated)| Step::Run { seconds, outdated }),
        2 => seconds.prop_map(|seconds| Step::Stop { seconds }),
    ]
}

fn jump() -> impl Strategy<Value = Jump> {
    let seconds = prop::sample::select(vec![6, 40, 400, 3_600, 90_000]);
    (any::<Index>(), any::<Index>(), seconds).prop_map(|(ahead, back, seconds)| Jump {
        ahead,
        back,
        by: Duration::from_secs(seconds),
    })
}

fn history(jumps: bool) -> impl Strategy<Value = History> {
    let steps = prop::collection::vec(step(), 1..40);
    let arrives = prop::collection::vec(any::<bool>(), 8);
    (steps, jump(), arrives).prop_map(move |(steps, jump, arrives)| History {
        steps,
        jump: Some(jump).filter(|_| jumps),
        arrives,
    })
}

/// A history being played.
struct Play {
    who: Who,
    sent: Vec<Status>,
    on_their_way: Vec<Status>,
    answers: Vec<Answered>,
}

impl Play {
    fn new(world: &mut World) -> Play {
        let who = world.person();
        world.link(who, Ask::default());
        Play {
            who,
            sent: Vec::new(),
            on_their_way: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn send(&mut self, event: Status) {
        self.sent.push(event);
        self.on_their_way.push(event);
    }

    fn step(&mut self, world: &mut World, step: &Step) {
        let who = self.who;
        match step {
            Step::Link(ask) => {
                let young = LAG.saturating_sub(world.shown_for(who));
                world.pass(young, false);
                world.link(who, *ask);
            }
            Step::Submit => {
                if world.submit(who) {
                    self.send(Status::Submitted);
                }
            }
            Step::Decide(truth) => {
                if world.decide(who, *truth)
                    && let Some(event) = truth
                {
                    self.send(*event);
                }
            }
            Step::Arrive(which) => {
                if let Some(place) = place(which, &self.on_their_way) {
                    let event = self.on_their_way.remove(place);
                    world.deliver(who, event);
                }
            }
            Step::Double(which) => {
                if let Some(place) = place(which, &self.on_their_way) {
                    world.deliver(who, self.on_their_way[place]);
                }
            }
            Step::Lose(which) => {
                if let Some(place) = place(which, &self.on_their_way) {
                    self.on_their_way.remove(place);
                }
            }
            Step::Replay(which) => {
                if let Some(place) = place(which, &self.sent) {
                    world.deliver(who, self.sent[place]);
                }
            }
            Step::Look { outdated } => world.look(who, *outdated),
            Step::Ask { outdated } => self.answers.push(world.ask(who, *outdated)),
            Step::Answer(which) => {
                if let Some(place) = place(which, &self.answers) {
                    world.settle(&self.answers.remove(place));
                }
            }
            Step::Crash => self.answers.clear(),
            Step::Run { seconds, outdated } => world.pass(Duration::from_secs(*seconds), *outdated),
            Step::Stop { seconds } => world.advance(Duration::from_secs(*seconds)),
        }
    }

    /// What is on its way arrives or does not; then two days and a quarter pass.
    fn end(&mut self, world: &mut World, arrives: &[bool]) -> Result<(), String> {
        let mut arrives = arrives.iter().cycle();
        for event in self.on_their_way.drain(..) {
            if arrives.next() == Some(&true) {
                world.deliver(self.who, event);
            }
        }
        for answered in self.answers.drain(..) {
            if arrives.next() == Some(&true) {
                world.settle(&answered);
            }
        }
        world.pass(Duration::from_secs(54 * 3600), true);
        never_wrong(world)?;
        let user = world.user(self.who);
        if !db::is_chained(&mut world.conn, &user) {
            return Err("something about the user cannot be reached".to_owned());
        }
        let shown = user.state().shown();
        let truth = world.truth(self.who, user.attempt);
        let right = match truth {
            Some(truth) => shown == truth,
            None => shown != Status::Verified,
        };
        if right {
            Ok(())
        } else {
            Err(format!("{shown} at rest, the truth being {truth:?}"))
        }
    }
}

/// The place of what is meant, if there is anything.
fn place<T>(which: &Index, of: &[T]) -> Option<usize> {
    (!of.is_empty()).then(|| which.index(of.len()))
}

fn never_wrong(world: &World) -> Result<(), String> {
    world.wrong.map_or(Ok(()), |wrong| Err(wrong.to_owned()))
}

fn play(world: &mut World, history: &History) -> Result<(), String> {
    world.tried(|world| {
        let mut play = Play::new(world);
        let place = |index: Index| index.index(history.steps.len());
        for (number, step) in history.steps.iter().enumerate() {
            if let Some(jump) = history.jump {
                if place(jump.ahead) == number {
                    world.jump_ahead(jump.by);
                }
                if place(jump.back) == number {
                    world.put_right();
                }
            }
            play.step(world, step);
            never_wrong(world)?;
        }
        world.put_right();
        play.end(world, &history.arrives)
    })
}

fn random_histories(confirm: TrustPolicy, cases: u32, jumps: bool) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // What a history wrote is undone at its end; after a panic in one the world is of no use any more.
    let world = RefCell::new(None);
    let played = TestRunner::new(config).run(&history(jumps), |history| {
        let mut whole = world.take().unwrap_or_else(|| World::new(confirm));
        let played = play(&mut whole, &history);
        world.replace(Some(whole));
        played.map_err(TestCaseError::fail)
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}

#[test]
fn every_history_ends_in_the_truth() {
    random_histories(TrustPolicy::OnConflict, 5_000, false);
}

#[test]
fn every_history_ends_in_the_truth_where_verified_waits_for_confirmation() {
    random_histories(TrustPolicy::BeforeFinal, 5_000, false);
}

#[test]
fn every_history_ends_in_the_truth_though_the_clock_jumps_ahead_and_back() {
    random_histories(TrustPolicy::OnConflict, 2_500, true);
    random_histories(TrustPolicy::BeforeFinal, 2_500, true);
}
