//! The paragraph in both languages, for every combination that it depends on.

use super::*;
use crate::clock::Clock;
use crate::db::users::User;
use crate::db::{in_memory, transitions};
use crate::kyc::verification::Outcome;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const VIEW: View = View {
    now: NOW,
    unconfirmed_for: Duration::from_secs(300),
};

/// A user in its first attempt of whom nothing else is known, on a store of its own.
fn plain() -> Known {
    let (mut conn, clock) = (in_memory(), Clock::driven(NOW));
    let new = users::NewUser {
        id: clock.id(),
        partner: "acme",
        user_id: "u1",
        external_user_id: "e1",
        country: "DO",
        redirect_uri: None,
        status: Status::Pending,
        heard: false,
    };
    let user = transitions::register(&mut conn, &new, NOW).unwrap();
    let memory = looks::of(&mut conn, &user.id).unwrap();
    Known::new(&user.at(VIEW), &memory, &[], &[])
}

fn alter(known: &mut Known, change: impl FnOnce(&mut User)) {
    let mut user = known.user.clone().into_inner();
    change(&mut user);
    known.user = user.at(VIEW);
}

fn delivery(event: Option<&str>, outcome: Outcome, repeats: i64) -> Delivery {
    Delivery {
        id: "d1".to_owned(),
        partner: "acme".to_owned(),
        user_key: None,
        attempt: Some(1),
        external_user_id: Some("e1".to_owned()),
        family: Some("KYC".to_owned()),
        event: event.map(str::to_owned),
        signature: Vec::new(),
        body: None,
        outcome,
        repeats,
        received_at: NOW,
        last_received_at: NOW,
        previous: None,
        secret: None,
        body_length: None,
        body_sha256: None,
    }
}

fn order() -> Override {
    Override {
        id: "o1".to_owned(),
        user_key: "k1".to_owned(),
        attempt: 1,
        admin: "ada".to_owned(),
        reason: "Z9".to_owned(),
        from_status: Status::Pending,
        to_status: Status::Verified,
        at: NOW,
    }
}

/// Whatever the paragraph depends on, in every combination.
fn many() -> Vec<Known> {
    let mut states = vec![plain()];
    let vary = |states: &mut Vec<Known>, ways: &[fn(&mut Known)]| {
        let varied = states.iter().flat_map(|known| {
            ways.iter().map(|way| {
                let mut known = known.clone();
                way(&mut known);
                known
            })
        });
        *states = varied.collect();
    };
    vary(
        &mut states,
        &[
            |known| alter(known, |user| user.status = Status::Pending),
            |known| alter(known, |user| user.status = Status::InReview),
            |known| alter(known, |user| user.status = Status::Verified),
            |known| alter(known, |user| user.status = Status::Rejected),
        ],
    );
    vary(
        &mut states,
        &[
            |_| {},
            |known| alter(known, |user| user.held = Some(Status::Rejected)),
            |known| alter(known, |user| user.held = Some(Status::Verified)),
        ],
    );
    vary(
        &mut states,
        &[
            |_| {},
            |known| alter(known, |user| user.unconfirmed = Some(Unconfirmed::Believed)),
            |known| alter(known, |user| user.unconfirmed = Some(Unconfirmed::TimedOut)),
            |known| alter(known, |user| user.unconfirmed = Some(Unconfirmed::Denied)),
            |known| known.memory.unusable = Some("no_reference".to_owned()),
        ],
    );
    vary(
        &mut states,
        &[
            |known| alter(known, |user| user.source = Source::Link),
            |known| alter(known, |user| user.source = Source::Webhook),
            |known| alter(known, |user| user.source = Source::Provider),
            |known| alter(known, |user| user.source = Source::Manual),
            |known| known.order = Some(order()),
        ],
    );
    vary(
        &mut states,
        &[
            |_| {},
            |known| known.delivery = Some(delivery(Some("VERIFIED_USER"), Outcome::Held, 0)),
            |known| known.delivery = Some(delivery(Some("CREATED_KYC"), Outcome::Stale, 1)),
            |known| known.delivery = Some(delivery(None, Outcome::Unreadable, 0)),
        ],
    );
    vary(
        &mut states,
        &[
            |_| {},
            |known| known.memory.looked_at = Some(NOW),
            |known| (known.memory.looked_at, known.memory.failures) = (Some(NOW), 1),
            |known| (known.memory.looked_at, known.memory.failures) = (Some(NOW), 7),
            |known| {
                known.memory.looked_at = Some(NOW);
                known.memory.provider_word = Some("REVIEW".to_owned());
            },
        ],
    );
    vary(
        &mut states,
        &[
            |_| {},
            |known| known.memory.conflict = true,
            |known| known.memory.step = STALLED,
        ],
    );
    vary(
        &mut states,
        &[
            |known| known.memory.due_at = None,
            |known| known.memory.due_at = Some(NOW),
            |known| known.memory.due_at = Some(NOW.plus(Duration::from_secs(4000))),
        ],
    );
    states
}

