//! Which attempt a session is of, and what ends an attempt.

use proptest::prelude::*;

use super::*;

const EARLY: Duration = Duration::from_millis(29_999);

const fn session(id: &str, created_at: Option<i64>) -> Session<'_> {
    Session { id, created_at }
}

/// Of the attempt before.
const FIRST: Session<'static> = session("s1", Some(10));
/// Of this attempt.
const SECOND: Session<'static> = session("s2", Some(20));

fn known<'a>(earlier: &[Session<'a>], current: Option<Session<'a>>) -> Known<'a> {
    Known {
        earlier: earlier.to_vec(),
        current,
        not_before: None,
    }
}

#[test]
fn an_id_that_is_known_tells_the_attempt_whatever_the_time_says() {
    let both = known(&[session("s0", None), FIRST], Some(SECOND));
    for created_at in [None, Some(i64::MIN), Some(10), Some(20), Some(i64::MAX)] {
        let found = |id| both.whose(session(id, created_at));
        assert_eq!(found("s0"), Whose::EarlierAttempt, "{created_at:?}");
        assert_eq!(found("s1"), Whose::EarlierAttempt, "{created_at:?}");
        assert_eq!(found("s2"), Whose::ThisAttempt, "{created_at:?}");
    }
}

#[test]
fn another_session_is_of_this_attempt_unless_it_was_created_earlier_than_a_known_one() {
    for (created_at, earlier, current, whose) in [
        (Some(9), None, None, Whose::ThisAttempt),
        (None, None, None, Whose::ThisAttempt),
        (Some(9), Some(FIRST), None, Whose::EarlierAttempt),
        (Some(10), Some(FIRST), None, Whose::ThisAttempt),
        (Some(11), Some(FIRST), None, Whose::ThisAttempt),
        (None, Some(FIRST), None, Whose::ThisAttempt),
        (Some(9), Some(FIRST), Some(SECOND), Whose::EarlierAttempt),
        (Some(10), Some(FIRST), Some(SECOND), Whose::Outdated),
        (Some(19), Some(FIRST), Some(SECOND), Whose::Outdated),
        (Some(20), Some(FIRST), Some(SECOND), Whose::ThisAttempt),
        (None, Some(FIRST), Some(SECOND), Whose::ThisAttempt),
        (Some(19), None, Some(SECOND), Whose::Outdated),
        (Some(20), None, Some(SECOND), Whose::ThisAttempt),
    ] {
        let earlier: Vec<Session<'_>> = earlier.into_iter().collect();
        let found = session("s3", created_at);
        let told = known(&earlier, current).whose(found);
        assert_eq!(told, whose, "{created_at:?} {earlier:?} {current:?}");
    }
}

#[test]
fn a_known_session_without_a_time_says_nothing_about_another_id() {
    for created_at in [None, Some(i64::MIN), Some(0)] {
        let timeless = known(&[session("s1", None)], Some(session("s2", None)));
        let found = session("s3", created_at);
        assert_eq!(timeless.whose(found), Whose::ThisAttempt);
    }
}

#[test]
fn where_nothing_was_noted_only_a_session_created_after_the_attempt_opened_counts() {
    let opened = |earlier: &[Session<'static>], current| Known {
        not_before: Some(15),
        ..known(earlier, current)
    };
    for (id, created_at, whose) in [
        ("s3", Some(14), Whose::Unclear),
        ("s3", Some(15), Whose::Unclear),
        ("s3", None, Whose::Unclear),
        ("s3", Some(16), Whose::ThisAttempt),
        ("s1", Some(16), Whose::EarlierAttempt),
        ("s3", Some(9), Whose::EarlierAttempt),
    ] {
        let told = opened(&[FIRST], None).whose(session(id, created_at));
        assert_eq!(told, whose, "{id} {created_at:?}");
    }
    let current = opened(&[], Some(SECOND));
    assert_eq!(current.whose(session("s2", None)), Whose::ThisAttempt);
    assert_eq!(current.whose(session("s3", Some(14))), Whose::Outdated);
    assert_eq!(current.whose(session("s3", None)), Whose::Unclear);
}

/// After at most one link, with no answer before this one.
fn one_link() -> Asked {
    Asked {
        several_links: false,
        since_last_link: Duration::ZERO,
        since_none: None,
    }
}

fn several_links(since_last_link: Duration) -> Asked {
    Asked {
        several_links: true,
        since_last_link,
        since_none: None,
    }
}

#[test]
fn after_one_link_an_answer_with_a_session_counts_at_once() {
    for (found, current) in [
        (SECOND, None),
        (SECOND, Some(SECOND)),
        (session("s2", None), Some(SECOND)),
        (session("s2", Some(19)), Some(SECOND)),
        (session("s3", Some(20)), Some(SECOND)),
        (session("s3", Some(21)), Some(SECOND)),
        (session("s3", None), Some(SECOND)),
        (session("s3", Some(10)), None),
    ] {
        let note = known(&[FIRST], current).note(Some(found), one_link());
        assert_eq!(note, Note::Session, "{found:?} {current:?}");
    }
}

