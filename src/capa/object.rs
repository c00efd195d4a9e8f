//! JSON objects of the provider's, read so that a doubled name is seen and unread fields are never kept.
//!
//! Of two fields with one name most readers keep the last. Another reader may keep the first, so an answer with a doubled
//! name has no meaning that can be trusted.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value as far as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    False,
    Text(String),
    Object(Object),
    /// A number, a list or `true`.
    Other,
}

/// One level: the fields that were named, and whether any name stands in it twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) doubled: bool,
    fields: Vec<(String, Node)>,
}

impl Object {
    /// The field of that name; `None` where it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.field(name).filter(|node| **node != Node::Null)
    }

    /// Whether the field is there, and null.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.field(name) == Some(&Node::Null)
    }

    fn field(&self, name: &str) -> Option<&Node> {
        let fields = self.fields.iter();
        fields.rev().find(|(own, _)| own == name).map(|(_, it)| it)
    }
}

/// Reads a JSON object, and of each level the fields with these names; `None` when the bytes are none.
pub(super) fn read(bytes: &[u8], names: &'static [&'static str]) -> Option<Object> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let root = Named(names).deserialize(&mut json).ok()?;
    json.end().ok()?;
    match root {
        Node::Object(root) => Some(root),
        _ => None,
    }
}

/// Reads a value, and of each object in it the fields with these names.
#[derive(Clone, Copy)]
struct Named(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Node, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Named {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Node, E> {
        Ok(if is { Node::Other } else { Node::False })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let (mut object, mut names) = (Object::default(), HashSet::new());
        while let Some(name) = map.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                let value = map.next_value_seed(self)?;
                object.fields.push((name.clone(), value));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            object.doubled |= !names.insert(name);
        }
        Ok(Node::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_named_fields_are_read_and_the_others_dropped() {
        let object = read(
            br#"{"a":"x","b":[1,{}],"c":null,"d":false,"e":{"a":"y","z":"no"},"z":"no","f":true}"#,
            &["a", "b", "c", "d", "e", "f"],
        );
        let object = object.unwrap();
        let text = |text: &str| Some(Node::Text(text.to_owned()));
        assert_eq!(object.get("a"), text("x").as_ref());
        assert_eq!(object.get("b"), Some(&Node::Other));
        assert_eq!((object.get("c"), object.is_null("c")), (None, true));
        assert_eq!(object.get("d"), Some(&Node::False));
        assert_eq!(object.get("f"), Some(&Node::Other));
        assert_eq!((object.get("z"), object.is_null("z")), (None, false));
        let Some(Node::Object(inner)) = object.get("e") else {
            panic!("{object:?}");
        };
        assert_eq!((inner.get("a"), inner.get("z")), (text("y").as_ref(), None));
        assert!(!object.doubled);
    }

    #[test]
    fn a_doubled_name_is_seen_at_its_own_level_however_it_is_written() {
        for (json, doubled) in [
            (r#"{"a":1,"a":1}"#, true),
            (r#"{"z":1,"z":2}"#, true),
            (r#"{"a":1,"\u0061":2}"#, true),
            (r#"{"a":1,"A":2}"#, false),
            (r#"{"z":{"a":1,"a":2}}"#, false),
        ] {
            let object = read(json.as_bytes(), &["a"]).unwrap();
            assert_eq!(object.doubled, doubled, "{json}");
        }
        let nested = read(br#"{"a":{"z":1,"z":2}}"#, &["a"]).unwrap();
        let inner = nested.get("a");
        assert!(matches!(inner, Some(Node::Object(inner)) if inner.doubled));
        assert!(!nested.doubled);
    }

    #[test]
    fn what_is_no_whole_object_is_none() {
        for broken in ["", "[]", "null", "\"a\"", "<html>", "{", "{} x", "{\"a\":}"] {
            assert_eq!(read(broken.as_bytes(), &["a"]), None, "{broken}");
        }
        assert_eq!(read("{\"a\":".repeat(60_000).as_bytes(), &["a"]), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body, &["a"]);
        }
    }
}
