//! The steps of a search: what may happen in a world, and what comes of it.

use stateright::Model;

use super::time::Timer;
use super::world::{Check, NO_SESSION, NoVerdict, Reading, VERDICTS, World};
use super::{May, Piece, Property, Search};
use crate::kyc::status::Status;
use crate::kyc::verification::{Event, Link, link};

use Status::{InReview, Rejected, Verified};

impl Search {
    fn may_be_quick(&self, world: &World) -> bool {
        self.may(May::QuickChange) && world.outdated.is_some()
    }

    fn readings(world: &World) -> impl Iterator<Item = Reading> {
        [Some(world.truth), world.outdated].into_iter().flatten()
    }

    fn link_steps(&self, world: &World, steps: &mut Vec<Step>) {
        let several = if self.may(May::SecondLink) { 2 } else { 1 };
        if link(world.state, false) == Link::Current && world.links < several {
            let (made, quickly) = (true, false);
            steps.push(Step::Link { made, quickly });
            if self.may_be_quick(world) {
                let quickly = true;
                steps.push(Step::Link { made, quickly });
            }
            if self.may(May::LostLink) {
                let made = false;
                steps.push(Step::Link { made, quickly });
            }
        }
        for force_new in [false, true] {
            if matches!(link(world.state, force_new), Link::Next(_))
                && world.state.attempt < self.attempts
                && (self.may(May::ForceNew) || !force_new)
                && (world.state.status == Verified) == force_new
            {
                let ask = |reading| Step::NextAttempt { force_new, reading };
                steps.extend(Search::readings(world).map(ask));
            }
        }
    }

    fn check_steps(&self, world: &World, steps: &mut Vec<Step>) {
        let last = usize::from(self.may(May::Overlap));
        let due = self.has(Piece::Sweep) || !world.looks.is_sweep();
        let in_order = self.may(May::OnlyInOrder);
        if due && world.checks[last].is_none() && (!in_order || world.is_check_due()) {
            if self.may(May::ReadLater) {
                steps.push(Step::CheckBegins(None));
            } else {
                steps.extend(Search::readings(world).map(|read| Step::CheckBegins(Some(read))));
            }
        }
        for (place, check) in world.checks.iter().enumerate() {
            match check {
                Some(Check { reading: None, .. }) => {
                    steps.extend(Search::readings(world).map(|read| Step::CheckReads(place, read)));
                }
                Some(_) => steps.push(Step::CheckSettles(place)),
                None => {}
            }
            if check.is_some() && !in_order {
                steps.push(Step::CheckFails(place));
            }
        }
    }

    fn time_steps(&self, world: &World, steps: &mut Vec<Step>) {
        let waits = world.checks[0].is_some() || !world.looks.is_sweep() && world.is_check_due();
        if self.may(May::OnlyInOrder) && waits {
            return;
        }
        if !world.young.is_empty() {
            steps.push(Step::ThirtySecondsPass);
        }
        if self.may(May::OnlyInOrder) && !world.young.is_empty() {
            return;
        }
        if !world.ladder_over && !world.looks.is_sweep() && !world.young.has(Timer::Hint) {
            steps.push(Step::LadderEnds);
        }
        if world.no_verdict == NoVerdict::Lately {
            steps.push(Step::ADayPasses);
        }
        let unconfirmed = world.state.status == Verified && world.state.unconfirmed.is_some();
        if unconfirmed && !world.young.has(Timer::Applied) && !world.ghosts.over {
            steps.push(Step::UnconfirmedForPasses);
        }
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    ProviderDecides(Option<Status>, bool),
    EventArrives(Event, bool),
    ThirtySecondsPass,
    LadderEnds,
    ADayPasses,
    UnconfirmedForPasses,
    ClockIsSetBack,
    CheckBegins(Option<Reading>),
    CheckReads(usize, Reading),
    CheckSettles(usize),
    CheckFails(usize),
    Link { made: bool, quickly: bool },
    NextAttempt { force_new: bool, reading: Reading },
    Override(Status),
    Registration,
    Erasure,
}

impl Model for Search {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self);
        world.forget(self);
        vec![world]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let honest = !self.may(May::OnlyInOrder) || world.ghosts.delivered;
        if world.truth.session != NO_SESSION && honest {
            let changes = VERDICTS.into_iter();
            let changes = changes.filter(|verdict| *verdict != world.truth.verdict);
            let possible = |verdict: &Option<Status>| match verdict {
                None => !self.may(May::OnlyInOrder),
                Some(InReview) => self.may(May::Review),
                Some(_) => true,
            };
            for verdict in changes.filter(possible) {
                steps.push(Step::ProviderDecides(verdict, false));
                if self.may_be_quick(world) {
                    steps.push(Step::ProviderDecides(verdict, true));
                }
            }
        }
        for event in world.events(self) {
            steps.push(Step::EventArrives(event, true));
            if self.may(May::FullCap) && event.target == Verified {
                steps.push(Step::EventArrives(event, false));
            }
        }
        if !world.registered {
            steps.push(Step::Registration);
            if !world.young.is_empty() {
                steps.push(Step::ThirtySecondsPass);
            }
            return;
        }
        self.time_steps(world, steps);
        self.check_steps(world, steps);
        if self.may(May::Link) {
            self.link_steps(world, steps);
        }
        if self.may(May::ClockSetBack) {
            steps.push(Step::ClockIsSetBack);
        }
        if self.may(May::Override) {
            steps.extend([Verified, InReview, Rejected].map(Step::Override));
        }
        if self.may(May::Erasure) {
            steps.push(Step::Erasure);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::ProviderDecides(verdict, quickly) => {
                let session = world.truth.session;
                world.becomes_true(Reading { session, verdict }, quickly);
            }
            Step::EventArrives(event, room) => world.arrive(event, room, self),
            Step::ThirtySecondsPass => world.grow_old(),
            Step::LadderEnds => world.ladder_over = true,
            Step::ADayPasses => world.no_verdict = NoVerdict::ForADay,
            Step::UnconfirmedForPasses => world.time_out(self),
            Step::ClockIsSetBack => world.set_clock_back(self),
            Step::CheckBegins(reading) => {
                let mut check = world.begin();
                if let Some(reading) = reading {
                    world.read(&mut check, reading);
                    if self.may(May::OnlyInOrder) && reading == world.truth {
                        world.outdated = None;
                    }
                }
                let free = world.checks.iter_mut().find(|place| place.is_none());
                *free? = Some(check);
            }
            Step::CheckReads(place, reading) => {
                let mut check = world.checks[place]?;
                world.read(&mut check, reading);
                world.checks[place] = Some(check);
            }
            Step::CheckSettles(place) => {
                let check = world.checks[place].take()?;
                world.settle(check, check.reading?, self);
            }
            Step::CheckFails(place) => world.checks[place] = None,
            Step::Link { made, quickly } => world.call_for_link(made, quickly),
            Step::NextAttempt { force_new, reading } => {
                world.ask_for_link(force_new, reading, self);
            }
            Step::Override(status) => world.overrule(status),
            Step::Registration => world.register(self),
            Step::Erasure => world.erase(self),
        }
        let verified = world.state.shown() == Verified;
        world.ghosts.shown(verified);
        world.forget(self);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<stateright::Property<Search>> {
        let asked = |property: &Property| self.asks.contains(property);
        let asked = Property::ALL.into_iter().filter(asked);
        asked
            .map(|property| stateright::Property::always(property.name(), property.condition()))
            .collect()
    }
}
