//! Runs of `kyc-tracker chaos` as anybody would start them, each of a seed that is known to meet much.

use crate::support::process::run;

/// Every promise that a run can judge is kept, and the judge had something to judge each by.
fn keeps_every_promise(seed: &str, confirm: &str) {
    let output = run(&[
        "chaos",
        "--seed",
        seed,
        "--users",
        "6",
        "--confirm",
        confirm,
    ]);
    let said = String::from_utf8(output.stdout).unwrap();
    for number in 1..=7 {
        assert!(said.contains(&format!("\n{number} kept ")), "{said}");
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn every_promise_is_kept_where_a_webhook_decides_at_once() {
    keeps_every_promise("1", "on_conflict");
}

#[test]
fn every_promise_is_kept_where_the_provider_confirms_first() {
    keeps_every_promise("2", "before_final");
}

#[test]
fn the_first_line_repeats_a_run_whose_seed_was_drawn() {
    let output = run(&["chaos", "--users", "1", "--rounds", "4"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let first: Vec<&str> = said.lines().next().unwrap().split(' ').skip(1).collect();
    let again = String::from_utf8(run(&first).stdout).unwrap();
    let beginning = |said: &str| said.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(beginning(&said), beginning(&again));
}
