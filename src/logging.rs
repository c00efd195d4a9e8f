//! One log record is one line on standard error, as text or as JSON.
//!
//! Whatever a caller or the provider sent may end up in a message or a value, so both are escaped: no line break, no
//! terminal control and no change of writing direction passes raw, and their length is bounded. A record can therefore
//! neither forge a second one nor hide part of itself. Which words may be logged at all is decided where they are logged.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::SystemTime;

use log::Record;
use log::kv::{self, Key, Value, VisitSource, VisitValue};

use crate::config::{self, ConfigError, Log, LogFormat};

/// Longest value of a field, in bytes, before it is cut.
const VALUE_LIMIT: usize = 256;

/// Longest message, in bytes, before it is cut.
const MESSAGE_LIMIT: usize = 4096;

/// Starts logging for the whole process. `RUST_LOG`, where set and not empty, wins over the filter of the settings.
///
/// A second call changes nothing, so that tests may call it freely.
///
/// # Errors
/// When `RUST_LOG` cannot be used.
pub fn init(log: &Log) -> Result<(), ConfigError> {
    let filter = config::rust_log()?;
    let write = match log.format {
        LogFormat::Text => write_text,
        LogFormat::Json => write_json,
    };
    // The error only says that a logger is already there.
    let _ = env_logger::Builder::new()
        .parse_filters(filter.as_deref().unwrap_or(&log.filter))
        .format(move |out, record| write(out, SystemTime::now(), record))
        .try_init();
    Ok(())
}

/// `2026-11-23T19:20:00.123Z INFO  kyc_tracker::web sentence key=value key2="with space"`
fn write_text(out: &mut dyn Write, now: SystemTime, record: &Record<'_>) -> io::Result<()> {
    let mut line = format!(
        "{} {:<5} {} ",
        humantime::format_rfc3339_millis(now),
        record.level(),
        escape(record.target(), false)
    );
    line.push_str(&escape(
        &cut(record.args().to_string(), MESSAGE_LIMIT),
        false,
    ));
    for (key, field) in fields(record) {
        line.push(' ');
        line.push_str(&escape(&key, false));
        line.push('=');
        match field {
            Field::Bare(text) => line.push_str(&text),
            Field::Text(text) if is_plain(&text) => line.push_str(&text),
            Field::Text(text) => {
                line.push('"');
                line.push_str(&escape(&text, true));
                line.push('"');
            }
        }
    }
    writeln!(out, "{line}")
}

/// `{"ts":…,"level":…,"target":…,"message":…,"key":…}`, the fields in the order in which they were logged.
fn write_json(out: &mut dyn Write, now: SystemTime, record: &Record<'_>) -> io::Result<()> {
    let mut line = format!(
        r#"{{"ts":"{}","level":"{}","target":{},"message":{}"#,
        humantime::format_rfc3339_millis(now),
        record.level(),
        json_text(record.target()),
        json_text(&cut(record.args().to_string(), MESSAGE_LIMIT)),
    );
    // Most readers keep the last of two equal keys, so a field must not be able to replace another or the level.
    let mut taken: Vec<String> = ["ts", "level", "target", "message"]
        .map(str::to_owned)
        .into();
    for (mut key, field) in fields(record) {
        while taken.contains(&key) {
            key.push('_');
        }
        line.push(',');
        line.push_str(&json_text(&key));
        line.push(':');
        line.push_str(&match field {
            Field::Bare(text) => text,
            Field::Text(text) => json_text(&text),
        });
        taken.push(key);
    }
    writeln!(out, "{line}}}")
}

/// The value of a field.
enum Field {
    /// A number, `true`, `false` or `null`: the same in text and in JSON.
    Bare(String),
    /// Anything else, cut but not yet escaped.
    Text(String),
}

fn fields(record: &Record<'_>) -> Vec<(String, Field)> {
    struct Collect(Vec<(String, Field)>);

    impl<'kvs> VisitSource<'kvs> for Collect {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
            let mut field = Field::Bare("null".to_owned());
            value.visit(&mut field)?;
            self.0.push((cut(key.to_string(), VALUE_LIMIT), field));
            Ok(())
        }
    }

    let mut collect = Collect(Vec::new());
    // A field that cannot be read must not cost the record; those before it are kept.
    let _ = record.key_values().visit(&mut collect);
    collect.0
}

impl<'v> VisitValue<'v> for Field {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        *self = Field::Text(cut(value.to_string(), VALUE_LIMIT));
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        *self = Field::Bare("null".to_owned());
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        *self = Field::Bare(value.to_string());
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        *self = Field::Bare(value.to_string());
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        // JSON has no word for infinity or not-a-number.
        *self = match value.is_finite() {
            true => Field::Bare(value.to_string()),
            false => Field::Text(value.to_string()),
        };
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        *self = Field::Bare(value.to_string());
        Ok(())
    }
}

