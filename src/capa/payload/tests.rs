//! Bodies of every kind, and the reader beside a whole parser of JSON.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

/// The event `VERIFIED_USER` of `user-0001`, with this at the end of its object.
fn verified(more: &[u8]) -> Vec<u8> {
    let event = &br#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001""#[..];
    [event, more, b"}"].concat()
}

#[test]
fn the_documented_event_is_read() {
    let payload = parse(&verified(b"")).unwrap();
    assert_eq!(payload.family, KYC);
    assert_eq!(payload.event, "VERIFIED_USER");
    assert_eq!(payload.external_user_id.as_deref(), Some("user-0001"));
}

#[test]
fn unknown_words_and_further_fields_are_kept_or_passed_over() {
    let body = br#" { "event":"NEW_THING","type":"OTHER","firstName":"x","n":{"a":[1]}} "#;
    let payload = parse(body).unwrap();
    assert_eq!(
        (payload.family.as_str(), payload.event.as_str()),
        ("OTHER", "NEW_THING")
    );
    assert_eq!(payload.external_user_id, None);
}

#[test]
fn what_stands_elsewhere_never_matters_however_odd() {
    let expected = parse(&verified(b"")).unwrap();
    let deep = [
        br#","a":"#,
        "[".repeat(9000).as_bytes(),
        "]".repeat(9000).as_bytes(),
    ]
    .concat();
    for odd in [
        &br#","a":"\ud83d""#[..],
        br#","a":"\ude00\u0000""#,
        br#","a":"\x \u12""#,
        b",\"a\":\"Jos\xe9\"",
        b",\"Jos\xe9\":1",
        b",\"a\":\"line\nbreak\0\"",
        br#","\ud83d":{"type":"x","type":["event"]}"#,
        br#","a":1e400"#,
        br#","a":[NaN,-Infinity,+1,.5,007]"#,
        br#","a":[{"b":"]}\"{["},{},[],[[]]]"#,
        br#","a":1,"a":2"#,
        &deep,
    ] {
        let body = verified(odd);
        assert_eq!(
            parse(&body).as_ref(),
            Some(&expected),
            "{}",
            String::from_utf8_lossy(&body)
        );
    }
}

