//! Why a webhook signature is wrong: tries the usual mistakes and names those that explain it.
//!
//! A pure function over secrets, body and header. Each mistake is tried alone and together with mistakes elsewhere (one
//! each in header, body and secret), and the explanation with the fewest is given. No sentence holds a signature or a
//! secret. How a live delivery is verified does not belong here: nothing tried here is ever accepted there.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What [`explain`] found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The signature is right with this secret, counted from 1.
    Right(usize),
    /// It is right but for these mistakes, with this secret, counted from 1.
    Wrong(Vec<Mistake>, usize),
    /// The header cannot be a signature.
    Unreadable(Unreadable),
    /// It has the right form, and no usual mistake explains it.
    Unexplained {
        /// The body that was given is empty.
        empty_body: bool,
    },
}

/// A reason why a signature is refused, each in the words of [`Mistake::sentence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    HeaderSpaces,
    HeaderQuotes,
    HeaderPrefix,
    HeaderBase64,
    BodyNewlineAdded,
    BodyNewlineLost,
    BodyLineEndings,
    BodyBom,
    BodyReformatted,
    BodyReserialised,
    BodySpaced,
    BodyEmpty,
    SecretSpaces,
    SecretNewline,
    SecretQuotes,
    SecretHex,
    SecretBase64,
}

/// A header that is no signature at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing, or only spaces.
    Empty,
    /// Hex of another length, given here.
    Length(usize),
    /// Characters that are neither hex nor base64 of 32 bytes.
    NotHex,
}

/// Looks for the explanation with the fewest mistakes.
pub(super) fn explain(secrets: &[SecretString], body: &[u8], header: &str) -> Finding {
    let (signature, header_mistakes) = match read_header(header) {
        Ok(read) => read,
        Err(unreadable) => return Finding::Unreadable(unreadable),
    };
    let bodies = bodies(body);
    let mut best: Option<(Vec<Mistake>, usize)> = None;
    for (number, secret) in secrets.iter().enumerate() {
        for (key, secret_mistake) in keys(secret.expose_secret()) {
            for (body, body_mistake) in &bodies {
                if hmac(&key, body) != signature {
                    continue;
                }
                let mistakes: Vec<Mistake> = header_mistakes
                    .iter()
                    .copied()
                    .chain(*body_mistake)
                    .chain(secret_mistake)
                    .collect();
                if best
                    .as_ref()
                    .is_none_or(|(fewest, _)| mistakes.len() < fewest.len())
                {
                    best = Some((mistakes, number + 1));
                }
            }
        }
    }
    match best {
        Some((mistakes, number)) if mistakes.is_empty() => Finding::Right(number),
        Some((mistakes, number)) => Finding::Wrong(mistakes, number),
        None => Finding::Unexplained {
            empty_body: body.is_empty(),
        },
    }
}

impl Finding {
    /// Whether the service would accept the delivery.
    pub(super) fn is_right(&self) -> bool {
        matches!(self, Finding::Right(_))
    }

    /// What is wrong and what to do, one sentence or two for each mistake.
    pub(super) fn sentences(&self) -> Vec<String> {
        match self {
        Finding::Right(number) => vec![format!("The signature is right, made with secret number {number}.")],
        Finding::Wrong(mistakes, number) => mistakes
            .iter()
            .map(|mistake| mistake.sentence().to_owned())
            .chain([format!("But for that, it is the signature of secret number {number}.")])
            .collect(),
        Finding::Unreadable(unreadable) => vec![unreadable.sentence()],
        Finding::Unexplained { empty_body: true } => vec![
            "The body is empty and the signature is of something else. Keep the bytes of the request before \
             anything else reads them."
                .to_owned(),
        ],
        Finding::Unexplained { empty_body: false } => vec![
            "The signature has the right form but fits neither these secrets with this body nor any usual mistake. \
             Most likely the secret is another one (staging or production, another partner, rotated), or the body \
             was changed on the way: compare it byte for byte with what was received."
                .to_owned(),
        ],
    }
    }
}

