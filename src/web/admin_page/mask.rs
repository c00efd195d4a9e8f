//! Shows the body of a stored webhook without anybody's personal data.
//!
//! What a KYC event consists of comes out as it came; of all else only the layout and the keys. Bodies that could not be
//! read are stored too, so it takes any bytes: it is no parser, looks at each byte a fixed number of times, and nests nothing.

/// The fields of the outermost object whose values are shown, where they are texts: what a KYC event consists of.
const SHOWN: [&[u8]; 3] = [b"type", b"event", b"externalUserId"];
const MARK: char = '•';
/// No more marks than this stand in a row, so that little can be told from how long a word is.
const LONGEST: usize = 12;

/// The body with a mark in the place of each letter, digit and whatever else is no ASCII, apart from keys and from the values
/// of `type`, `event` and `externalUserId`. It has no more characters than the body has bytes.
///
/// A text is a key if a colon follows it, unless it stands behind a colon too or in an array, where nothing has a key.
pub fn masked(body: &[u8]) -> String {
    let mut masked = String::with_capacity(body.len());
    let mut place = Place::default();
    let mut rest = body;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part(rest));
        match text(part) {
            Some(text) if place.shows(text, colon_begins(after)) => {
                masked.push_str(&String::from_utf8_lossy(part));
            }
            Some(_) => mark(part, &mut masked),
            None => {
                place.passes(part);
                mark(part, &mut masked);
            }
        }
        rest = after;
    }
    masked
}

/// How long the text is that the bytes begin with, with its quotation marks, or else what comes before the next text.
fn part(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&b'"') {
        let next = bytes.iter().position(|byte| *byte == b'"');
        return next.unwrap_or(bytes.len());
    }
    let mut escaped = false;
    let end = bytes[1..].iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(bytes.len(), |end| end + 2)
}

/// What stands between the quotation marks of a text that has both of them, or has lost the last one after a backslash.
fn text(part: &[u8]) -> Option<&[u8]> {
    part.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn colon_begins(bytes: &[u8]) -> bool {
    let next = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    next == Some(&b':')
}

/// Where in a body we are.
#[derive(Default)]
struct Place {
    /// The brackets that are open.
    open: Vec<u8>,
    /// The last byte that is no space.
    before: u8,
    /// Whether the text that follows a colon here is the value of a field that is shown.
    shown: bool,
}

impl Place {
    /// Goes past something that is no text.
    fn passes(&mut self, part: &[u8]) {
        for byte in part.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            match byte {
                b'{' | b'[' => self.open.push(*byte),
                b'}' | b']' => drop(self.open.pop()),
                _ => {}
            }
            self.shown &= *byte == b':';
            self.before = *byte;
        }
    }

    /// Goes past a text, and says whether it is shown.
    fn shows(&mut self, text: &[u8], colon_follows: bool) -> bool {
        let is_value = self.before == b':';
        let is_key = colon_follows && !is_value && self.open.last() != Some(&b'[');
        let shows = is_key || (is_value && self.shown);
        self.shown = is_key && self.open == [b'{'] && SHOWN.contains(&text);
        self.before = b'"';
        shows
    }
}

