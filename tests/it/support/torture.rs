//! How much is tortured, and the chance in it.

use std::io::Write;
use std::time::Duration;

/// Reads a variable that sizes the tests; none of them is a setting of the service.
#[expect(
    clippy::disallowed_methods,
    reason = "it is about the tests and no setting of the service"
)]
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap())
}

/// Whether all is to be done at full size, and nothing left out.
pub fn in_full() -> bool {
    variable("KYC_TORTURE").is_some()
}

/// How often: the first number, or the second where all is done at full size.
pub fn times(few: u64, many: u64) -> u64 {
    if in_full() { many } else { few }
}

/// Says what a test cannot do here, even where what passing tests print is not shown; fails where nothing may be left out.
pub fn skip(what: &str) {
    assert!(!in_full(), "cannot be done here: {what}");
    tell(&format!("SKIPPED, cannot be done here: {what}"));
}

/// Says something whether or not the test passes; what is printed by macros is not shown then.
pub fn tell(text: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{text}").unwrap();
}

/// Chance that can be repeated (splitmix64).
pub struct Dice(u64);

impl Dice {
    /// Of `KYC_TORTURE_SEED`, or of any; says which.
    pub fn new() -> Dice {
        let any = || uuid::Uuid::now_v7().as_u64_pair().1;
        let seed = variable("KYC_TORTURE_SEED").unwrap_or_else(any);
        println!("KYC_TORTURE_SEED={seed}");
        Dice(seed)
    }

    /// From 0, and less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Lets a time pass that is shorter than this.
    pub async fn pause(&mut self, longest: Duration) {
        let micros = u64::try_from(longest.as_micros()).unwrap();
        tokio::time::sleep(Duration::from_micros(self.below(micros))).await;
    }
}
