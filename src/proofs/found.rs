//! Histories that once broke the rule, found by the searches beside this file and kept as short as they came out.

use std::time::Duration;

use super::world::{Ask, Truth, Who, World};
use crate::kyc::status::Status;
use crate::kyc::verification::TrustPolicy;

const REJECTED: Truth = Some(Status::Rejected);
const VERIFIED: Truth = Some(Status::Verified);
const MINUTE: Duration = Duration::from_secs(60);

fn begun() -> (World, Who) {
    let mut world = World::new(TrustPolicy::OnConflict);
    let who = world.person();
    world.link(who, Ask::default());
    world.submit(who);
    (world, who)
}

#[test]
fn an_outdated_answer_that_agrees_with_a_doubt_does_not_pass_over_the_rejection_heard_last() {
    let (mut world, who) = begun();
    world.decide(who, VERIFIED);
    world.pass(MINUTE / 2, false);
    world.decide(who, REJECTED);
    for event in [Status::Rejected, Status::Verified, Status::Rejected] {
        world.deliver(who, event);
    }
    world.look(who, true);
    assert_eq!(world.wrong, None);
    assert_eq!(world.user(who).state().shown(), Status::Rejected);
}

#[test]
fn an_attempt_without_a_link_takes_no_verdict_of_the_session_before() {
    let (mut world, who) = begun();
    world.decide(who, REJECTED);
    world.deliver(who, Status::Rejected);
    let cut_short = Ask {
        cut_short: true,
        ..Ask::default()
    };
    world.link(who, cut_short);
    world.pass(MINUTE * 2, false);
    let user = world.user(who);
    assert_eq!((user.attempt, user.status), (2, Status::Pending));
    assert!(world.link_at_last(who, Ask::default()));
}

#[test]
fn a_verdict_that_the_provider_took_back_is_not_brought_back_by_a_replay() {
    let (mut world, who) = begun();
    world.decide(who, VERIFIED);
    world.deliver(who, Status::Verified);
    world.decide(who, Some(Status::InReview));
    world.pass(MINUTE, false);
    assert_eq!(world.user(who).status, Status::InReview);
    world.deliver(who, Status::Verified);
    assert_eq!(world.user(who).status, Status::InReview);
}