fn mark(part: &[u8], masked: &mut String) {
    let mut row = 0;
    for character in String::from_utf8_lossy(part).chars() {
        if character.is_ascii_punctuation() || matches!(character, ' ' | '\t' | '\n' | '\r') {
            masked.push(character);
            row = 0;
        } else if row < LONGEST {
            masked.push(MARK);
            row += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_whole_kyc_body_comes_out_byte_for_byte() {
        for body in [
            r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#,
            "{\n  \"externalUserId\" : \"José \\u00e9 \\\"x\\\"\",\t\"event\":\"CREATED_KYC\" ,\r\n \"type\": \"KYC\"\n}\n",
            r#"{"type":"KYC","type":"OTHER","event":"","externalUserId":"a:b"}"#,
        ] {
            assert_eq!(masked(body.as_bytes()), body);
        }
    }

    #[test]
    fn of_everything_else_the_layout_and_the_keys_are_left() {
        for (body, shown) in [
            (
                r#"{"firstName": "Juan Pérez", "age":-41.5e+1,"ok":true}"#,
                r#"{"firstName": "•••• •••••", "age":-••.••+•,"ok":••••}"#,
            ),
            (
                r#"{"data":{"type":"Juan","list":["a:b","c" ]}}"#,
                r#"{"data":{"type":"••••","list":["•:•","•" ]}}"#,
            ),
            (
                r#"{"type":{"event":"Juan"},"event":["x"],"externalUserId":4012}"#,
                r#"{"type":{"event":"••••"},"event":["•"],"externalUserId":••••}"#,
            ),
            (r#"[{"type":"KYC"}]"#, r#"[{"type":"•••"}]"#),
            (
                r#"{"mail":"juan.perez@mail.com","é":"\u00e9\n\"x"}"#,
                r#"{"mail":"••••.•••••@••••.•••","é":"\•••••\•\"•"}"#,
            ),
        ] {
            assert_eq!(masked(body.as_bytes()), shown);
        }
        let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(1000));
        assert_eq!(masked(long.as_bytes()), r#"{"name":"••••••••••••"}"#);
    }

    #[test]
    fn what_is_broken_shows_no_more() {
        for (body, shown) in [
            (&b"Juan"[..], "••••"),
            (
                br#"{"type":"KYC","name":"Ju"#,
                r#"{"type":"KYC","name":"••"#,
            ),
            (br#"{"type":"Ju"#, r#"{"type":"••"#),
            (br#"{"na"#, r#"{"••"#),
            (br#"{"name":"Juan":1}"#, r#"{"name":"••••":•}"#),
            (br#"["Juan":1]"#, r#"["••••":•]"#),
            (br#"{"type","Juan"}"#, r#"{"••••","••••"}"#),
            (br#""name":"Juan""#, r#""name":"••••""#),
            (b"{\"name\":\"Ju\xff\xfean\"}\0", "{\"name\":\"••••••\"}•"),
            (b"{\"name\":\"x\\", "{\"name\":\"•\\"),
            (b"\xef\xbb\xbf{}", "•{}"),
            (b"\"", "\""),
            (b"", ""),
        ] {
            assert_eq!(masked(body), shown);
        }
        let deep = "[".repeat(64 * 1024);
        assert_eq!(masked(deep.as_bytes()), deep);
    }

    const CANARY: &str = "Xk7Zq";

    /// Any JSON whose every value has the canary in it, and of whose keys none has.
    fn telling() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof!["\\PC{0,9}", "[ \"\\\\:,\\[{}]{0,9}"]
            .prop_map(|around| json!(format!("{around}{CANARY}{around}")));
        leaf.prop_recursive(4, 24, 4, |inner| {
            let keys = prop_oneof!["type", "event", "externalUserId", "[a-w\":,{}é]{0,6}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(keys, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The same without a value that is shown.
    fn secret() -> impl Strategy<Value = Value> {
        telling().prop_map(|mut value| {
            if let Value::Object(fields) = &mut value {
                fields
                    .retain(|name, value| !(SHOWN.contains(&name.as_bytes()) && value.is_string()));
            }
            value
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_and_never_get_longer(body in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(masked(&body).chars().count() <= body.len());
        }

        #[test]
        fn no_value_can_be_read_wherever_it_stands(value in secret(), pretty in any::<bool>()) {
            let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let shown = masked(write(&value).unwrap().as_bytes());
            prop_assert!(!shown.contains(CANARY), "{shown}");
        }

        #[test]
        fn nor_can_it_where_the_body_has_been_cut_off(value in secret(), end in any::<Index>()) {
            let body = value.to_string();
            let shown = masked(&body.as_bytes()[..end.index(body.len() + 1)]);
            prop_assert!(!shown.contains(CANARY), "{shown}");
        }

        #[test]
        fn the_layout_and_the_keys_stay(value in secret()) {
            let shape = |value: &str| {
                let marked = |c: &char| !c.is_alphanumeric() && *c != MARK && c.is_ascii();
                value.chars().filter(marked).collect::<String>()
            };
            let body = value.to_string();
            let shown = masked(body.as_bytes());
            prop_assert_eq!(shape(&shown), shape(&body));
            if let Value::Object(fields) = &value {
                for name in fields.keys() {
                    let key = format!("{}:", json!(name));
                    prop_assert!(shown.contains(&key), "{key} in {shown}");
                }
            }
        }
    }
}