impl Mistake {
    fn sentence(self) -> &'static str {
        match self {
            Mistake::HeaderSpaces => {
                "The header has spaces or line breaks around the signature. Send the 64 hex digits alone."
            }
            Mistake::HeaderQuotes => {
                "The header has quotes around the signature. Send the 64 hex digits alone."
            }
            Mistake::HeaderPrefix => {
                "The header has a prefix such as sha256= before the signature. The provider sends none: send the 64 hex digits alone."
            }
            Mistake::HeaderBase64 => {
                "The signature is written in base64. Write it as 64 hex digits."
            }
            Mistake::BodyNewlineAdded => {
                "The body ends in a line break that was not signed. An editor or echo adds one: save it without, for instance with printf %s."
            }
            Mistake::BodyNewlineLost => {
                "What was signed ends in a line break that this body lacks. Keep the body exactly as received; curl needs --data-binary, not --data."
            }
            Mistake::BodyLineEndings => {
                "The line endings of the body were changed between LF and CRLF. Keep the body exactly as received, as a binary file."
            }
            Mistake::BodyBom => {
                "The body begins with a byte order mark that was not signed. Save it as UTF-8 without one."
            }
            Mistake::BodyReformatted => {
                "The body has spaces or line breaks that were not signed: the signature is of the compact JSON. \
             Something reformatted the body after it was signed; use the bytes as received."
            }
            Mistake::BodyReserialised => {
                "The signature is of the JSON parsed and written anew, with other escapes in its texts. The signer must sign the very bytes it sends."
            }
            Mistake::BodySpaced => {
                "The signature is of the JSON with a space after each comma and colon. The signer must sign the very bytes it sends (in Python, separators=(',', ':'))."
            }
            Mistake::BodyEmpty => {
                "The signature is of an empty body. The signer read the body after something else had used it up, or signed before it was filled."
            }
            Mistake::SecretSpaces => {
                "The signer used the secret without the spaces around it. Take them out of the configured secret."
            }
            Mistake::SecretNewline => {
                "The signer used the secret with a line break at its end, as read from a file. Strip it on the signer's side."
            }
            Mistake::SecretQuotes => {
                "The signer used the secret without the quotes around it. Take them out of the configured secret."
            }
            Mistake::SecretHex => {
                "The signer decoded the secret from hex before use. The key is the text of the secret as it is: do not decode it."
            }
            Mistake::SecretBase64 => {
                "The signer decoded the secret from base64 before use. The key is the text of the secret as it is: do not decode it."
            }
        }
    }
}

impl Unreadable {
    fn sentence(self) -> String {
        match self {
        Unreadable::Empty => "The signature is empty: the header capa-signature was missing or lost on the way.".to_owned(),
        Unreadable::NotHex => {
            "The signature is not hex. It must be 64 digits of 0-9 and a-f; check that it is the header capa-signature.".to_owned()
        }
        Unreadable::Length(length) => {
            let why = match length {
                40 => "that is the length of SHA-1: the algorithm must be HMAC-SHA-256",
                96 => "that is the length of SHA-384: the algorithm must be HMAC-SHA-256",
                128 => "that is the length of SHA-512: the algorithm must be HMAC-SHA-256",
                0..=63 => "some of it is missing",
                _ => "it is too long; perhaps two were joined",
            };
            format!("The signature has {length} hex digits and must have 64; {why}.")
        }
    }
    }
}

/// The signature in the header, and what must be taken away to read it. Either case is right, as for the service.
fn read_header(header: &str) -> Result<([u8; 32], Vec<Mistake>), Unreadable> {
    let mut mistakes = Vec::new();
    let mut text = header.trim();
    if text != header {
        mistakes.push(Mistake::HeaderSpaces);
    }
    if let Some(inner) = unquoted(text) {
        mistakes.push(Mistake::HeaderQuotes);
        text = inner;
    }
    if let Some(rest) = ["sha256=", "sha256:", "hmac-sha256=", "v1=", "v1,", "0x"]
        .iter()
        .find_map(|prefix| {
            text.get(..prefix.len())
                .filter(|head| head.eq_ignore_ascii_case(prefix))
                .map(|_| &text[prefix.len()..])
        })
    {
        mistakes.push(Mistake::HeaderPrefix);
        text = rest.trim_start();
    }
    if text.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut signature = [0; 32];
    if hex::decode_to_slice(text, &mut signature).is_ok() {
        return Ok((signature, mistakes));
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) && !matches!(text.len(), 43 | 44) {
        return Err(Unreadable::Length(text.len()));
    }
    let decoded = base64(text).and_then(|bytes| bytes.try_into().ok());
    mistakes.push(Mistake::HeaderBase64);
    decoded
        .map(|signature| (signature, mistakes))
        .ok_or(Unreadable::NotHex)
}

