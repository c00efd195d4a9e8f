//! What a webhook's bytes say.
//!
//! A KYC event is `{"type":"KYC","event":…,"externalUserId":…}` and nothing else (`docs/kyc-events`); other types share
//! the URL, the secret and the first two fields (`docs/transaction-events`). Names have been added and changed without
//! notice, so unknown types and events are kept as they came, and only these three fields are ever read.
//!
//! The body is read as bytes. Everything but the three values is skipped by its brackets and quotes alone, because a
//! signed verdict must not be lost to half an emoji, a Latin-1 name or a huge number in a field that is not read. The
//! three values themselves are read strictly: they decide about a user.

/// The `type` of the events that move a user.
pub const KYC: &str = "KYC";

/// A webhook's content, as far as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The event's family, its `type`: `KYC`, `TRANSACTION` or an unknown one.
    pub family: String,
    /// The event's name.
    pub event: String,
    /// The partner's id of the user: only this names the user.
    pub external_user_id: Option<String>,
}

/// Reads a body: one JSON object with text `type` and `event`.
///
/// `None` for anything else, also when one of the three names stands twice, a value of them has a U+0000 in it, or
/// `externalUserId` is neither text, integer nor null.
pub fn parse(body: &[u8]) -> Option<Payload> {
    let mut fields = Fields::default();
    let mut reader = Reader { rest: body };
    reader.take(b'{')?;
    if reader.take(b'}').is_none() {
        loop {
            let name = reader.name()?;
            let value = reader.value()?;
            if let Some(field) = fields.named(name)
                && field.replace(value).is_some()
            {
                return None;
            }
            match reader.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    reader.skip_space();
    if !reader.rest.is_empty() {
        return None;
    }
    Some(Payload {
        family: text(fields.family?)?,
        event: text(fields.event?)?,
        external_user_id: match fields.external_user_id {
            None | Some(b"null") => None,
            Some(value) => Some(text(value).or_else(|| integer(value))?),
        },
    })
}

/// The values of the three fields, as they stand in the body.
#[derive(Default)]
struct Fields<'a> {
    family: Option<&'a [u8]>,
    event: Option<&'a [u8]>,
    external_user_id: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// The field with that name, which comes with its quotes and escapes.
    fn named(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        let name: String = serde_json::from_slice(name).ok()?;
        match &*name {
            "type" => Some(&mut self.family),
            "event" => Some(&mut self.event),
            "externalUserId" => Some(&mut self.external_user_id),
            _ => None,
        }
    }
}

/// A whole text, without U+0000, which not every database can store.
fn text(value: &[u8]) -> Option<String> {
    let text: String = serde_json::from_slice(value).ok()?;
    (!text.contains('\0')).then_some(text)
}

/// The digits of an integer, however many there are.
fn integer(value: &[u8]) -> Option<String> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let leading_zero = digits.len() > 1 && digits[0] == b'0';
    (plain && !leading_zero).then(|| String::from_utf8_lossy(value).into_owned())
}

/// Goes through JSON by its structure. It nests nothing, so no depth can exhaust the stack.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let end = self.rest.iter().position(|byte| !is_space(byte));
        self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// That byte, if it is the next one.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// The name of a member with its quotes, and the colon after it.
    fn name(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let name = self.text()?;
        self.take(b':')?;
        Some(name)
    }

    /// One value, whole.
    fn value(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let begin = self.rest;
        // The brackets that close what is open, the innermost last.
        let mut open = Vec::new();
        loop {
            self.skip_space();
            let close = match self.rest.first()? {
                b'[' => Some(b']'),
                b'{' => Some(b'}'),
                _ => None,
            };
            if let Some(close) = close {
                self.rest = &self.rest[1..];
                if self.take(close).is_none() {
                    open.push(close);
                    if close == b'}' {
                        self.name()?;
                    }
                    continue;
                }
            } else if self.rest.first() == Some(&b'"') {
                self.text()?;
            } else {
                self.word()?;
            }
            // A value has ended, and with it perhaps what it is in.
            loop {
                let Some(close) = open.last() else {
                    return Some(&begin[..begin.len() - self.rest.len()]);
                };
                match self.next()? {
                    b',' => {
                        if *close == b'}' {
                            self.name()?;
                        }
                        break;
                    }
                    byte if byte == *close => open.pop(),
                    _ => return None,
                };
            }
        }
    }

    /// A text with its quotes, whatever bytes and escapes are in it.
    fn text(&mut self) -> Option<&'a [u8]> {
        let mut escaped = false;
        let inner = self.rest.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let (text, rest) = self.rest.split_at(end? + 2);
        self.rest = rest;
        Some(text)
    }

    /// A number or a literal, also one that JSON does not know, as `NaN`.
    fn word(&mut self) -> Option<()> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let end = self.rest.iter().position(|byte| !is_part(byte));
        let end = end.unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
        (end > 0).then_some(())
    }
}

#[cfg(test)]
mod tests;
