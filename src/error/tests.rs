use super::*;

#[test]
fn codes_are_unique_snake_case_and_of_their_status_class() {
    let mut seen = std::collections::HashSet::new();
    for code in Code::ALL {
        let (status, word, title) = code.row();
        assert!(seen.insert(word), "{word} stands twice");
        assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!((400..600).contains(&status) && !title.ends_with('.'));
    }
}

#[test]
fn every_503_says_when_to_come_again() {
    let trouble = db::Trouble::Locked;
    let store: Error = db::Error::Unavailable(trouble, "locked".to_owned()).into();
    let down: Error = capa::client::Error::Unavailable {
        reason: String::new(),
        retry_after: None,
    }
    .into();
    let busy: Error = capa::client::Error::RateLimited(Some(7)).into();
    let much: Error = db::Error::Overloaded.into();
    for (error, seconds) in [(store, "5"), (down, "30"), (busy, "7"), (much, "1")] {
        assert_eq!(error.status_code(), 503);
        let answer = error.error_response();
        assert_eq!(answer.headers().get(RETRY_AFTER).unwrap(), seconds);
    }
}

#[test]
fn the_source_is_never_in_the_answer() {
    let error: Error = db::Error::Misused("table users".to_owned()).into();
    let source = error.source().unwrap();
    assert_eq!(source, "the store was used wrongly: table users");
    assert!(!error.problem("r1").contains("table users"));
    assert_eq!(error.to_string(), "internal_error");
}
