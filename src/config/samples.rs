//! Knows the values that stand in examples, so that nobody runs the service with one of them.
//!
//! It must refuse what a person leaves in place by mistake and let pass every secret that was really made, also one with
//! a telling prefix such as `demo_` or `whsec_`. How strong a secret is, is not judged here.

use super::KeyHash;

/// Refused when they are the whole value.
const WORDS: [&str; 15] = [
    "…",
    "...",
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replace_me",
    "secret",
    "password",
    "example",
    "sample",
    "test",
    "todo",
    "current",
    "previous",
];

/// Refused when the value begins with them.
const BEGINNINGS: [&str; 8] = [
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replace_me",
    "your-",
    "your_",
    "xxx",
];

/// Whether `text` is a sample, whatever its case and the spaces around it; the empty text is none.
pub(super) fn is_sample(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let first = text.chars().next();
    WORDS.contains(&text.as_str())
        || BEGINNINGS
            .iter()
            .any(|beginning| text.starts_with(beginning))
        || text.contains('…')
        || (text.starts_with('<') && text.ends_with('>'))
        || first.is_some_and(|first| text.chars().all(|c| c == first))
}

/// Whether `hash` is that of an empty key or of a sample word in one of its usual spellings.
pub(super) fn is_sample_hash(hash: KeyHash) -> bool {
    let capitalised = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .map(|first| first.to_uppercase().chain(chars).collect::<String>())
    };
    ["", " ", "\n"].iter().any(|text| KeyHash::of(text) == hash)
        || WORDS.iter().any(|word| {
            [
                word.to_lowercase(),
                word.to_uppercase(),
                capitalised(word).unwrap_or_default(),
            ]
            .iter()
            .any(|text| KeyHash::of(text) == hash || KeyHash::of(&format!("{text}\n")) == hash)
        })
}
