//! Times as people read them.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::web::page::Language;

/// A moment, and how far from now it is.
pub struct When {
    /// RFC 3339, for programs.
    pub at: String,
    /// To the second, in UTC.
    pub plain: String,
    /// How long ago, or in how long.
    pub ago: String,
}

impl When {
    /// That moment, seen from `now`.
    pub fn new(language: Language, at: Timestamp, now: Timestamp) -> When {
        let text = at.to_string();
        let ago = if at > now {
            let span = span(at.since(now));
            language.choose(format!("in {span}"), format!("en {span}"))
        } else {
            let span = span(now.since(at));
            language.choose(format!("{span} ago"), format!("hace {span}"))
        };
        When {
            plain: format!("{} {} UTC", &text[..10], &text[11..19]),
            at: text,
            ago,
        }
    }
}

/// One unit, the largest that there is at least one of; they are the same in both languages.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A count with its thousands apart.
pub fn count(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if count < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now = Timestamp(1_700_000_000_000_000);
        let when = |seconds| {
            When::new(
                Language::English,
                now.minus(Duration::from_secs(seconds)),
                now,
            )
        };
        for (seconds, said) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (86_399, "23 h ago"),
            (86_400, "1 d ago"),
            (8_640_000, "100 d ago"),
        ] {
            assert_eq!(when(seconds).ago, said);
        }
        assert_eq!(when(0).plain, "2023-11-14 22:13:20 UTC");
        let later = When::new(Language::Spanish, now.plus(Duration::from_secs(90)), now);
        assert_eq!(later.ago, "en 1 min");
    }

    #[test]
    fn thousands_stand_apart() {
        let plain = |number| count(number).replace('\u{202f}', "_");
        assert_eq!(plain(0), "0");
        assert_eq!(plain(999), "999");
        assert_eq!(plain(1000), "1_000");
        assert_eq!(plain(1_234_567), "1_234_567");
        assert_eq!(plain(-1234), "-1_234");
    }
}
