//! `kyc-tracker chaos`: the service and a sandbox provider in one process, where everything goes wrong that can, and then
//! the question which of the promises were kept.
//!
//! A run follows from its seed: the same seed plays the same steps again, though not with the same interleaving of the
//! network. Hours pass in milliseconds, because the service's clock is driven. The service is cut off without grace but
//! within one process; what a power cut does to the disk is not played.

mod end;
mod judge;
mod play;
mod script;
mod world;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::process::ExitCode;

use actix_web::rt;
use clap::Args;

use judge::judge;
use play::Play;
use script::{Dice, script};
use world::World;

/// How a run is played.
#[derive(Args)]
pub struct Arguments {
    /// Plays the run of this number; without it another one each time, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// How many people there are, shared out among two partners.
    #[arg(long, default_value_t = 40, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
    users: u16,
    /// How many steps are played for each of them.
    #[arg(long, default_value_t = 12, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// How far a webhook is believed (`webhooks.confirm`); without it the seed chooses.
    #[arg(long, value_name = "WHEN", value_parser = CONFIRM)]
    confirm: Option<String>,
}

const CONFIRM: [&str; 2] = ["on_conflict", "before_final"];

/// Prints each promise as kept or broken; a broken one is exit code 1.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // Short ones are easier to type again.
    let random = || RandomState::new().hash_one("seed") % 1_000_000;
    let seed = arguments.seed.unwrap_or_else(random);
    let chosen = CONFIRM[Dice(seed).below(CONFIRM.len())];
    let confirm = arguments.confirm.as_deref().unwrap_or(chosen);
    let Arguments { users, rounds, .. } = arguments;
    println!(
        "kyc-tracker chaos --seed {seed} --users {users} --rounds {rounds} --confirm {confirm}"
    );
    let people = usize::from(*users);
    let script = script(seed, people, people * usize::from(*rounds));
    let evidence = rt::System::new().block_on(async {
        let mut play = Play::new(World::build(confirm).await?, people)?;
        play.evidence.confirms_first = confirm == CONFIRM[1];
        for step in script {
            play.step(step).await?;
        }
        let tally = play
            .tally
            .iter()
            .map(|(act, times)| format!("{times} {act}"));
        println!("{}", tally.collect::<Vec<_>>().join(", "));
        end::end(play).await
    })?;
    let judgements = judge(&evidence);
    for judgement in &judgements {
        println!("{judgement}");
    }
    println!("8 not measured here: see the benchmarks");
    Ok(match judgements.iter().all(judge::Judgement::is_kept) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