#[test]
fn an_integer_is_the_text_of_its_digits() {
    for (value, id) in [
        ("7", Some("7")),
        ("0", Some("0")),
        ("-12", Some("-12")),
        (
            "123456789012345678901234567890",
            Some("123456789012345678901234567890"),
        ),
        ("null", None),
        (r#""7""#, Some("7")),
        (r#""\u0037""#, Some("7")),
    ] {
        let body = format!(r#"{{"type":"KYC","event":"X","externalUserId":{value}}}"#);
        let payload = parse(body.as_bytes()).unwrap();
        assert_eq!(payload.external_user_id.as_deref(), id, "{value}");
    }
}

#[test]
fn a_value_that_is_read_is_whole_and_of_its_type_or_the_body_is_unreadable() {
    for value in [
        "1.0",
        "1e3",
        "007",
        "-",
        "--1",
        "+1",
        "NaN",
        "true",
        "[]",
        "{}",
        r#"["u1"]"#,
        r#""\ud83d""#,
        r#""a\u0000""#,
        "\"a\0\"",
        "\"a\nb\"",
        r#""\x""#,
    ] {
        let body = format!(r#"{{"type":"KYC","event":"X","externalUserId":{value}}}"#);
        assert_eq!(parse(body.as_bytes()), None, "{body}");
        let body = format!(r#"{{"type":"KYC","event":{value}}}"#);
        assert_eq!(parse(body.as_bytes()), None, "{body}");
        let body = format!(r#"{{"type":{value},"event":"X"}}"#);
        assert_eq!(parse(body.as_bytes()), None, "{body}");
    }
    assert_eq!(parse(b"{\"type\":\"KYC\",\"event\":\"\xff\"}"), None);
    assert_eq!(
        parse(&verified(b"").replace_once(b"user-0001", b"Jos\xe9")),
        None
    );
}

#[test]
fn a_name_that_is_read_stands_once() {
    for more in [
        r#","type":"KYC""#,
        r#","event":"X""#,
        r#","externalUserId":"user-0001""#,
        r#","externalUserId":null"#,
        r#","\u0074ype":"KYC""#,
    ] {
        assert_eq!(parse(&verified(more.as_bytes())), None, "{more}");
    }
    let body = br#"{"\u0074ype":"KYC","ev\u0065nt":"X","externalUserI\u0064":"u1"}"#;
    let payload = parse(body).unwrap();
    assert_eq!(payload.external_user_id.as_deref(), Some("u1"));
}

#[test]
fn whatever_is_no_object_with_both_names_is_unreadable() {
    for body in [
        "",
        "null",
        "[]",
        "\"KYC\"",
        "{",
        "{}",
        r#"{"type":"KYC"}"#,
        r#"{"event":"VERIFIED_USER"}"#,
        r#"{"type":1,"event":"VERIFIED_USER"}"#,
        r#"{"type":"KYC","event":null}"#,
        r#"{"Type":"KYC","Event":"X"}"#,
        r#"[{"type":"KYC","event":"X"}]"#,
        "{\"type\":\"KYC\",\"event\":\"VERIFIED_USER\"} x",
        "\u{feff}{\"type\":\"KYC\",\"event\":\"X\"}",
    ] {
        assert_eq!(parse(body.as_bytes()), None, "{body:?}");
    }
    assert_eq!(parse("[".repeat(60_000).as_bytes()), None);
    let deep = [br#"{"type":"KYC","event":"#, "[".repeat(60_000).as_bytes()].concat();
    assert_eq!(parse(&deep), None);
}

#[test]
fn an_object_whose_structure_is_broken_anywhere_is_unreadable() {
    for more in [
        ",",
        ",,",
        r#","a""#,
        r#","a":"#,
        r#","a" 1"#,
        r#","a":1 2"#,
        r#","a":[1,]"#,
        r#","a":[,1]"#,
        r#","a":[1}"#,
        r#","a":{"b"}"#,
        r#","a":{"b":1,}"#,
        r#","a":{1:2}"#,
        r#","a":{"b":1]"#,
        r#","a":[1 2]"#,
        r#","a":'x'"#,
        r#","a":"\""#,
        ",a:1",
        r#","a":[1]]"#,
        r#","a":/**/1"#,
    ] {
        assert_eq!(parse(&verified(more.as_bytes())), None, "{more}");
    }
}

trait ReplaceOnce {
    fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceOnce for Vec<u8> {
    fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self
            .windows(from.len())
            .position(|part| part == from)
            .unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

/// What a whole parser makes of a body.
fn by_the_book(body: &[u8]) -> Option<Payload> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let clean = |text: String| (!text.contains('\0')).then_some(text);
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => clean(text),
        _ => None,
    };
    let (family, event) = (text("type")?, text("event")?);
    let external_user_id = match fields.remove("externalUserId") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(clean(text)?),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(number.to_string())
        }
        Some(_) => return None,
    };
    Some(Payload {
        family,
        event,
        external_user_id,
    })
}

/// Words that matter, and any others.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("type".to_owned()),
        Just("event".to_owned()),
        Just("externalUserId".to_owned()),
        Just("KYC".to_owned()),
        Just("a\0".to_owned()),
        "\\PC{0,6}",
        any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Objects that often have all three fields.
fn objects() -> impl Strategy<Value = Map<String, Value>> {
    let often = |usual: BoxedStrategy<Value>| prop_oneof![4 => usual.prop_map(Some), 1 => values().prop_map(Some), 1 => Just(None)];
    let text = || words().prop_map(Value::from).boxed();
    let id = prop_oneof![
        text(),
        any::<u64>().prop_map(Value::from),
        Just(Value::Null)
    ];
    let more = prop::collection::vec((words(), values()), 0..4);
    (often(text()), often(text()), often(id.boxed()), more).prop_map(|(family, event, id, more)| {
        let mut members: Map<String, Value> = more.into_iter().collect();
        let three = [("type", family), ("event", event), ("externalUserId", id)];
        for (name, value) in three {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        }
        members
    })
}

proptest! {
    #[test]
    fn a_well_formed_body_says_what_a_whole_parser_reads(object in objects(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) };
        let body = body.unwrap();
        prop_assert_eq!(parse(&body), by_the_book(&body));
    }

    #[test]
    fn a_body_cut_short_is_unreadable(object in objects(), at in any::<prop::sample::Index>()) {
        let body = serde_json::to_vec(&object).unwrap();
        prop_assert_eq!(parse(&body[..at.index(body.len())]), None);
    }

    #[test]
    fn reading_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&body);
    }

    #[test]
    fn reading_what_is_nearly_json_never_panics(body in r#"[{}\[\]",:\\a0-9 enul]{0,200}"#) {
        let _ = parse(body.as_bytes());
        let _ = parse(format!("{{\"type\":{body}").as_bytes());
    }
}