/// Shortens to at most `limit` bytes, between characters; what was cut ends in `…`.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// Whether a value can stand in a text line without quotes.
fn is_plain(text: &str) -> bool {
    let quoted = |c: char| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_unsafe(c);
    !text.is_empty() && !text.contains(quoted)
}

/// Controls (line breaks, NUL, ESC, C1), the Unicode line separators, and all that turns the writing direction.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\r' | '\t') {
            escaped.extend(c.escape_default());
        } else if is_unsafe(c) {
            escaped.extend(c.escape_unicode());
        } else {
            if quotes && matches!(c, '"' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped
}

/// A JSON string. The JSON library leaves DEL, C1 and the Unicode controls raw, so those are written as `\uXXXX` after it.
fn json_text(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is always valid JSON");
    let mut escaped = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        if is_unsafe(c) {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use log::Level;

    use super::*;

    const NASTY: &str = "a\r\nb\0c\u{1b}[31md\u{7f}\u{85}\u{9b}e\u{2028}\u{2029}f\u{202a}\u{202e}\u{2066}\u{2069}g\"\\ é 漢";

    type Writer = fn(&mut dyn Write, SystemTime, &Record<'_>) -> io::Result<()>;

    fn line(writer: Writer, message: &str, fields: &[(&str, Value<'_>)]) -> String {
        let mut out = Vec::new();
        let now = UNIX_EPOCH + Duration::from_millis(1_795_461_600_123);
        writer(
            &mut out,
            now,
            &Record::builder()
                .level(Level::Info)
                .target("kyc_tracker::web")
                .args(format_args!("{message}"))
                .key_values(&fields)
                .build(),
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_line_is_a_sentence_and_its_fields() {
        let fields = [
            ("status", Value::from(204)),
            ("partner", Value::from("acme")),
            ("reason", Value::from("with space")),
            ("empty", Value::from("")),
            ("late", Value::from(true)),
        ];
        assert_eq!(
            line(write_text, "A delivery was stored.", &fields),
            "2026-11-23T19:20:00.123Z INFO  kyc_tracker::web A delivery was stored. \
             status=204 partner=acme reason=\"with space\" empty=\"\" late=true\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object_with_typed_fields() {
        let fields = [
            ("status", Value::from(204)),
            ("partner", Value::from("acme")),
            ("delta", Value::from(-1)),
            ("share", Value::from(0.5)),
            ("odd", Value::from(f64::NAN)),
            ("none", Value::null()),
        ];
        assert_eq!(
            line(write_json, "A delivery was stored.", &fields),
            "{\"ts\":\"2026-11-23T19:20:00.123Z\",\"level\":\"INFO\",\"target\":\"kyc_tracker::web\",\
             \"message\":\"A delivery was stored.\",\"status\":204,\"partner\":\"acme\",\"delta\":-1,\"share\":0.5,\
             \"odd\":\"NaN\",\"none\":null}\n"
        );
    }

    #[test]
    fn no_control_character_passes_raw_in_a_message_a_key_or_a_value() {
        for writer in [write_text as Writer, write_json] {
            let fields = [
                (NASTY, Value::from(NASTY)),
                ("debug", Value::from_debug(&NASTY)),
            ];
            let line = line(writer, NASTY, &fields);
            let body = line.strip_suffix('\n').unwrap();
            assert!(!body.contains(is_unsafe), "{body:?}");
            assert!(body.contains("é 漢"));
        }
    }

    #[test]
    fn json_keeps_the_exact_text() {
        let line = line(write_json, NASTY, &[("k", Value::from(NASTY))]);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["message"], NASTY);
        assert_eq!(object["k"], NASTY);
    }

    #[test]
    fn a_value_cannot_break_out_of_its_quotes_in_text() {
        let line = line(write_text, "m", &[("k", Value::from("x\" status=\"200"))]);
        assert!(line.ends_with("m k=\"x\\\" status=\\\"200\"\n"), "{line}");
    }

    #[test]
    fn a_field_cannot_replace_another_in_json() {
        let fields = [
            ("level", Value::from("ERROR")),
            ("k", Value::from(1)),
            ("k", Value::from(2)),
        ];
        let line = line(write_json, "m", &fields);
        assert!(line.contains("\"level\":\"INFO\""), "{line}");
        assert!(
            line.ends_with("\"level_\":\"ERROR\",\"k\":1,\"k_\":2}\n"),
            "{line}"
        );
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        for size in [255, 256, 257, 258, 259, 1000] {
            let text = "a".repeat(size % 2) + &"é".repeat(size / 2);
            let cut = cut(text.clone(), VALUE_LIMIT);
            assert!(cut.len() <= VALUE_LIMIT);
            assert_eq!(cut == text, size <= VALUE_LIMIT);
            assert!(cut.len() >= 255 - '…'.len_utf8());
        }
        let line = line(
            write_text,
            &"m".repeat(10_000),
            &[("k", Value::from("v".repeat(10_000).as_str()))],
        );
        assert!(
            line.len() < MESSAGE_LIMIT + VALUE_LIMIT + 100,
            "{}",
            line.len()
        );
    }
}