/// The body as given, then what may have been signed instead of it.
fn bodies(body: &[u8]) -> Vec<(Vec<u8>, Option<Mistake>)> {
    let mut bodies = vec![(body.to_vec(), None)];
    let mut add = |body: Vec<u8>, mistake| bodies.push((body, Some(mistake)));
    if let Some(shorter) = body.strip_suffix(b"\n") {
        add(shorter.to_vec(), Mistake::BodyNewlineAdded);
        if let Some(shorter) = shorter.strip_suffix(b"\r") {
            add(shorter.to_vec(), Mistake::BodyNewlineAdded);
        }
    }
    add([body, b"\n"].concat(), Mistake::BodyNewlineLost);
    add([body, b"\r\n"].concat(), Mistake::BodyNewlineLost);
    let unix = replace(body, b"\r\n", b"\n");
    add(replace(&unix, b"\n", b"\r\n"), Mistake::BodyLineEndings);
    add(unix, Mistake::BodyLineEndings);
    let bare = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if bare.len() < body.len() {
        add(bare.to_vec(), Mistake::BodyBom);
    }
    // A broken body would make nonsense of the string boundaries, so only JSON is restyled.
    if serde_json::from_slice::<serde::de::IgnoredAny>(bare).is_ok() {
        add(restyle(bare, "", false), Mistake::BodyReformatted);
        add(restyle(bare, "", true), Mistake::BodyReserialised);
        add(restyle(bare, " ", false), Mistake::BodySpaced);
    }
    add(Vec::new(), Mistake::BodyEmpty);
    bodies
}

/// The secret as given, then what a signer may have made of it.
fn keys(secret: &str) -> Vec<(Vec<u8>, Option<Mistake>)> {
    let mut keys = vec![(secret.as_bytes().to_vec(), None)];
    let mut add = |key: &[u8], mistake| keys.push((key.to_vec(), Some(mistake)));
    let trimmed = secret.trim();
    if trimmed != secret {
        add(trimmed.as_bytes(), Mistake::SecretSpaces);
    }
    add(format!("{trimmed}\n").as_bytes(), Mistake::SecretNewline);
    add(format!("{trimmed}\r\n").as_bytes(), Mistake::SecretNewline);
    if let Some(inner) = unquoted(trimmed) {
        add(inner.as_bytes(), Mistake::SecretQuotes);
    }
    if let Ok(decoded) = hex::decode(trimmed) {
        add(&decoded, Mistake::SecretHex);
    }
    // Some providers put whsec_ before the base64 text and decode what follows it.
    for text in [trimmed, trimmed.strip_prefix("whsec_").unwrap_or(trimmed)] {
        if let Some(decoded) = base64(text) {
            add(&decoded, Mistake::SecretBase64);
        }
    }
    keys
}

fn hmac(key: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}

fn replace(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(&first) = rest.first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = after;
        } else {
            replaced.push(first);
            rest = &rest[1..];
        }
    }
    replaced
}

/// Valid JSON with `gap` after each comma and colon and no other space outside its texts; the order of keys is kept.
/// With `rewrite` the texts are parsed and written anew, which changes their escapes.
fn restyle(json: &[u8], gap: &str, rewrite: bool) -> Vec<u8> {
    let mut styled = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(&byte) = rest.first() {
        let mut length = 1;
        match byte {
            b'"' => {
                length = text_length(rest);
                let text = &rest[..length];
                let parsed = serde_json::from_slice::<String>(text)
                    .ok()
                    .filter(|_| rewrite);
                match parsed.and_then(|parsed| serde_json::to_vec(&parsed).ok()) {
                    Some(written) => styled.extend(written),
                    None => styled.extend_from_slice(text),
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' | b':' => {
                styled.push(byte);
                styled.extend_from_slice(gap.as_bytes());
            }
            _ => styled.push(byte),
        }
        rest = &rest[length..];
    }
    styled
}

/// Bytes of the JSON text at the beginning of `json`, with both quotes.
fn text_length(json: &[u8]) -> usize {
    let mut escaped = true; // The opening quote does not close the text.
    for (place, byte) in json.iter().enumerate() {
        match byte {
            b'"' if !escaped => return place + 1,
            b'\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    json.len()
}

/// Base64 with either alphabet, with or without padding; `None` for anything else.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    if text.is_empty() || text.len() % 4 == 1 {
        return None;
    }
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0x3fff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