/// A full stop ends them, and nothing else in them is one.
fn sentences(paragraph: &str) -> Vec<String> {
    let sentences = paragraph.trim_end_matches('.').split(". ");
    sentences.map(str::to_owned).collect()
}

/// The words that are nobody's language: names, times and the interface's own words.
fn fixed(paragraph: &str) -> Vec<&str> {
    let words = paragraph.split([' ', ',', ';', ':', '“', '”']);
    let words = words.map(|word| word.trim_end_matches('.'));
    let fixed = |word: &&str| {
        let dotted = word.contains(['_', '.']) && !word.ends_with('ª');
        let ours = Status::from_word(word).is_some()
            || ["(confirm)", "(override)", "held", "stale"].contains(word);
        ours || dotted || ["REVIEW", "ada", "Z9"].contains(word)
    };
    words.filter(fixed).collect()
}

#[test]
fn every_sentence_is_said_in_the_language_that_is_asked_for() {
    let states = many();
    assert!(states.len() > 5_000);
    for known in states {
        let [english, spanish] = Language::ALL.map(|language| known.explain(language, NOW));
        let (said, dicho) = (sentences(&english), sentences(&spanish));
        assert_eq!(said.len(), dicho.len(), "{english} {spanish}");
        assert!(
            said.iter().zip(&dicho).all(|(one, other)| one != other),
            "{spanish}"
        );
        for (text, foreign) in [
            (&english, [" el ", " la ", " que ", " de ", " se ", " por "]),
            (
                &spanish,
                [" the ", " is ", " was ", " of ", " it ", " for "],
            ),
        ] {
            assert!(foreign.iter().all(|word| !text.contains(word)), "{text}");
        }
    }
}

#[test]
fn times_and_the_words_of_the_interface_are_the_same_in_both_languages() {
    for known in many() {
        let [english, spanish] = Language::ALL.map(|language| known.explain(language, NOW));
        assert_eq!(fixed(&english), fixed(&spanish), "{english} {spanish}");
    }
}

#[test]
fn the_spanish_paragraph_reads_so() {
    let mut known = plain();
    alter(&mut known, |user| user.status = Status::Verified);
    alter(&mut known, |user| user.held = Some(Status::Rejected));
    alter(&mut known, |user| user.source = Source::Webhook);
    known.delivery = Some(delivery(Some("REJECTED_KYC"), Outcome::Held, 1));
    known.memory.due_at = Some(NOW);
    let paragraph = "En el intento 1 el usuario figura como in_review desde el 2027-01-15T08:00:00.000Z, porque así lo dijo \
        un webhook firmado. El último webhook fue REJECTED_KYC, el 2027-01-15T08:00:00.000Z, por 2.ª vez; su resultado fue \
        “held”. Todavía no se ha consultado al proveedor sobre el usuario. El usuario estaba en verified, pero un evento dice \
        rejected: hasta que una consulta confirme lo uno o lo otro, figura como in_review. La próxima consulta al \
        proveedor toca ahora. Una persona puede hacer que se consulte al proveedor de inmediato (confirm), revisar el caso \
        en el panel del proveedor o fijar el estado a mano con un motivo (override).";
    assert_eq!(known.explain(Language::Spanish, NOW), paragraph);
}

#[test]
fn what_was_set_by_hand_in_an_earlier_attempt_explains_nothing() {
    let known = plain();
    let mut user = known.user.clone().into_inner();
    user.overridden = true;
    let counts = |user: &User| {
        Known::new(&user.clone().at(VIEW), &known.memory, &[], &[order()])
            .order
            .is_some()
    };
    assert!(counts(&user));
    user.attempt = 2;
    assert!(!counts(&user));
}
