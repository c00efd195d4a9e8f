//! The judge is fed evidence that breaks a promise and has to say which one.

use super::*;

fn change(attempt: i64, from: Option<&str>, to: &str) -> Change {
    Change {
        attempt,
        from: from.map(str::to_owned),
        to: to.to_owned(),
    }
}

/// What a run sees that keeps every promise.
fn good() -> Evidence {
    let second = Duration::from_secs(1);
    Evidence {
        confirms_first: true,
        webhooks: vec![Webhook {
            name: "CREATED_KYC".to_owned(),
            acknowledged: 2,
            stored: 3,
        }],
        people: vec![Person {
            name: "user-1".to_owned(),
            status: "verified".to_owned(),
            truth: "VERIFIED".to_owned(),
            during_replays: "in_review".to_owned(),
            after_replays: "verified".to_owned(),
            history: vec![
                change(1, None, "pending"),
                change(1, Some("pending"), "rejected"),
                change(2, None, "pending"),
                change(2, Some("pending"), "verified"),
            ],
        }],
        reads: 9,
        unfounded: Vec::new(),
        unanswered: Vec::new(),
        forgeries: vec![Forgery {
            what: "a forgery",
            status: 401,
            changed: false,
        }],
        foreign: vec![Foreign {
            path: "/user-1".to_owned(),
            other: (404, "none".to_owned()),
            nobody: (404, "none".to_owned()),
        }],
        searched: 3,
        leaks: Vec::new(),
        calls: vec![Call {
            status: 503,
            code: Some("provider_unavailable".to_owned()),
            says_when: true,
            took: second,
            read: (200, second),
        }],
        misuses: vec![Misuse {
            what: "a mistake",
            status: 422,
            code: Some("invalid_request".to_owned()),
        }],
    }
}

/// The numbers of the promises that are broken once the good evidence has been spoilt.
fn broken(spoil: impl FnOnce(&mut Evidence)) -> Vec<u8> {
    let mut evidence = good();
    spoil(&mut evidence);
    let judgements = judge(&evidence);
    let broken = judgements.iter().filter(|judgement| !judgement.is_kept());
    broken.map(|judgement| judgement.number).collect()
}

#[test]
fn good_evidence_keeps_every_promise_and_none_at_all_keeps_none() {
    assert_eq!(broken(|_| {}), [0; 0]);
    assert_eq!(
        broken(|all| *all = Evidence::default()),
        [1, 2, 3, 4, 5, 6, 7]
    );
}

#[test]
fn a_lost_webhook_and_a_doubled_transition_break_the_first_promise() {
    assert_eq!(broken(|all| all.webhooks[0].stored = 1), [1]);
    let double = |all: &mut Evidence| {
        let history = &mut all.people[0].history;
        history.insert(1, change(1, Some("pending"), "rejected"));
    };
    assert_eq!(broken(double), [1]);
}

#[test]
fn a_status_beside_the_truth_breaks_the_second_promise() {
    for (truth, status, kept) in [
        ("VERIFIED", "rejected", false),
        ("VERIFIED", "pending", false),
        ("REJECTED", "verified", false),
        ("REVIEW_NEEDED", "submitted", false),
        ("UNKNOWN", "verified", false),
        ("UNKNOWN", "pending", true),
    ] {
        let numbers = broken(|all| {
            let person = &mut all.people[0];
            person.truth = truth.to_owned();
            person.status = status.to_owned();
            person.during_replays = status.to_owned();
            person.after_replays = status.to_owned();
        });
        assert_eq!(numbers.is_empty(), kept, "{status} for {truth}");
        assert!(kept || numbers == [2], "{numbers:?}");
    }
}

#[test]
fn whatever_a_forgery_or_a_replay_achieves_breaks_the_third_promise() {
    assert_eq!(broken(|all| all.forgeries[0].status = 204), [3]);
    assert_eq!(broken(|all| all.forgeries[0].changed = true), [3]);
    assert_eq!(broken(|all| all.unfounded.push("user-2".to_owned())), [3]);
    let replay = |all: &mut Evidence| all.people[0].after_replays = "in_review".to_owned();
    assert_eq!(broken(replay), [3]);
    for (confirms_first, status, kept) in [
        (true, "pending", false),
        (false, "pending", true),
        (false, "rejected", false),
    ] {
        let numbers = broken(|all| {
            all.confirms_first = confirms_first;
            let person = &mut all.people[0];
            person.truth = if status == "rejected" {
                "REJECTED"
            } else {
                "UNKNOWN"
            }
            .to_owned();
            person.status = status.to_owned();
            person.during_replays = "verified".to_owned();
            person.after_replays = status.to_owned();
        });
        assert_eq!(numbers.is_empty(), kept, "{confirms_first} {status}");
    }
}

#[test]
fn what_tells_another_partner_anything_breaks_the_fourth_promise() {
    assert_eq!(broken(|all| all.foreign[0].other.0 = 403), [4]);
    assert_eq!(
        broken(|all| all.foreign[0].other.1 = "hers".to_owned()),
        [4]
    );
}

#[test]
fn traces_unclear_failures_and_server_errors_break_the_last_three() {
    assert_eq!(broken(|all| all.leaks.push("a name".to_owned())), [5]);
    assert_eq!(broken(|all| all.calls[0].says_when = false), [6]);
    assert_eq!(broken(|all| all.calls[0].code = None), [6]);
    assert_eq!(broken(|all| all.calls[0].took = PATIENCE * 2), [6]);
    assert_eq!(broken(|all| all.calls[0].read.0 = 503), [6]);
    assert_eq!(broken(|all| all.unanswered.push("500".to_owned())), [6]);
    assert_eq!(broken(|all| all.misuses[0].status = 500), [7]);
    assert_eq!(broken(|all| all.misuses[0].code = None), [7]);
}

#[test]
fn a_judgement_is_one_line_and_its_breaches_stand_below() {
    let mut evidence = good();
    evidence.people[0].truth = "REJECTED".to_owned();
    let judgements = judge(&evidence);
    assert_eq!(
        judgements[0].to_string(),
        "1 kept    Acknowledged means durable: 2 of 2 webhooks with a 204 are stored, 4 transitions were read."
    );
    assert_eq!(
        judgements[1].to_string(),
        "2 broken  Converges: 0 of 1 users stand where the provider's truth is.\n            user-1 reads verified and the provider says REJECTED (1: nothing to pending, 1: pending to rejected, 2: nothing to pending, 2: pending to verified)"
    );
}
