//! What happens in a run, written down before it begins: who does what, what goes wrong meanwhile, how much time passes.
//!
//! It follows from the seed alone and from nothing that is answered, so that the same seed plays the same run again.

use std::time::Duration;

use crate::capa::sandbox::{Fault, Mode};

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whom it is about, as a place in the list of people.
    pub person: usize,
    /// What is done.
    pub act: Act,
    /// What the provider does wrong from now on; without it, it goes on as before.
    pub fault: Option<Fault>,
    /// Whether all webhooks on their way are waited for before time goes on.
    pub waits: bool,
    /// How much time passes afterwards.
    pub pause: Duration,
}

/// What is done in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The partner asks for a link; `true` insists on a new one.
    Link(bool),
    /// The person passes, or a reviewer decides so.
    Verify,
    /// The person fails.
    Reject,
    /// A reviewer has to look.
    Review,
    /// A webhook that was acknowledged before is sent again, byte for byte; the number picks which.
    Replay(usize),
    /// A webhook comes whose signature is wrong, in the way that the number picks.
    Forge(usize),
    /// A request comes that is wrong, in the way that the number picks.
    Misuse(usize),
    /// The other partner asks for the person.
    Spy,
    /// A reviewer has to look, and in the middle of that the service is cut off and started anew.
    Restart,
    /// The same, with more time between than the provider repeats its webhooks; the person passes meanwhile.
    Standstill,
    /// Only time passes.
    Rest,
}

impl Act {
    /// What the acts of this kind are called in the summary.
    pub const fn name(self) -> &'static str {
        match self {
            Act::Link(_) => "requests for a link",
            Act::Verify | Act::Reject | Act::Review => "verdicts",
            Act::Replay(_) => "replays",
            Act::Forge(_) => "forgeries",
            Act::Misuse(_) => "malformed requests",
            Act::Spy => "foreign reads",
            Act::Restart => "restarts",
            Act::Standstill => "standstills",
            Act::Rest => "rests",
        }
    }
}

/// The steps of the run of that seed. In the middle of every run stands one of each act that a short run might miss.
pub fn script(seed: u64, people: usize, steps: usize) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut script: Vec<Step> = (0..steps).map(|_| step(&mut dice, people)).collect();
    let never_missing = [Act::Standstill, Act::Forge(0), Act::Misuse(0), Act::Spy];
    let middle = script.iter_mut().skip(steps / 2);
    for (step, act) in middle.zip(never_missing) {
        step.act = act;
    }
    script
}

/// Draws the same numbers for every kind of step, so that one kind can change without changing all that follows.
fn step(dice: &mut Dice, people: usize) -> Step {
    let (person, kind, which, fault) = (
        dice.below(people),
        dice.below(100),
        dice.next(),
        dice.next(),
    );
    let which = usize::try_from(which >> 16).unwrap_or(0);
    let act = match kind {
        0..20 => Act::Link(false),
        20..24 => Act::Link(true),
        24..42 => Act::Verify,
        42..54 => Act::Reject,
        54..62 => Act::Review,
        62..71 => Act::Replay(which),
        71..77 => Act::Forge(which),
        77..84 => Act::Misuse(which),
        84..90 => Act::Spy,
        90..94 => Act::Restart,
        94..95 => Act::Standstill,
        _ => Act::Rest,
    };
    Step {
        person,
        act,
        fault: (fault % 2 == 0).then(|| self::fault(Dice(fault), act)),
        waits: dice.below(2) == 0,
        pause: Duration::from_secs(1 + dice.below(600) as u64),
    }
}

/// Requests for a link meet what goes wrong with requests; the rest meets anything.
fn fault(mut dice: Dice, act: Act) -> Fault {
    let kind = match act {
        Act::Link(_) => 27 + dice.below(13),
        _ => dice.below(40),
    };
    let mode = match kind {
        0..5 => Mode::Drop,
        5..10 => Mode::Duplicate,
        10..15 => Mode::Reorder,
        15..20 => Mode::Delay,
        20..24 => Mode::Corrupt,
        24..27 => Mode::Lag,
        27..30 => Mode::Error500,
        30..33 => Mode::RateLimited429,
        33..36 => Mode::Garbage,
        36..39 => Mode::Html,
        _ => Mode::Slow,
    };
    let (count, seconds) = match mode {
        // It waits in real time, for longer than the service has patience.
        Mode::Slow => (1, 2),
        _ => (1 + dice.below(4), 60 + dice.below(540)),
    };
    Fault {
        mode,
        count: u32::try_from(count).ok(),
        seconds: seconds as u64,
    }
}

/// A small generator of numbers that look random (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_writes_the_same_script_and_another_seed_another() {
        assert_eq!(script(7, 5, 200), script(7, 5, 200));
        assert_ne!(script(7, 5, 200), script(8, 5, 200));
    }

    #[test]
    fn a_long_script_has_every_act_and_every_fault_in_it() {
        let script = script(1, 40, 2_000);
        let mut acts: Vec<_> = script.iter().map(|step| step.act.name()).collect();
        acts.sort_unstable();
        acts.dedup();
        assert_eq!(acts.len(), 9);
        let modes = script.iter().filter_map(|step| Some(step.fault?.mode));
        let mut modes: Vec<_> = modes.map(|mode| format!("{mode:?}")).collect();
        modes.sort_unstable();
        modes.dedup();
        assert_eq!(modes.len(), 11);
    }
}