#[test]
fn after_several_links_a_session_counts_only_30_s_after_the_last_of_them() {
    for current in [None, Some(SECOND)] {
        let known = known(&[FIRST], current);
        let note = |since| known.note(Some(SECOND), several_links(since));
        assert_eq!(note(Duration::ZERO), Note::TooEarly);
        assert_eq!(note(EARLY), Note::TooEarly);
        assert_eq!(note(LATE), Note::Session);
    }
}

#[test]
fn the_known_session_ends_the_attempt_though_its_time_is_that_of_an_earlier_one() {
    let (first, second) = (session("s1", Some(20)), session("s2", Some(10)));
    let known = known(&[first], Some(second));
    assert_eq!(known.note(Some(second), one_link()), Note::Session);
}

#[test]
fn an_answer_without_a_session_of_this_attempt_counts_when_two_30_s_apart_say_so() {
    let others = [session("s0", None), FIRST];
    for found in [
        None,
        Some(session("s0", Some(99))),
        Some(session("s1", None)),
        Some(session("s-", Some(9))),
    ] {
        for current in [None, Some(SECOND)] {
            for asked in [one_link(), several_links(Duration::ZERO)] {
                let note = |since_none| {
                    let asked = Asked {
                        since_none,
                        ..asked
                    };
                    known(&others, current).note(found, asked)
                };
                assert_eq!(note(None), Note::NoneOnce, "{found:?}");
                assert_eq!(note(Some(Duration::ZERO)), Note::TooEarly, "{found:?}");
                assert_eq!(note(Some(EARLY)), Note::TooEarly, "{found:?}");
                assert_eq!(note(Some(LATE)), Note::NoneTwice, "{found:?}");
            }
        }
    }
}

#[test]
fn a_session_older_than_the_known_one_ends_no_attempt() {
    for asked in [one_link(), several_links(LATE), several_links(EARLY)] {
        for since_none in [None, Some(LATE)] {
            let asked = Asked {
                since_none,
                ..asked
            };
            let found = Some(session("s3", Some(19)));
            let note = known(&[FIRST], Some(SECOND)).note(found, asked);
            assert_eq!(note, Note::Outdated);
        }
    }
}

const IDS: [&str; 4] = ["a", "b", "c", "d"];

fn any_session() -> impl Strategy<Value = Session<'static>> {
    let id = prop::sample::select(IDS.to_vec());
    (id, prop::option::of(0..4_i64)).prop_map(|(id, created_at)| Session { id, created_at })
}

fn any_known() -> impl Strategy<Value = Known<'static>> {
    let earlier = prop::collection::vec(any_session(), 0..3);
    let current = prop::option::of(any_session());
    (earlier, current, prop::option::of(0..4_i64)).prop_map(|(earlier, current, not_before)| {
        Known {
            earlier,
            current,
            not_before,
        }
    })
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let span = || prop::sample::select(vec![Duration::ZERO, EARLY, LATE, Duration::MAX]);
    (any::<bool>(), span(), prop::option::of(span())).prop_map(
        |(several_links, since_last_link, since_none)| Asked {
            several_links,
            since_last_link,
            since_none,
        },
    )
}

proptest! {
    #[test]
    fn a_session_is_of_this_attempt_only_if_no_known_time_puts_it_before(
        known in any_known(), found in any_session(),
    ) {
        let is_current = known.current.is_some_and(|current| current.id == found.id);
        let older = |other: &Session<'_>| {
            found.created_at.zip(other.created_at).is_some_and(|(this, other)| this < other)
        };
        match known.whose(found) {
            Whose::ThisAttempt if is_current => {}
            Whose::ThisAttempt => {
                prop_assert!(!known.earlier.iter().chain(&known.current).any(older));
                prop_assert!(known.earlier.iter().all(|earlier| earlier.id != found.id));
                let opened = known.not_before;
                prop_assert!(opened.is_none_or(|opened| found.created_at > Some(opened)));
            }
            Whose::EarlierAttempt => prop_assert!(!is_current && !known.earlier.is_empty()),
            Whose::Outdated => prop_assert!(!is_current && known.current.is_some()),
            Whose::Unclear => prop_assert!(!is_current && known.not_before.is_some()),
        }
    }

    #[test]
    fn once_an_attempt_has_ended_its_last_session_is_of_an_earlier_one(
        known in any_known(), found in any_session(), asked in any_asked(),
    ) {
        if known.note(Some(found), asked) == Note::Session {
            let mut earlier = known.earlier.clone();
            earlier.push(found);
            let next = Known { earlier, current: None, not_before: None };
            prop_assert_eq!(next.whose(found), Whose::EarlierAttempt);
        }
    }

    #[test]
    fn an_attempt_ends_by_one_answer_only_if_that_names_a_session_of_no_earlier_attempt(
        known in any_known(), found in prop::option::of(any_session()), asked in any_asked(),
    ) {
        let first = Asked { since_none: None, ..asked };
        match known.note(found, first) {
            Note::Session => {
                let mut earlier = known.earlier.iter().map(|earlier| earlier.id);
                let found = found.map(|found| found.id);
                let is_current = known.current.map(|current| current.id) == found;
                prop_assert!(found.is_some() && (is_current || earlier.all(|id| Some(id) != found)));
            }
            note => prop_assert_ne!(note, Note::NoneTwice),
        }
    }
}
